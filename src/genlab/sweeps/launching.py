"""What the launcher `subprocess` does: check all jobs, skip the finished, run the others, hand back numbers."""

import math
import os
import sys
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from genlab.config import without_hydra
from genlab.errors import UserError
from genlab.invocation import config_flags
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
        For each job its watched number; NaN for one that failed.

    Raises:
        UserError: `n_jobs` is no number above 0, a job's config is wrong, or two jobs would share a folder;
            then none is started.
        SystemExit: the user stopped the sweep.
    """
    if not isinstance(n_jobs, int) or n_jobs < 1:
        raise UserError(f"hydra.launcher.n_jobs must be a whole number, at least 1, got {n_jobs}")
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    sweep = leading.current()
    assert sweep is not None  # the gate has claimed the folder
    if not told:
        raise UserError("the sweep has no jobs: one of its choices has no values")
    configs = [_compose(context, config, overrides, first + k) for k, overrides in enumerate(told)]
    _check(configs, told)
    all_jobs = _jobs(told, first, configs, sweep)
    different = sorted({job.folder: job for job in reversed(all_jobs)}.values(), key=lambda job: job.number)
    waiting = [job for job in different if jobs.state(job.folder) != "finished"]
    for job in different:
        if (
            job not in waiting and jobs.read_record(job.folder) is None
        ):  # somebody lost it: the table needs it
            jobs.write_record(job.folder, jobs.Record(job.overrides, job.varied, 0))
    sweep.jobs += [job.folder for job in different]
    print(_header(sweep.folder, len(different), len(waiting), n_jobs), flush=True)
    Pool(
        waiting,
        total=sweep.total or first + len(told),
        n_jobs=n_jobs,
        flags=config_flags(sys.argv[1:]),
        ended=sweep.refresh,
        devices=_gpus(n_jobs),
    ).run()
    return [_outcome(job, cfg) for job, cfg in zip(all_jobs, configs, strict=True)]


def _jobs(told: list[list[str]], first: int, configs: list[DictConfig], sweep: leading.Sweep) -> list[Job]:
    """The jobs; one that is typed twice has one folder, and runs once.

    Raises:
        UserError: jobs that differ would share a folder.
    """
    hydra = [
        str(o) for o in configs[0].hydra.overrides.hydra if not str(o).lstrip("+~").startswith(_OF_THE_SWEEP)
    ]
    made: dict[Path, Job] = {}
    found = []
    for number, (overrides, cfg) in enumerate(zip(told, configs, strict=True), start=first + 1):
        job = Job(number, overrides, sweep.varied(overrides), _folder(cfg), hydra)
        if sorted(made.setdefault(job.folder, job).overrides) != sorted(overrides):
            raise UserError(f"{job.folder}: would be the folder of two jobs; leave hydra.sweep.subdir out")
        found.append(job)
    return found


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
    return f"sweep of {total} job{'s' * (total > 1)}{done}{at_a_time}, into {as_typed(folder)}"


def _gpus(n_jobs: int) -> list[str]:
    """The GPUs that this process sees, where there is something to share out."""
    if n_jobs == 1:
        return []
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return visible.split(",")
    import torch

    return [str(k) for k in range(torch.cuda.device_count())]


def _outcome(job: Job, cfg: DictConfig) -> JobReturn:
    """What Hydra hands to a sweeper: of a job that failed NaN, so that the sweep goes on."""
    value = math.nan if jobs.has_failed(job.folder) else jobs.watched_number(job.folder)
    return JobReturn(
        overrides=job.overrides,
        cfg=cfg,
        hydra_cfg=OmegaConf.create({"hydra": cfg.hydra}),
        working_dir=str(job.folder),
        task_name=cfg.hydra.job.name,
        status=JobStatus.COMPLETED,
        _return_value=value,
    )
