"""What a sweep shows while it runs: which job of how many, its rate, the time left for all."""

import math
import shutil
import sys
import time
from collections.abc import Sequence

from genlab.job_progress import Look
from genlab.tables import duration

REFRESH = 0.5
"""Seconds between two looks of the line on a terminal."""

EVERY = 20.0
"""Seconds between two lines where the output is no terminal."""


class Estimate:
    """The time that a sweep still needs, by the work done since it was started."""

    def __init__(self, jobs: int) -> None:
        self._left = float(jobs)
        self._shares: dict[int, tuple[float, float]] = {}
        self._done = 0.0
        self._began = time.monotonic()

    def see(self, job: int, share: float | None) -> None:
        """Takes note of a running job's share, if it tells; what a resumed job had done before does not count."""
        if share is None:
            return
        first = self._shares.get(job, (share, share))[0]
        self._shares[job] = (first, share)

    def end(self, job: int, *, well: bool) -> None:
        """Takes note of a job that has ended; of one that failed what it did counts, not what it did not."""
        first, last = self._shares.pop(job, (0.0, 0.0))
        self._done += (1.0 if well else last) - first
        self._left -= 1

    def drop(self) -> None:
        """Takes note of a job that somebody else has done."""
        self._left -= 1

    def seconds_left(self) -> float | None:
        """None before anything is done."""
        done = self._done + sum(now - first for first, now in self._shares.values())
        left = self._left - sum(now for _, now in self._shares.values())
        return (time.monotonic() - self._began) / done * max(0.0, left) if done > 0 else None


class Display:
    """Lines that stay, and on a terminal one line beneath them that is renewed."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._shown_at = -math.inf if self._live else time.monotonic()

    def say(self, text: str) -> None:
        """Prints a line that stays."""
        print(f"\r\033[K{text}" if self._live else text, flush=True)
        self._shown_at = -math.inf if self._live else time.monotonic()

    def show(self, parts: Sequence[str]) -> None:
        """Renews the line, if it is time to."""
        if time.monotonic() - self._shown_at < (REFRESH if self._live else EVERY):
            return
        self._shown_at = time.monotonic()
        line = "  ".join(parts)
        if self._live:
            print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
        else:
            print(line, flush=True)


def status(looks: dict[str, Look], left: float | None) -> list[str]:
    """The parts of the line: each running job with its look, then the time left for the sweep."""
    parts = [f"[{name}] {seen.text}" for name, seen in looks.items()]
    return parts if left is None else [*parts, f"{duration(left)} left for the sweep"]
