"""How far a sweep's job is: written by the job, read by the sweep."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

JOB = "GENLAB_JOB"
"""The environment variable that tells a process that it is a job; its value is the job's folder."""

_FILE = "progress.json"


@dataclass
class Look:
    """How far a job is.

    Attributes:
        share: of the whole run that is done, in [0, 1]; None before the job tells.
        text: its epoch and rate, for people.
    """

    share: float | None = None
    text: str = "starting"


_folder: list[str] = []


def take_over() -> bool:
    """Whether a sweep started this process; what this one starts is no job any more.

    Returns:
        True at the first call in a process that a sweep started.
    """
    if JOB not in os.environ:
        return False
    _folder[:] = [os.environ.pop(JOB)]
    return True


def is_job() -> bool:
    """Whether a sweep started this process: its command line is ready made."""
    return bool(_folder)


def tell(share: float | None, text: str) -> None:
    """Writes this job's progress; a disk that is full does not stop the job."""
    with suppress(OSError):
        Path(_folder[0], _FILE).write_text(json.dumps({"share": share, "text": text}), encoding="utf-8")


def look(folder: Path) -> Look:
    """Reads a job's progress; a file that is missing or half written tells nothing."""
    try:
        told = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return Look(None if told["share"] is None else float(told["share"]), str(told["text"]))
    except (OSError, ValueError, TypeError, KeyError):
        return Look()


def forget(folder: Path) -> None:
    """Removes what a job has told: it has ended."""
    (folder / _FILE).unlink(missing_ok=True)
