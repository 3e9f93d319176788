"""The jobs of a sweep as processes of their own: memory, global state and crashes stay where they belong.

A job runs the same program as the sweep, in its folder, with its output in console.log. It ends when the
sweep ends, however that ends: its standard input is a pipe that nobody writes to and that breaks then.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from genlab.job_progress import JOB
from genlab.resuming import quoted
from genlab.sweeps import jobs

_LAUNCHERS = (
    "LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "GROUP_RANK", "LOCAL_WORLD_SIZE",
)  # fmt: skip


@dataclass
class Job:
    """A job that waits for its turn.

    Attributes:
        number: its place in the sweep, from 1.
        overrides: what it is told.
        varied: those of them that the sweep varies.
        folder: where it lives.
        hydra: Hydra's own settings, the same for all jobs.
    """

    number: int
    overrides: list[str]
    varied: list[str]
    folder: Path
    hydra: list[str] = field(default_factory=list)


def end_with_the_sweep() -> None:
    """Lets this process end as by SIGTERM, its work saved, when the sweep that started it is gone."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def end_with_rank_0(grace: float = 10.0) -> None:
    """Lets this process, a further rank, end some seconds after rank 0, which started it, is gone.

    While it trains it would notice by itself; while it waits for rank 0 to be reached it waits half an hour.
    """
    parent = os.getppid()

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        time.sleep(grace)  # at the end of a run it may have something left to do
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def program() -> list[str]:
    """How this process was started: a script, or `python -m`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    script = os.path.abspath(sys.argv[0])
    if spec is not None and spec.origin and os.path.abspath(spec.origin) == script:
        return [sys.executable, "-m", spec.name]
    return [sys.executable, script]


def command(job: Job, flags: Sequence[str]) -> list[str]:
    """The job's command line; a job that was begun goes on.

    Args:
        job: what to run.
        flags: where further configs lie: `--config-dir DIR` and its kin.
    """
    folder = _as_value(str(job.folder))
    where = [f"hydra.run.dir={folder}", "hydra.mode=RUN", f"hydra.job.num={job.number - 1}"]
    if jobs.state(job.folder) == "begun":
        where += [f"resume={folder}", "hydra.output_subdir=null"]
    return [*program(), *flags, *job.overrides, *job.hydra, *where]


def _as_value(text: str) -> str:
    return text if re.fullmatch(r"[\w./-]+", text) else quoted(text)


def environment(job: Job, slot: int, n_jobs: int, devices: Sequence[str]) -> dict[str, str]:
    """A job's environment: of several slots each has its share of the threads and of the devices.

    Args:
        job: what to run.
        slot: from 0.
        n_jobs: how many slots there are.
        devices: the GPUs that this process sees.
    """
    env = {name: value for name, value in os.environ.items() if name not in _LAUNCHERS}
    env[JOB] = str(job.folder.resolve())
    if n_jobs > 1:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        allowed = int(env["OMP_NUM_THREADS"]) if env.get("OMP_NUM_THREADS", "").isdigit() else cores
        env["OMP_NUM_THREADS"] = str(max(1, min(allowed, cores // n_jobs)))
        if devices:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(share(devices, slot, n_jobs))
    return env


def share(devices: Sequence[str], slot: int, n_jobs: int) -> list[str]:
    """The devices of a slot: a part of its own where there are enough, else one that slots have in common."""
    if len(devices) < n_jobs:
        return [devices[slot % len(devices)]]
    return list(devices[slot * len(devices) // n_jobs : (slot + 1) * len(devices) // n_jobs])


def send(process: subprocess.Popen, number: int) -> None:
    """A signal for a job alone: it tells its ranks by itself, and its workers should not see it."""
    with suppress(ProcessLookupError):
        process.send_signal(number) if os.name != "nt" else process.terminate()


def kill_rest(process: subprocess.Popen) -> None:
    """Ends at once what is left of a job: itself, ranks and workers."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
