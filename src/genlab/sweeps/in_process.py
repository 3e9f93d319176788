"""A sweep's job in the process of the sweep, for `hydra/launcher=basic` and launchers of others."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from genlab import run_folder
from genlab.errors import UserError
from genlab.sweeps import jobs, leading
from genlab.tables import duration


def run(
    cfg: DictConfig, folder: Path, overrides: list[str], train: Callable[[DictConfig, Path], dict[str, Any]]
) -> float | None:
    """Runs a job, goes on with it, or takes its number where it is finished; leaves no trace in the process.

    Args:
        cfg: the job's config.
        folder: the job's folder; Hydra has written its own files there.
        overrides: what the job is told.
        train: called with both; gives what result.json holds.

    Returns:
        The number that the run watched.

    Raises:
        UserError: whatever the user can mend; it is in job.json, too.
    """
    from genlab.sweeps.isolation import isolated

    sweep = leading.current()
    told = sweep.varied(overrides) if sweep else overrides
    if sweep:
        sweep.jobs.append(folder)
        print(
            f"[{len(sweep.jobs)}/{sweep.total or '?'}] {jobs.describe(told)}{_time_left(sweep)}", flush=True
        )
    if jobs.state(folder) == "finished":
        if jobs.read_record(folder) is None:
            jobs.write_record(folder, jobs.Record(overrides, told, 0))
        return jobs.watched_number(folder)
    begun = run_folder.holds_training(folder)
    run_folder.claim(folder, resuming=begun, begun=True)
    if begun:
        cfg.resume = str(folder)
    record = jobs.Record(overrides, told)
    jobs.write_record(folder, record)
    try:
        _refuse_processes(cfg)
        with isolated():
            train(cfg, folder)
        record.exit_code = 0
    except Exception as error:
        record.exit_code, record.error = 1, (str(error).splitlines() or [type(error).__name__])[0]
        raise
    finally:
        jobs.write_record(folder, record)
        if sweep:
            sweep.refresh()
    return jobs.watched_number(folder)


def _time_left(sweep: leading.Sweep) -> str:
    """The time that the jobs from here on take, if they are like those before."""
    done = len(sweep.jobs) - 1
    if done == 0 or sweep.total is None:
        return ""
    return f": {duration((time.monotonic() - sweep.began) / done * (sweep.total - done))} left for the sweep"


def _refuse_processes(cfg: DictConfig) -> None:
    """Further ranks would start the whole sweep again."""
    devices = cfg.trainer.devices
    several = len(devices) > 1 if isinstance(devices, ListConfig) else devices not in ("auto", 1, "1")
    if str(cfg.trainer.strategy).startswith("ddp") or several or (cfg.trainer.get("num_nodes") or 1) > 1:
        raise UserError(
            f"trainer.devices={devices} needs processes of its own, which hydra/launcher=basic has not: "
            "use hydra/launcher=subprocess, the default"
        )
