"""From a validated config to the objects of a run: data first, then model, callbacks, loggers, trainer."""

import atexit
import logging
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import distributed

from genlab import run_folder
from genlab.checkpoint import AtomicCheckpointIO, StoreConfig, init_weights, read
from genlab.codecs.registry import state_of
from genlab.config import build, plain
from genlab.contracts import Data, RunCard
from genlab.errors import UserError
from genlab.invocation import command
from genlab.lean_steps import keep_heap, shorten_steps, spare_empty_hooks, spare_lookups
from genlab.sweeps.jobs import read_record, settings
from genlab.validation import validate


@dataclass
class Parts:
    """The objects of a run, and the plain config that they were built from."""

    config: dict[str, Any]
    datamodule: Data
    model: LightningModule
    trainer: Trainer
    unmatched: list[str]


def settle(cfg: DictConfig) -> list[str]:
    """Mends the combinations that the libraries refuse or silently change.

    Returns:
        What was changed, for the user to read.
    """
    notes = []
    precision = str(OmegaConf.select(cfg, "trainer.precision"))
    if precision in ("16-mixed", "16"):
        accelerator = str(cfg.trainer.accelerator)
        if accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available()):
            notes.append(f"trainer.precision={precision} needs a GPU: training in bf16-mixed")
            cfg.trainer.precision = "bf16-mixed"
        elif accelerator != "mps":
            notes += [
                f"{path}.fused is off: under 16-mixed gradients are unscaled outside of the optimizer"
                for path in _switch_fused_off(cfg.model, "model")
            ]
    return notes


def _switch_fused_off(node: Any, path: str) -> list[str]:
    if not isinstance(node, DictConfig):
        return []
    here = [path] if node.get("fused") is True else []
    if here:
        node.fused = False
    return here + [p for key in node for p in _switch_fused_off(node._get_node(key), f"{path}.{key!s}")]


KEPT = {"data", "model", "metrics", "name", "seed", "init_from", "compile", "channels_last"}
"""What a resumed run takes from its checkpoint: its options in conf/ may have changed since."""


def keep_identity(cfg: DictConfig, checkpoint: Path) -> None:
    """Makes a resumed run the run it was: what may not change is what the checkpoint says.

    Raises:
        UserError: the checkpoint cannot be read.
    """
    try:
        stored = read(checkpoint)["genlab"]["config"]
    except UserError as error:
        raise UserError(
            f"{error}; init_from={checkpoint.with_name('best.ckpt')} begins a new run from the best weights"
        ) from error
    for key in KEPT & stored.keys():  # an older genlab's has fewer
        cfg[key] = stored[key]


