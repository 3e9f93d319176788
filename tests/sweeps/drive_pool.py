"""A sweep for tests that send it signals: `drive_pool.py FOLDER N_JOBS OVERRIDES...`, overrides of a job with spaces."""

import sys
from pathlib import Path

from genlab.sweeps import processes
from genlab.sweeps.pool import Pool
from genlab.sweeps.processes import Job

JOB = Path(__file__).with_name("stand_in_job.py")


def make_jobs(sweep: Path, *lines: str) -> list[Job]:
    """A job for each line of overrides, which is told its number as `job=`."""
    told = [[*line.split(), f"job={number}"] for number, line in enumerate(lines, start=1)]
    return [Job(n, overrides, overrides[:-1], sweep / str(n)) for n, overrides in enumerate(told, start=1)]


def run_pool(
    jobs: list[Job], *, n_jobs: int = 1, flags: tuple[str, ...] = (), devices: tuple[str, ...] = ()
) -> int:
    """Runs them to their end; gives how often the pool told of an end."""
    told = []
    pool = Pool(
        jobs,
        total=len(jobs),
        n_jobs=n_jobs,
        flags=list(flags),
        devices=list(devices),
        ended=lambda: told.append(1),
    )
    pool.run()
    return len(told)


if __name__ == "__main__":
    processes.program = lambda: [sys.executable, str(JOB)]
    run_pool(make_jobs(Path(sys.argv[1]), *sys.argv[3:]), n_jobs=int(sys.argv[2]))
