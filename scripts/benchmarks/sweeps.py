"""A sweep of eight tiny jobs, by launcher."""

import tempfile

from benchmarks.measure import Row, compare
from benchmarks.processes import ROOT, Seconds, seconds

JOBS = 8


def rows(quick: bool) -> list[Row]:
    repeats = 1 if quick else 3
    return [
        compare(
            f"{JOBS} tiny jobs: launcher subprocess, n_jobs={slots} / basic",
            "s",
            ours=lambda s=slots: sweep("hydra/launcher=subprocess", f"hydra.launcher.n_jobs={s}"),
            other=lambda: sweep("hydra/launcher=basic"),
            repeats=repeats,
        )
        for slots in (1, 2)
    ]


def sweep(*launcher: str, jobs: int = JOBS) -> Seconds:
    """How long a sweep over seeds takes, each job a network of linear layers trained for six batches."""
    seeds = ",".join(map(str, range(jobs)))
    with tempfile.TemporaryDirectory() as folder:
        return seconds(
            str(ROOT / "train.py"), "-m", *launcher, f"seed={seeds}", "debug=fast", "model/network=mlp",
            folder=folder,
        )  # fmt: skip
