"""Runs the jobs of a sweep in slots, shows how far they are, and hands signals on to them."""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from genlab.job_progress import forget, look
from genlab.run_folder import Busy, FolderLock, read_result
from genlab.sweeps import jobs
from genlab.sweeps.display import Display, Estimate, status
from genlab.sweeps.processes import Job, command, environment, kill_rest, send
from genlab.tables import duration

_STOPPED = {128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM, -9}
"""Exit codes of jobs that did what the user's signal asked for."""

_POLL = 0.05
"""Seconds between two looks at the processes."""


@dataclass
class Running:
    """A job at work in a slot."""

    job: Job
    slot: int
    process: subprocess.Popen
    began: float
    console_from: int
    result_before: dict[str, Any] | None


class Pool:
    """Runs jobs in a number of slots until all have ended, or the user stops them."""

    def __init__(
        self,
        waiting: list[Job],
        *,
        total: int,
        n_jobs: int,
        flags: list[str],
        devices: list[str],
        ended: Callable[[], None],
    ) -> None:
        """Takes the jobs.

        Args:
            waiting: the jobs to run, in this order.
            total: how many jobs the sweep has, finished ones included.
            n_jobs: how many run at a time, at least 1.
            flags: see `command`.
            devices: the GPUs to share out.
            ended: called after each job.
        """
        self._waiting, self._total, self._n_jobs = list(waiting), total, n_jobs
        self._flags, self._devices, self._ended = flags, devices, ended
        self._running: list[Running] = []
        self._stopped_by = 0
        self._signals = 0
        self._display = Display()
        self._estimate = Estimate(len(waiting))
        self._told_to_wait: set[int] = set()

    def run(self) -> None:
        """Runs them.

        Raises:
            SystemExit: the user stopped the sweep; its jobs have saved what they had learnt.
        """
        with self._listening():
            try:
                while self._running or (self._waiting and not self._stopped_by):
                    self._fill_slots()
                    self._collect()
                    self._show()
                    time.sleep(_POLL)
            finally:
                self._end_all()
        if self._stopped_by:
            raise SystemExit(128 + self._stopped_by)

    # -- processes ------------------------------------------------------------------------------------

    def _fill_slots(self) -> None:
        free = sorted(set(range(self._n_jobs)) - {running.slot for running in self._running})
        while free and not self._stopped_by and (job := self._next()):
            if jobs.state(job.folder) == "finished":  # by another process, while this one waited
                self._estimate.drop()
            else:
                self._running.append(self._start(job, free.pop(0)))

    def _next(self) -> Job | None:
        """The first job whose folder nobody else writes into."""
        for job in self._waiting:
            try:
                FolderLock(job.folder).release()
            except Busy:
                if job.number not in self._told_to_wait:
                    self._told_to_wait.add(job.number)
                    self._display.say(
                        f"{self._named(job)}: waits for another process that is at work in its folder"
                    )
                continue
            self._waiting.remove(job)
            return job
        return None

    def _start(self, job: Job, slot: int) -> Running:
        going_on = jobs.state(job.folder) == "begun"
        forget(job.folder)  # what an attempt that was killed told
        jobs.write_record(job.folder, jobs.Record(job.overrides, job.varied))
        line = command(job, self._flags)
        with open(job.folder / "console.log", "a", encoding="utf-8") as console:
            console.write(f"$ {shlex.join(line)}\n")
            console.flush()
            process = subprocess.Popen(
                line,
                env=environment(job, slot, self._n_jobs, self._devices),
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            told = os.fstat(console.fileno()).st_size
        if self._stopped_by:  # while it was being started: the signal did not reach it
            send(process, self._stopped_by)
        self._display.say(f"{self._named(job)}: {'goes on' if going_on else 'begins'}")
        return Running(job, slot, process, time.monotonic(), told, read_result(job.folder))

    def _end_all(self) -> None:
        """Lets the jobs that still run save and end: after an error of ours, none else leaves any."""
        for running in self._running:
            send(running.process, signal.SIGTERM)
        for running in self._running:
            running.process.wait()
            kill_rest(running.process)

    def _collect(self) -> None:
        for running in list(self._running):
            if (code := running.process.poll()) is not None:
                kill_rest(running.process)
                assert running.process.stdin is not None
                running.process.stdin.close()
                self._running.remove(running)
                self._conclude(running, code)
                self._ended()

    def _conclude(self, running: Running, code: int) -> None:
        """Records how a job ended, and tells."""
        job = running.job
        forget(job.folder)
        well = code == 0 and jobs.state(job.folder) == "finished"
        self._estimate.end(job.number, well=well)
        stopped = bool(self._stopped_by) and code in _STOPPED
        error = None if well or stopped else _error(running, code)
        seconds = time.monotonic() - running.began
        jobs.write_record(job.folder, jobs.Record(job.overrides, job.varied, code, error))
        if error:
            self._display.say(f"{self._named(job)}: failed after {duration(seconds)}: {error}")
        elif stopped:
            self._display.say(f"{self._named(job)}: stopped after {duration(seconds)}")
        else:
            self._display.say(f"{self._named(job)}: {_found(job.folder)} in {duration(seconds)}")

    def _show(self) -> None:
        looks = {}
        for running in self._running:
            seen = look(running.job.folder)
            self._estimate.see(running.job.number, seen.share)
            looks[f"{running.job.number}/{self._total}"] = seen
        if looks:
            self._display.show(status(looks, self._estimate.seconds_left()))

    def _named(self, job: Job) -> str:
        return f"[{job.number}/{self._total}] {jobs.describe(job.varied) or job.folder.name}"

    # -- signals --------------------------------------------------------------------------------------

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Signals go to the jobs, which are in sessions of their own; nothing new is started after one."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._stopped_by = self._stopped_by or number
        self._signals += 1
        if self._signals == 1:
            os.write(
                2, b"\nstopping the jobs after their batches; once more to leave at once without saving\n"
            )
        for running in self._running:
            kill_rest(running.process) if self._signals > 2 else send(running.process, number)


def _error(running: Running, code: int) -> str:
    """Why a job failed, in one line: its own word for it, else the last line it wrote."""
    if code < 0:
        known = {one.value: one.name for one in signal.Signals}
        return f"killed by {known.get(-code, f'signal {-code}')}"
    result = read_result(running.job.folder)
    if result and result.get("error") and result != running.result_before:
        return str(result["error"])
    with open(running.job.folder / "console.log", encoding="utf-8", errors="replace") as console:
        console.seek(running.console_from)
        lines = [line.strip() for line in console if line.strip()]
    return lines[-1] if lines else f"ended with exit code {code} and said nothing"


def _found(folder: Path) -> str:
    """The best value of what a job watched."""
    name, value = next(iter(jobs.best_metrics(read_result(folder)).items()), ("", None))
    return f"{name} {value:.4g}" if value is not None else "finished"