def hush() -> None:
    """Silences exactly what the user can do nothing about."""
    for name in ("pytorch_lightning", "lightning_fabric", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step.*")
    warnings.filterwarnings(
        "ignore", message=".*The number of training batches .* is smaller than the logging.*"
    )


def assemble(cfg: DictConfig, folder: Path, *, trained: bool = False) -> Parts:
    """Builds everything a run needs, in the order in which one part tells the next its sizes.

    Args:
        cfg: a validated config; the facts that only the data can tell are written into it.
        folder: the run folder.
        trained: a checkpoint will be loaded, so that other weights need not be.

    Raises:
        UserError: a part cannot be built.
    """
    # numbers below 1e-38 become 0: a CPU takes many times as long over them, and iwae's weights are full of them
    torch.set_flush_denormal(True)
    seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule = read_data(cfg, folder)
    validate(cfg)
    config = plain(cfg)
    model = build(config["model"], path="model")
    spare_empty_hooks([model], LightningModule)
    model.run_config, model.codec = config, getattr(datamodule, "codec", None)
    model.run_card = RunCard(
        OmegaConf.to_yaml(config), settings(folder, config), command(), swept=read_record(folder) is not None
    )
    if hasattr(model, "start_from") and hasattr(datamodule, "mean_image"):
        model.start_from(datamodule.mean_image())
    unmatched = init_weights(model, cfg.init_from) if cfg.init_from and not trained else []
    if cfg.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if cfg.compile:
        for network in model.sampling_modules().values():
            network.compile()
    return Parts(config, datamodule, model, build_trainer(config, folder, model), unmatched)


def read_data(cfg: DictConfig, folder: Path) -> Data:
    """Builds the datamodule, lets it read, and writes its facts into the config where they are null."""
    datamodule: Data = build(cfg.data, path="data")
    ready = folder / ".data_ready"
    if run_folder.rank() == 0 or run_folder.is_child():
        datamodule.prepare_data()
        if "TORCHELASTIC_RUN_ID" in os.environ:
            folder.mkdir(parents=True, exist_ok=True)
            ready.write_text(run_folder.stamp())
    else:
        _wait_for(ready, run_folder.stamp())
    datamodule.setup("fit")
    for name, value in datamodule.facts().items():
        known = cfg.data.get(name, ())
        if known is None or (isinstance(known, ListConfig) and None in known):
            cfg.data[name] = value
    return datamodule


def _wait_for(file: Path, content: str, minutes: float = 60) -> None:
    """Under torchrun: rank 0 prepares the data, the others wait for its word."""
    until = time.monotonic() + 60 * minutes
    while not (file.exists() and file.read_text() == content):
        if time.monotonic() > until:
            raise UserError(f"rank 0 has not prepared the data within {minutes:.0f} minutes")
        time.sleep(0.1)


def build_trainer(config: dict[str, Any], folder: Path, model: LightningModule) -> Trainer:
    """The Trainer with the run's callbacks, loggers and atomic checkpoints.

    Raises:
        UserError: Lightning refuses the hardware or a combination of settings.
    """
    callbacks: list[Callback] = [StoreConfig(config, state_of(getattr(model, "codec", None)))]
    callbacks += [
        build(node, path=f"callbacks.{name}") for name, node in (config["callbacks"] or {}).items() if node
    ]
    if not config["trainer"].get("enable_progress_bar", True):
        callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
    spare_empty_hooks(callbacks)
    loggers = [build(node, path=f"logger.{name}") for name, node in (config["logger"] or {}).items() if node]
    arguments = {**config["trainer"], "_partial_": True}
    if not model.automatic_optimization:
        _refuse_automatic(arguments)
        if arguments["strategy"] in ("ddp", "ddp_spawn", "ddp_fork"):
            arguments["strategy"] += "_find_unused_parameters_true"  # each of its losses leaves a network out
    make = build(arguments, path="trainer")
    try:
        trainer: Trainer = make(
            callbacks=callbacks, logger=loggers, default_root_dir=str(folder), plugins=[AtomicCheckpointIO()]
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(f"trainer: {str(error).splitlines()[0]}") from error
    spare_lookups(trainer)
    keep_heap()
    profiler: Any = vars(trainer)["profiler"]
    if getattr(profiler, "dirpath", "") is None:
        profiler.dirpath = folder
    return trainer


def _refuse_automatic(trainer: dict[str, Any]) -> None:
    """Names what a model that steps its optimizers by hand has in place of the trainer's settings."""
    for name, default, instead in (
        ("gradient_clip_val", None, "gradient_clip"),
        ("accumulate_grad_batches", 1, "accumulate"),
    ):
        if trainer.get(name) not in (default, None, 0):
            raise UserError(
                f"trainer.{name} does not reach a model that steps several optimizers: set model.{instead}={trainer[name]}"
            )


def fit(parts: Parts, checkpoint: Path | None) -> None:
    """Trains, from a checkpoint where there is one.

    Raises:
        UserError: Lightning refuses the settings.
    """
    shorten_steps(parts.trainer, parts.model)
    try:
        parts.trainer.fit(
            parts.model,
            datamodule=parts.datamodule,  # type: ignore[arg-type]
            ckpt_path=str(checkpoint) if checkpoint else None,
            weights_only=True,
        )
    except MisconfigurationException as error:
        raise UserError(f"trainer: {str(error).splitlines()[0]}") from error
    finally:
        if distributed.is_available() and distributed.is_initialized():
            atexit.register(_leave_processes)


def _leave_processes() -> None:
    """Ends gloo's threads before the interpreter does: at times that aborts a run that went well."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
