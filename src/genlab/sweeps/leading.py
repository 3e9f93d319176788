"""The sweep that this process leads: its folder, what its jobs have in common, and how it ends."""

import math
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ValueType
from omegaconf import OmegaConf

from genlab.errors import UserError
from genlab.invocation import command
from genlab.run_folder import FolderLock, as_typed, holds_training, rank, run_name
from genlab.sweeps import jobs
from genlab.sweeps.ranking import summary, write_csv


@dataclass
class Sweep:
    """A sweep at work.

    Attributes:
        folder: where its jobs have their folders.
        fixed: the overrides that all of its jobs are given.
        lock: the claim on the folder, held until the process ends.
        fresh: whether there was nothing in the folder before.
        total: how many jobs the command has; None where it does not tell.
        jobs: the folders of the jobs that were started, or found finished.
        began: when, by the clock `time.monotonic`.
    """

    folder: Path
    fixed: frozenset[str]
    lock: FolderLock
    fresh: bool
    total: int | None
    jobs: list[Path] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def refresh(self) -> None:
        """Writes sweep.csv anew, so that a sweep which is killed leaves one; a full disk does not stop it."""
        with suppress(OSError):
            write_csv(self.folder)

    def varied(self, overrides: Iterable[str]) -> list[str]:
        """Those of a job's overrides that are not common to all jobs."""
        return [o for o in overrides if o not in self.fixed]


_current: list[Sweep] = []


def current() -> Sweep | None:
    """The sweep that this process leads, if it leads one."""
    return _current[0] if _current else None


def begin(folder: Path, typed: Iterable[str]) -> Sweep:
    """Claims a folder for a sweep, a new one or one to go on with.

    Args:
        folder: `hydra.sweep.dir`.
        typed: the overrides as the user gave them, `model.latent_dim=4,8` among them.

    Raises:
        UserError: another sweep is at work there, it holds a run or somebody's files, or each process of
            torchrun would start one.
    """
    if rank() != 0:
        raise UserError("a sweep starts the processes of its jobs itself: start it without torchrun")
    inside = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    if holds_training(folder):
        raise UserError(f"{folder}: holds a single run; choose another hydra.sweep.dir")
    if inside and not (inside == [".lock"] or "multirun.yaml" in inside or any(folder.glob("*/job.json"))):
        foreign = next(name for name in inside if name != ".lock")
        raise UserError(
            f"{folder}: holds files that are no sweep's ({foreign}, ...); choose another hydra.sweep.dir"
        )
    choices, fixed = _parted(typed)
    lock = FolderLock(
        folder, "another sweep is running there now; wait for it, or choose another folder", "hydra.sweep.dir"
    )
    total = None if None in choices else math.prod(c for c in choices if c is not None)
    _current[:] = [Sweep(folder, frozenset(fixed), lock, fresh=not inside, total=total)]
    if total and total > _MANY:
        print(f"checking the configs of {total} jobs", flush=True)
    return _current[0]


_MANY = 20
"""Jobs whose configs take so long to check that a word is due."""


def _parted(typed: Iterable[str]) -> tuple[list[int | None], list[str]]:
    """How many values each choice has, and what is no choice, written as Hydra's sweeper hands it to each job.

    None where only Hydra can tell: `glob(*)` asks for the options there are, `interval(0,1)` for a sweeper.
    """
    parsed = OverridesParser.create().parse_overrides(list(typed))
    asks = {ValueType.GLOB_CHOICE_SWEEP, ValueType.INTERVAL_SWEEP}
    choices = [
        None if o.value_type in asks else len(list(o.sweep_string_iterator()))
        for o in parsed
        if o.is_sweep_override()
    ]
    fixed = [o for o in parsed if not o.is_sweep_override()]
    return choices, [f"{o.get_key_element()}={o.get_value_element_as_str()}" for o in fixed]


def job_folder(sweep_dir: str, overrides: Iterable[str]) -> str:
    """The resolver behind `hydra.sweep.subdir`: see `jobs.folder_name`."""
    told = [str(o) for o in overrides]
    sweep = current()
    return jobs.folder_name(Path(sweep_dir), told, sweep.varied(told) if sweep else told)


def sweep_name(name: str | None, model: str, data: str, typed: Iterable[str]) -> str:
    """The middle of a sweep folder's name: the user's own or model_data, with all models and data sets swept."""
    chosen = {"model": model, "data": data}
    chosen |= {jobs.key(o): o.partition("=")[2][:_LONGEST] for o in map(str, typed) if jobs.key(o) in chosen}
    return run_name(name, chosen["model"], chosen["data"])


_LONGEST = 60
"""Characters of the folder's name that the swept models, or data sets, may take."""


def register_resolvers() -> None:
    """Makes `${job_folder:...}` and `${sweep_name:...}` usable in conf/."""
    OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)
    OmegaConf.register_new_resolver("sweep_name", sweep_name, replace=True)


@contextmanager
def concluded() -> Iterator[None]:
    """Ends the sweep that is begun inside, however that ends; without one it does nothing.

    Raises:
        SystemExit: with code 1 where jobs have failed; the table has told which, and why.
    """
    try:
        yield
    except Exception as error:
        if end() and not isinstance(error, OSError):
            raise SystemExit(1) from error
        raise
    except BaseException:
        end()
        raise
    if end():
        raise SystemExit(1)


def end() -> int:
    """Writes sweep.csv and prints the ranking, or removes the folder of a sweep that was refused.

    Returns:
        How many of this command's jobs have failed; 0 where no sweep was led.
    """
    if not _current:
        return 0
    sweep = _current.pop()
    try:
        if sweep.jobs:
            _conclude(sweep)
        return sum(jobs.has_failed(folder) for folder in sweep.jobs)
    except OSError as error:
        print(f"{as_typed(sweep.folder)}: sweep.csv could not be written ({error.strerror})", file=sys.stderr)
        return 1
    finally:
        sweep.lock.release()
        if sweep.fresh:
            _remove_if_empty(sweep.folder)


def _conclude(sweep: Sweep) -> None:
    """Tells what the sweep found, and how it goes on where something is left."""
    write_csv(sweep.folder)
    print(summary(sweep.folder), flush=True)
    if waiting := sum(jobs.read_record(folder) is None for folder in sweep.jobs):
        print(f"{waiting} of {len(sweep.jobs)} jobs were not begun", flush=True)
    if any(jobs.state(folder) != "finished" for folder in sweep.jobs):
        again = command()
        if "hydra.sweep.dir=" not in again:
            again += f" hydra.sweep.dir={shlex.quote(str(as_typed(sweep.folder)))}"
        print(f"to go on, without what is finished:\n  {again}", flush=True)


def _remove_if_empty(folder: Path) -> None:
    """Removes a folder that holds nothing but what Hydra and the claim put there."""
    ours = {"multirun.yaml", ".lock"}
    if {path.name for path in folder.iterdir()} <= ours:
        for name in ours:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
