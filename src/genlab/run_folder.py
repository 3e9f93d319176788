"""The run folder: its name, what it holds, and who may write into it.

Everything here happens before Hydra or torch write or load anything, so it imports neither torch nor
lightning.
"""

import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from omegaconf import OmegaConf

from genlab.atomic import write_whole
from genlab.errors import UserError


def is_child() -> bool:
    """Whether Lightning started this process as a further rank of a run: its command line is ready made."""
    return "LOCAL_RANK" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ


def rank() -> int:
    """This process's rank as its launcher tells it, 0 where there is none."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def stamp() -> str:
    """Time and process id: two runs started in one second differ, all ranks of one torchrun agree."""
    torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    process = os.getppid() if torchrun else os.getpid()
    if process not in _stamps:
        began = _start_time(process) if torchrun else time.strftime(_TIME)
        _stamps[process] = f"{began}_{process}"
    return _stamps[process]


_TIME = "%Y-%m-%d_%H-%M-%S"
_stamps: dict[int, str] = {}


def _start_time(process: int) -> str:
    """When a process began, the same for whoever asks; without /proc the name of torchrun's run."""
    try:
        since_boot = int(
            Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
        )  # clock ticks
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        return time.strftime(
            _TIME, time.localtime(int(boot.split()[1]) + since_boot / os.sysconf("SC_CLK_TCK"))
        )
    except (OSError, ValueError, IndexError, StopIteration):
        return "torchrun"


def run_name(name: str | None, model: str, data: str) -> str:
    """The first part of a run folder's name: the user's own or model_data, in [A-Za-z0-9._-] only."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name or f"{model}_{data}").strip("-.") or "run"


def fresh_folder(name: str | None) -> Path:
    """A folder under logs/ for a run that was not started by the command line; each call another."""
    first = Path("logs") / f"{run_name(name, 'run', 'data')}_{stamp()}"
    later = (first.with_name(f"{first.name}-{k}") for k in itertools.count(2))
    return next(folder for folder in itertools.chain([first], later) if not folder.exists())


def register_resolvers() -> None:
    """Makes the names above usable in conf/: `${stamp:}`, `${run_name:...}`, and what only rank 0 has."""
    add = OmegaConf.register_new_resolver
    add("stamp", stamp, use_cache=True, replace=True)
    add("run_name", run_name, replace=True)
    add("rank0", lambda value: value if rank() == 0 else None, replace=True)
    add("log_name", lambda: "run" if rank() == 0 else f"rank{rank()}", replace=True)


# -- what a folder holds ------------------------------------------------------------------------------


def holds_training(folder: Path) -> bool:
    """Whether a run that got somewhere lives here: it must not be written into unasked."""
    return any((folder / "checkpoints").glob("*.ckpt")) or (folder / "metrics.csv").exists()


def read_result(folder: Path) -> dict[str, Any] | None:
    """The folder's result.json, or None where there is none that can be read."""
    try:
        return dict(json.loads((folder / "result.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def as_typed(path: Path) -> Path:
    """A path as the user would type it: relative where it lies below the working directory."""
    absolute = Path(os.path.abspath(path))
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute


def write_json(path: Path, content: Any) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never half of one."""
    text = json.dumps(_finite(content), indent=2, allow_nan=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def _finite(content: Any) -> Any:
    """The content with null in place of NaN and infinities, which JSON does not have."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint a run goes on from, None where it was stopped before its first."""
    last = folder / "checkpoints" / "last.ckpt"
    return last if last.exists() else None


def git_commit(folder: Path) -> str | None:
    """The commit of the checkout that a folder lies in, `+changes` where it is not clean."""
    try:
        command = [
            "git",
            "-C",
            str(folder),
            "describe",
            "--always",
            "--abbrev=40",
            "--dirty=+changes",
            "--exclude=*",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
        return done.stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


# -- who may write ------------------------------------------------------------------------------------


OUR_FILES = (
    ".hydra", ".lock", ".data_ready", "config.yaml", "result.json", "run.log", "rank", "train_ddp_", "checkpoints",
    "codec.json", "samples", "events.out.tfevents", "fit-", "job.json", "console.log", "progress.json", "wandb", "mlflow",
    "projector",
)  # fmt: skip
"""How the names of the files begin that a run may have left before it trained; .lock marks a run's folder."""


class Busy(UserError):
    """Another live process holds the folder."""


class FolderLock:
    """An exclusive claim on a run folder that ends with the process, however that ends."""

    def __init__(
        self,
        folder: Path,
        busy: str = "another process is training there now; wait for it, or choose another folder",
        setting: str = "hydra.run.dir",
    ) -> None:
        """Claims the folder, making it where it does not exist.

        Args:
            folder: what to claim.
            busy: what to tell where another process has it.
            setting: what chooses another folder.

        Raises:
            Busy: another live process holds it.
            UserError: the folder cannot be made.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = open(folder / ".lock", "a+")  # noqa: SIM115 - held until the process ends
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be written to ({error.strerror}); choose another {setting}"
            ) from error
        try:
            _lock(self._file)
        except OSError as error:
            self._file.close()
            raise Busy(f"{folder}: {busy}") from error

        self._folder = folder.resolve()
        _held[self._folder] = self

    def release(self) -> None:
        """Gives the folder back; a process that ends does so by itself."""
        self._file.close()
        _held.pop(self._folder, None)


_held: dict[Path, FolderLock] = {}
"""The folders that this process has claimed."""


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def claim(folder: Path, *, resuming: bool, begun: bool = False) -> FolderLock:
    """Takes a folder for a run, or says why not; what this process has claimed already it keeps.

    Args:
        folder: the run folder.
        resuming: whether the run that lies there goes on.
        begun: whether Hydra has written its own files into it for this run already, as it does in a sweep.

    Raises:
        UserError: the folder holds a run and this one does not resume it, holds files that are no
            run's, or another process is at work in it.
    """
    if folder.resolve() in _held:
        return _held[folder.resolve()]
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; choose another hydra.run.dir")
    if not resuming and folder.is_dir():
        if holds_training(folder):
            raise UserError(
                f"{folder}: already holds a run; go on with it by resume={folder}, or choose another hydra.run.dir"
            )
        inside = sorted(p.name for p in folder.iterdir())
        ours = begun or ".lock" in inside
        foreign = [name for name in inside if not (ours and name.startswith(OUR_FILES))]
        if foreign:
            raise UserError(
                f"{folder}: holds files that are no run's ({foreign[0]}, ...); choose another hydra.run.dir"
            )
    return FolderLock(folder)
