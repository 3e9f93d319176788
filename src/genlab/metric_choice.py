"""Which metrics judge a model: those that are asked for, else those of its run, as they are or changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genlab.checkpoint import check_trust
from genlab.config import build, plain
from genlab.errors import UserError
from genlab.suggestions import did_you_mean
from genlab.validation import check_section


def choose_metrics(model: Any, chosen: Any, *, trust: Sequence[str] = ()) -> dict[str, Any]:
    """The metrics, built, by name.

    Args:
        model: from `load_model`.
        chosen: the config section `metrics`; None takes the run's own, and what has no `_target_` changes
            settings of those.
        trust: further packages whose constructors the run's own section may call.

    Raises:
        UserError: a metric or a setting that is not there, or a number out of its range.
    """
    asked = {} if chosen is None else plain(chosen)
    if chosen is not None and (
        not asked or any(isinstance(node, dict) and "_target_" in node for node in asked.values())
    ):
        nodes = asked
    else:
        own = model.run_config.get("metrics") or {}
        check_trust(own, trust, Path(model.checkpoint_path))
        nodes = {**own, **{name: _changed(own, name, changes) for name, changes in asked.items()}}
    check_section(nodes, "metrics")
    return {name: build(node, path=f"metrics.{name}") for name, node in nodes.items() if node}


def _changed(own: dict[str, Any], name: str, changes: Any) -> Any:
    """A node of the run's own with other settings; None switches it off."""
    if not own.get(name):
        there = f"this run has {', '.join(own)}" if own else "this run has no metrics of its own"
        raise UserError(
            f"metrics.{name}: {there}{did_you_mean(name, own)}; choose by metrics=<option>, see --help"
        )
    if changes is None:
        return None
    node = own[name]
    if not isinstance(changes, dict):
        raise UserError(f"metrics.{name} has settings and is no value; null leaves it out")
    unknown = [key for key in changes if key not in node]
    if unknown:
        raise UserError(
            f"metrics.{name}.{unknown[0]} is no setting of metrics.{name}{did_you_mean(unknown[0], node)}"
        )
    return {**node, **{key: _merged(node[key], value) for key, value in changes.items()}}


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
