"""What the launcher `subprocess` does: check all jobs, skip the finished, run the others, hand back numbers."""

import os
import sys
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from genlab.config import without_hydra
from genlab.errors import UserError
from genlab.run_folder import as_typed
from genlab.sweeps import jobs, leading
from genlab.sweeps.pool import Pool
from genlab.sweeps.processes import Job

_OF_THE_SWEEP = (
    "hydra.mode",
    "hydra.sweep",
    "hydra/launcher",
    "hydra.launcher",
    "hydra/sweeper",
    "hydra.sweeper",
)
"""Settings of Hydra's that a job must not be given."""

_FLAGS = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp")
"""Hydra's flags that say where configs lie."""


class Outcome(JobReturn):
    """A job's number for the sweeper; of a failed one the error, raised without Hydra's own word for it."""

    def _get(self) -> Any:
        if isinstance(self._return_value, Exception):
            raise self._return_value
        return self._return_value

    def _set(self, value: Any) -> None:
        self._return_value = value

    return_value = property(_get, _set)


def launch(
    told: list[list[str]], first: int, *, context: HydraContext, config: DictConfig, n_jobs: int
) -> list[JobReturn]:
    """Runs the jobs of a sweep, or of a batch of it.

    Args:
        told: the overrides of each job.
        first: the number of jobs in earlier batches.
        context: Hydra's.
        config: the sweep's.
        n_jobs: jobs at a time.

    Returns:
        For each job its watched number; a failed one raises when it is asked for.

    Raises:
        UserError: `n_jobs` is below 1, or a job's config is wrong; then none is started.
        SystemExit: the user stopped the sweep.
    """
    if n_jobs < 1:
        raise UserError(f"hydra.launcher.n_jobs must be at least 1, got {n_jobs}")
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    sweep = leading.current() or leading.begin(Path(config.hydra.sweep.dir), config.hydra.overrides.task)
    configs = [_compose(context, config, overrides, first + k) for k, overrides in enumerate(told)]
    _check(configs, told)
    hydra = [
        str(o) for o in config.hydra.overrides.hydra if not str(o).lstrip("+~").startswith(_OF_THE_SWEEP)
    ]
    all_jobs = [
        Job(first + k + 1, overrides, sweep.varied(overrides), _folder(cfg), hydra)
        for k, (overrides, cfg) in enumerate(zip(told, configs, strict=True))
    ]
    by_folder = {job.folder: job for job in reversed(all_jobs)}  # what is typed twice runs once
    waiting = [
        job for job in all_jobs if by_folder[job.folder] is job and jobs.state(job.folder) != "finished"
    ]
    sweep.jobs += by_folder
    print(_header(sweep.folder, len(told), len(waiting), n_jobs), flush=True)
    Pool(
        waiting,
        total=first + len(told),
        n_jobs=n_jobs,
        flags=flags(sys.argv[1:]),
        ended=sweep.refresh,
        devices=_gpus(n_jobs),
    ).run()
    return [_outcome(job, cfg) for job, cfg in zip(all_jobs, configs, strict=True)]


def _compose(context: HydraContext, config: DictConfig, overrides: list[str], number: int) -> DictConfig:
    cfg = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(cfg):
        cfg.hydra.job.id, cfg.hydra.job.num = str(number), number
    return cfg


def _check(configs: list[DictConfig], told: list[list[str]]) -> None:
    """Validates every job before one is started.

    Raises:
        UserError: what is wrong, with the first job that it is wrong in.
    """
    from genlab.validation import validate

    for cfg, overrides in zip(configs, told, strict=True):
        try:
            validate(without_hydra(cfg), facts_known=False)
        except UserError as error:
            raise UserError(f"{error}\n(in the job {' '.join(overrides)}; no job was started)") from error


def _folder(cfg: DictConfig) -> Path:
    return Path(cfg.hydra.sweep.dir) / cfg.hydra.sweep.subdir


def _header(folder: Path, total: int, waiting: int, n_jobs: int) -> str:
    done = f", {total - waiting} of them done already" if waiting < total else ""
    at_a_time = f", {n_jobs} at a time" if n_jobs > 1 else ""
    return f"sweep of {total} jobs{done}{at_a_time}, into {as_typed(folder)}"


def flags(arguments: list[str]) -> list[str]:
    """Those of a command line's flags that say where configs lie, with their values."""
    kept: list[str] = []
    for k, argument in enumerate(arguments):
        if argument in _FLAGS:
            kept += arguments[k : k + 2]
        elif argument.startswith(tuple(f"{flag}=" for flag in _FLAGS)):
            kept.append(argument)
    return kept


def _gpus(n_jobs: int) -> list[str]:
    """The GPUs that this process sees, where there is something to share out."""
    if n_jobs == 1:
        return []
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return visible.split(",")
    import torch

    return [str(k) for k in range(torch.cuda.device_count())]


def _outcome(job: Job, cfg: DictConfig) -> JobReturn:
    record = jobs.read_record(job.folder)
    failed = jobs.has_failed(job.folder)
    value: Any = jobs.watched_number(job.folder)
    if failed:
        value = UserError(f"{job.folder}: {record.error if record else 'failed'}")
    return Outcome(
        overrides=job.overrides,
        cfg=cfg,
        hydra_cfg=OmegaConf.create({"hydra": cfg.hydra}),
        working_dir=str(job.folder),
        task_name=cfg.hydra.job.name,
        status=JobStatus.FAILED if failed else JobStatus.COMPLETED,
        _return_value=value,
    )
