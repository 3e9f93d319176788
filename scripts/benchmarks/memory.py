"""Whether a process that runs job after job stays as large as it was."""

import statistics
import tempfile
from pathlib import Path

from benchmarks.measure import Row
from benchmarks.processes import ROOT, seconds

MIB = 2**20


def rows(quick: bool) -> list[Row]:
    jobs = 15 if quick else 50
    return [flatness(in_one_process(jobs))]


def in_one_process(jobs: int) -> list[float]:
    """MiB of a process at the start of each job of a sweep with the launcher `basic`; Linux only."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "memory"
        seconds(
            str(ROOT / "train.py"), "-m", "hydra/launcher=basic", f"seed=range({jobs})", "debug=fast",
            "model/network=mlp", "+callbacks.note._target_=benchmarks.stops.NoteMemory",
            f"+callbacks.note.file={notes}",
            folder=folder,
        )  # fmt: skip
        return [int(line) / MIB for line in notes.read_text().split()]


def flatness(sizes: list[float]) -> Row:
    """The last fifth of the jobs beside the second fifth: in the first, libraries are still being loaded."""
    fifth = len(sizes) // 5
    pairs = list(zip(sizes[-fifth:], sizes[fifth : 2 * fifth], strict=True))
    late, early = (statistics.median(part) for part in zip(*pairs, strict=True))
    name = f"{len(sizes)} jobs in one process: the last {fifth} / jobs {fifth + 1} to {2 * fifth}"
    return Row(name, "MiB", late, early, ratio=early / late, reach=0.98, pairs=pairs)
