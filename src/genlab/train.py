"""The verb `train`: validate, build, fit, and leave a folder that explains itself.

Heavy imports stand inside the functions: `--help`, completion and Hydra's own errors need none of them.
"""

import logging
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genlab import resuming, run_folder
from genlab.commandline import run_verb
from genlab.config import fill_name
from genlab.errors import UserError
from genlab.sweeps import in_process, jobs

log = logging.getLogger("genlab")


def main() -> None:
    """The command `python train.py`."""
    run_verb(_job, config="train")


def _job(cfg: DictConfig) -> float | None:
    """One run of the command line; gives a sweeper the number that was watched."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    fill_name(cfg, model=hydra.runtime.choices["model"], data=hydra.runtime.choices["data"])
    folder = run_folder.as_typed(Path(hydra.runtime.output_dir))
    if hydra.mode == RunMode.MULTIRUN and not run_folder.is_child():
        return in_process.run(cfg, folder, [str(o) for o in hydra.overrides.task], train)
    train(cfg, folder=folder)
    return jobs.watched_number(folder)


def train(cfg: DictConfig, folder: str | Path | None = None) -> dict[str, Any]:
    """Trains what the config says.

    Args:
        cfg: from `genlab.config.compose` or Hydra.
        folder: the run folder; None makes one under logs/.

    Returns:
        What also stands in the folder's result.json: how it ended, metrics, speed, sizes, versions.

    Raises:
        UserError: whatever the user can mend, in one sentence.
        Interrupted: the user stopped it; what was learnt so far is saved.
    """
    folder = Path(folder) if folder else run_folder.fresh_folder(cfg.name)
    if run_folder.rank() != 0 or run_folder.is_child():
        return _train(cfg, folder)
    lock = run_folder.claim(folder, resuming=cfg.resume is not None)
    try:
        return _train(cfg, folder)
    finally:
        lock.release()


def _train(cfg: DictConfig, folder: Path) -> dict[str, Any]:
    """The run itself, in a folder that is ours."""
    from genlab import assembly, report
    from genlab.callbacks.divergence import Diverged
    from genlab.callbacks.graceful_stop import Interrupted
    from genlab.validation import validate

    began = time.perf_counter()
    notes = assembly.settle(cfg)
    validate(cfg, facts_known=False)
    assembly.hush()
    if cfg.resume is not None:
        resuming.refuse_finished(folder, max_epochs=cfg.trainer.max_epochs, max_steps=cfg.trainer.max_steps)
        if run_folder.rank() == 0:
            resuming.remember(folder)
    checkpoint = run_folder.last_checkpoint(folder) if cfg.resume is not None else None
    if checkpoint:
        assembly.keep_identity(cfg, checkpoint)
    parts = assembly.assemble(cfg, folder, trained=checkpoint is not None)
    notes += [*getattr(parts.datamodule, "notes", []), *getattr(parts.model, "notes", [])]
    if cfg.resume is not None:
        notes.append(
            f"going on from {checkpoint}" if checkpoint else "no checkpoint yet: starting from the beginning"
        )
    first, before = parts.trainer.is_global_zero, 0.0
    if first:
        OmegaConf.save(OmegaConf.create(parts.config), folder / "config.yaml")
        if codec := getattr(parts.datamodule, "codec", None):
            run_folder.write_json(folder / "codec.json", codec.state())
        log.info(report.header(parts, folder, notes))
        earlier = run_folder.read_result(folder) or {}
        before = float(earlier.get("wall_seconds", 0)) + float(earlier.get("wall_seconds_before", 0))
        if earlier:  # until this process has ended, what it says holds no more
            run_folder.write_json(folder / "result.json", {**earlier, "ended": "running"})
    ended, error = "failed", None
    try:
        assembly.fit(parts, checkpoint)
        report.check_saved(parts.trainer, folder)
        ended = report.how_it_ended(parts.trainer)
    except Interrupted as stop:
        ended, error = "interrupted", stop.signal_name
        raise
    except Diverged as end:
        ended, error = "diverged", str(end)
        raise
    except SystemExit as end:
        # Lightning's answer to a Ctrl-C that comes before GracefulStop listens
        ended, error = ("interrupted", "SIGINT") if parts.trainer.interrupted else ("failed", str(end))
        raise SystemExit(130 if parts.trainer.interrupted else end.code) from None
    except BaseException as failure:
        named = "" if isinstance(failure, UserError) else f"{type(failure).__name__}: "
        error = f"{named}{failure}".splitlines()[0]
        raise
    finally:
        result = report.result(
            parts, ended=ended, error=error, seconds=time.perf_counter() - began, before=before
        )
        if first:
            run_folder.write_json(folder / "result.json", result)
    if first:
        log.info(report.summary(result, folder))
    return result


if __name__ == "__main__":
    main()
