"""How a run goes on in its folder: `resume=RUN` as overrides for Hydra. Imports neither torch nor lightning."""

import re
from pathlib import Path

from omegaconf import OmegaConf

from genlab.errors import UserError
from genlab.invocation import config_dirs
from genlab.run_folder import last_checkpoint, read_result, write_json

RESUMABLE = re.compile(r"^[+~]*(trainer|logger|callbacks)([./@=]|$)|^[+]*hydra\.(verbose|job_logging)")
"""What may be changed beside `resume=`: length and hardware of training, and what is watched."""


def resume_arguments(run: str, others: list[str]) -> list[str]:
    """`resume=RUN ...` as the overrides that the run was started with plus the new ones, in its folder.

    Args:
        run: the run folder as the user gave it.
        others: the user's further overrides, of trainer, logger or callbacks.

    Returns:
        Overrides for Hydra. The run's own `.hydra` is kept; `remember` stores the new overrides beside it,
        so that a third start needs not repeat them.

    Raises:
        UserError: no run lies there, or an override would change what is trained.
    """
    folder = Path(run)
    stored = folder / ".hydra" / "overrides.yaml"
    if not stored.is_file():
        there = "is no folder" if not folder.is_dir() else "holds no run (.hydra/overrides.yaml is missing)"
        raise UserError(f"resume={run}: {there}; give the folder of a run, e.g. one of logs/*")
    refused = [o for o in others if not RESUMABLE.match(o)]
    if refused:
        raise UserError(
            f"resume={run}: {refused[0]} would change what the run is; beside resume only trainer.*, logger and "
            f"callbacks may be given; for a new run from its weights use init_from={run}"
        )
    memory = folder / ".hydra" / "resumed_with.yaml"
    earlier = _read_list(stored) + _read_list(memory)
    _added[:] = [o for o in others if not o.startswith("hydra.")]
    return [
        *earlier,
        *others,
        f"resume={quoted(run)}",
        f"hydra.run.dir={quoted(run)}",
        "hydra.output_subdir=null",
    ]


def where_configs_lie(run: str, flags: list[str]) -> list[str]:
    """The `--config-dir` that a run was started with, as flags for Hydra; none where the user gives one."""
    stored = Path(run) / ".hydra" / "hydra.yaml"
    if config_dirs(flags) or not stored.is_file():
        return []
    try:
        sources = OmegaConf.select(OmegaConf.load(stored), "hydra.runtime.config_sources") or []
    except Exception as error:  # whatever the YAML parser makes of it
        raise UserError(
            f"{stored}: is damaged ({str(error).splitlines()[0]}); the run cannot go on"
        ) from error
    return [flag for s in sources if s.provider == "command-line" for flag in ("--config-dir", str(s.path))]


_added: list[str] = []
"""The new overrides of this process's resume."""


def remember(folder: Path) -> None:
    """Stores this resume's new overrides in the run, once they are known to be right."""
    memory = folder / ".hydra" / "resumed_with.yaml"
    if _added and memory.parent.is_dir():
        write_json(memory, [*_read_list(memory), *_added])  # JSON is YAML
    _added.clear()


def _read_list(path: Path) -> list[str]:
    if not path.is_file():
        return []
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:  # whatever the YAML parser makes of it
        raise UserError(f"{path}: is damaged ({str(error).splitlines()[0]}); the run cannot go on") from error
    if not isinstance(content, list):
        raise UserError(f"{path}: is damaged (it holds no list of overrides); the run cannot go on")
    return [str(item) for item in content]


def quoted(text: str) -> str:
    """A text as a quoted value of a Hydra override, so that it arrives just as it is."""
    text = re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + r"\${", text)
    text = re.sub(r"(\\*)'", lambda m: m[1] * 2 + r"\'", text)
    text = re.sub(r"(\\+)$", lambda m: m[1] * 2, text)
    return f"'{text}'"


def refuse_finished(folder: Path, *, max_epochs: int | None, max_steps: int) -> None:
    """Refuses to go on with a run that has reached its limits.

    Raises:
        UserError: nothing is left to do; says which limit to raise.
    """
    result = read_result(folder)
    if not result or last_checkpoint(folder) is None:
        return
    if result.get("ended") == "max_time" and not any(o.startswith("trainer.max_time=") for o in _added):
        raise UserError(
            f"{folder}: has used its time already; give trainer.max_time=DD:HH:MM:SS, longer, to go on"
        )
    if result.get("ended") != "finished":
        return
    limits = {"epochs": max_epochs, "steps": max_steps}
    for unit, limit in limits.items():
        if limit is not None and 0 <= limit <= result[unit]:
            raise UserError(
                f"{folder}: has made its {result[unit]} {unit} already; "
                f"give trainer.max_{unit}=N with a larger N to go on"
            )
