"""Folders of jobs as a sweep leaves them, made without running anything, and read back."""

import json
import time
from pathlib import Path
from typing import Any

from genlab.sweeps import jobs


def make_job(
    sweep: Path,
    *overrides: str,
    varied: tuple[str, ...] | None = None,
    result: dict[str, Any] | None = None,
    error: str | None = None,
) -> Path:
    """A job's folder with its job.json, and its result.json where it has a result."""
    varied = overrides if varied is None else varied
    folder = sweep / jobs.folder_name(sweep, overrides, varied)
    folder.mkdir(parents=True)
    code = None if result is None and error is None else int(error is not None)
    jobs.write_record(folder, jobs.Record(list(overrides), list(varied), code, error))
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


def finished(loss: float | None, *, mode: str = "min", **more: Any) -> dict[str, Any]:
    """As much of result.json as a table shows; `loss` None is what NaN becomes in JSON."""
    best = None if loss is None else {"epoch": 2, "step": 6, "metrics": {"val/loss": loss, "val/kl": 1.5}}
    final = {"train/kl": 0.25, "val/kl": 2.0, "val/loss": loss}
    return {"ended": "finished", "mode": mode, "best": best, "final": final, "epochs": 3, "seed": 0} | more


def record(folder: Path) -> jobs.Record:
    """The job.json that has to be there."""
    found = jobs.read_record(folder)
    assert found is not None
    return found


def diary(sweep: Path) -> list[str]:
    """What the stand-in jobs wrote down: `begins 1`, `ends 1`, in the order of time."""
    return (sweep / "diary").read_text().splitlines()


def wait_for(path: Path, seconds: float = 30) -> None:
    """Waits until a file is there."""
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(pid: int, seconds: float = 20) -> None:
    """Waits until a process that is not ours to wait for has ended."""
    until = time.monotonic() + seconds
    while lives(pid):
        assert time.monotonic() < until, f"process {pid} did not end"
        time.sleep(0.01)
