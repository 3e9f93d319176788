"""The jobs of a sweep: what each one is told, the folder it has, and how far it got.

A job's folder is named by a hash of its overrides, so that a sweep that is extended finds the jobs it has
and renumbers none. Imports neither torch nor lightning.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import OmegaConf

from genlab.run_folder import read_result, write_json

State = Literal["new", "begun", "finished"]

ENDINGS = ("finished", "early_stopping", "max_time")
"""How a run ends that has nothing left to do."""

_LONGEST = 80
"""Characters of a folder's name after the hash."""


@dataclass
class Record:
    """What job.json holds: the part of a job that the sweep knows, result.json has the run's own.

    Attributes:
        overrides: the job's command line, without Hydra's own settings.
        varied: those of them that the sweep varies.
        exit_code: of the last attempt, negative for a signal, None while it has none.
        error: of the last attempt, one line.
    """

    overrides: list[str]
    varied: list[str]
    exit_code: int | None = None
    error: str | None = None


def key(override: str) -> str:
    """The name that an override gives a value to: `model/network` of `+model/network=mlp`."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def fingerprint(overrides: Iterable[str]) -> str:
    """Eight hex digits that stand for a job, whatever order its overrides were typed in."""
    ordered = sorted(overrides, key=key)  # stable: of two that set one value the last one still wins
    return hashlib.sha256("\n".join(ordered).encode()).hexdigest()[:8]


def describe(varied: Iterable[str]) -> str:
    """What a job is about, for people: `network=mlp latent_dim=4`."""
    told = list(varied)
    names = short_names(key(o) for o in told)
    return " ".join(f"{name}={o.partition('=')[2]}" for name, o in zip(names, told, strict=True))


def short_names(names: Iterable[str]) -> list[str]:
    """The last parts of settings' names, `width` of `model.encoder.width`; whole where two would look alike."""
    names = list(names)
    lasts = [re.split(r"[./]", name)[-1] for name in names]
    return [last if lasts.count(last) == 1 else name for name, last in zip(names, lasts, strict=True)]


def folder_name(sweep: Path, overrides: Sequence[str], varied: Sequence[str]) -> str:
    """The name of a job's folder, `<hash>_<what differs>`: the one it has, or a new one.

    Args:
        sweep: the folder of the sweep.
        overrides: all that the job is told.
        varied: those of them that differ from job to job; they only make the name readable.
    """
    digits = fingerprint(overrides)
    there = sorted(path.name for path in sweep.glob(f"{digits}*") if path.is_dir())
    if there:
        return there[0]
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", describe(varied).replace(" ", "_").replace("=", "-"))
    return f"{digits}_{words[:_LONGEST]}".rstrip("_-.")


def state(folder: Path) -> State:
    """Whether a job has ended well, has to go on (`resume=`), or to begin."""
    result = read_result(folder)
    if result and result.get("ended") in ENDINGS:
        return "finished"
    return "begun" if (folder / ".hydra" / "overrides.yaml").is_file() else "new"


def has_failed(folder: Path) -> bool:
    """Whether a job's last attempt ended in an error."""
    record = read_record(folder)
    return record is not None and record.error is not None and state(folder) != "finished"


def watched_number(folder: Path) -> float | None:
    """What a sweeper minimizes: the best value of the number that the run watched."""
    return next(iter(best_metrics(read_result(folder)).values()), None)


def best_metrics(result: dict[str, Any] | None) -> dict[str, float]:
    """The metrics of the best checkpoint that a result.json tells of, the watched one first; empty without one."""
    best = (result or {}).get("best")
    metrics = best.get("metrics") if isinstance(best, dict) else None
    return metrics if isinstance(metrics, dict) else {}


def read_record(folder: Path) -> Record | None:
    """The folder's job.json, None where it is no job's."""
    try:
        told = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        known = {name: told[name] for name in Record.__dataclass_fields__ if name in told}
        record = Record(**known)
        return record if all(isinstance(o, list) for o in (record.overrides, record.varied)) else None
    except (OSError, ValueError, TypeError):
        return None


def write_record(folder: Path, record: Record) -> None:
    """Writes job.json."""
    write_json(folder / "job.json", asdict(record))


def settings(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """What a run was told, with the values' types: of a sweep's job only what varies.

    Args:
        folder: the run folder.
        config: the run's config.

    Returns:
        Names as typed to values; empty for a run that was told nothing, or not by a command line.
    """
    record = read_record(folder)
    told = record.varied if record else _typed_overrides(folder)
    return {key(o): _typed_value(o, config) for o in told}


def _typed_overrides(folder: Path) -> list[str]:
    path = folder / ".hydra" / "overrides.yaml"
    return [str(o) for o in OmegaConf.load(path)] if path.is_file() else []


def _typed_value(override: str, config: dict[str, Any]) -> Any:
    """The value in the config; of a group, the option's name."""
    name, text = key(override), override.partition("=")[2]
    value = OmegaConf.select(OmegaConf.create(config), name) if "/" not in name else None
    return text if value is None or OmegaConf.is_config(value) else value
