"""A tiny model that draws noise everywhere, a loader that remembers its place, and a quiet Trainer."""

import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from genlab.callbacks.checkpoints import Checkpoints
from genlab.callbacks.csv_log import CSVLog
from genlab.callbacks.dashboard import Dashboard
from genlab.callbacks.early_stopping import EarlyStopping
from genlab.callbacks.ema import EMA
from genlab.callbacks.graceful_stop import GracefulStop
from genlab.callbacks.interpolation_strip import InterpolationStrip
from genlab.callbacks.latent_arithmetic import LatentArithmetic
from genlab.callbacks.latent_projector import LatentProjector
from genlab.callbacks.latent_scatter import LatentScatter
from genlab.callbacks.latent_traversal import LatentTraversal
from genlab.callbacks.latent_use import LatentUse
from genlab.callbacks.meter import Meter
from genlab.callbacks.pictures import ReconstructionGrid, SampleGrid
from genlab.callbacks.random_streams import RandomStreams
from genlab.callbacks.throughput import Throughput
from genlab.callbacks.watchdog import Watchdog
from genlab.contracts import ImageBatch, Posterior

IMAGES, SIDE = 26, 4


class TinyLoader:
    """Batches of fixed images, shuffled by epoch; resumes inside an epoch."""

    def __init__(self, *, batch_size: int = 4, shuffle: bool = True, images: int = IMAGES) -> None:
        generator = torch.Generator().manual_seed(1)
        self.images = torch.rand(images, 1, SIDE, SIDE, generator=generator) * 2 - 1
        self.batch_size, self.shuffle = batch_size, shuffle
        self.epoch, self.done, self.start = 0, 0, 0
        self.batch_sampler = SimpleNamespace(sampler=self)  # where Lightning looks for set_epoch

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[ImageBatch]:
        generator = torch.Generator().manual_seed(self.epoch)
        count = len(self.images)
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        self.done, self.start = self.start, 0
        for rows in order.split(self.batch_size)[self.done :]:
            self.done += 1
            yield ImageBatch(self.images[rows], torch.zeros(len(rows), dtype=torch.int64))

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.start = state["epoch"], state["done"]


class TinyModel(LightningModule):
    """A noisy autoencoder with dropout and batch norm, whose encoder and decoder can be averaged."""

    charts = {"loss": ["train/objective", "val/loss"]}

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        size = SIDE * SIDE
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, 3), nn.BatchNorm1d(3), nn.Dropout(0.3))
        self.decoder = nn.Linear(3, size)
        self.seen: list[Tensor] = []

    def training_step(self, batch: ImageBatch, batch_idx: int) -> dict[str, Tensor]:
        self.seen.append(batch.image[:, 0, 0, 0].clone())
        z = self.encoder(batch.image)
        z = z + torch.randn_like(z) * random.random() * np.random.rand()
        loss = (self.decoder(z) - batch.image.flatten(1)).square().mean()
        return {"loss": loss, "objective": loss.detach(), "size": z.detach().square().mean()}

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        z = self.encode(batch.image)
        z = z + 0.1 * torch.randn_like(z) * random.random()
        loss = (self.decoder(z) - batch.image.flatten(1)).square().mean()
        self.log_dict({"val/loss": loss, "val/kl": z.mean()}, batch_size=len(batch.image), sync_dist=True)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + 0.1 * step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def sampling_modules(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "decoder": self.decoder}

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        return self.decode(torch.randn(n, 3))

    def encode(self, image: Tensor) -> Tensor:
        return self.encoder(image)

    def infer(self, batch: ImageBatch) -> Posterior:
        mean = self.encode(batch.image)
        return Posterior(mean + 0.1 * torch.randn_like(mean), torch.zeros_like(mean), mean.square() / 2)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z).tanh().view(-1, 1, SIDE, SIDE)

    def reconstruct(self, image: Tensor) -> Tensor:
        return self.decode(self.encode(image))


def all_callbacks(*, half_life: float | None = 20.0, every_n_steps: int | None = None) -> list[Callback]:
    """Those of conf/callbacks/vae.yaml in their order, without the progress bar."""
    return [
        RandomStreams(seed=5),
        Dashboard(),
        Watchdog(every_n_steps=2, on_nan="rollback"),
        EMA(half_life),
        Meter(),
        Throughput(),
        EarlyStopping(patience=50),
        Checkpoints(every_n_steps=every_n_steps),
        GracefulStop(),
        SampleGrid(n=4),
        ReconstructionGrid(n=3),
        InterpolationStrip(rows=2, every_n_epochs=2),
        LatentTraversal(n=2, every_n_epochs=2),
        LatentProjector(n=3),
        LatentScatter(n=8, every_n_epochs=1),
        LatentArithmetic(n=2, every_n_epochs=2),
        LatentUse(n=8),
    ]


def quiet_trainer(folder: Path, callbacks: list[Callback], **settings: Any) -> Trainer:
    """A Trainer on one CPU process that prints nothing."""
    defaults: dict[str, Any] = {
        "max_epochs": 3,
        "accelerator": "cpu",
        "devices": 1,
        "log_every_n_steps": 3,
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(isinstance(c, Checkpoints) for c in callbacks),
        "logger": [CSVLog()],
    }
    if settings.get("max_steps", -1) != -1:
        defaults["max_epochs"] = None
    return Trainer(default_root_dir=str(folder), callbacks=callbacks, **{**defaults, **settings})


def run(trainer: Trainer, model: LightningModule | None = None, *, resume: bool = False) -> TinyModel:
    """Fits a fresh model, from last.ckpt of the trainer's folder where asked."""
    model = model or TinyModel()
    path = Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(
            model,
            TinyLoader(),
            TinyLoader(shuffle=False),
            ckpt_path=str(path) if resume else None,
            weights_only=True,
        )
    return model


class Kill(Callback):
    """Ends the process, as far as a test can, at a hook after so many batches began."""

    def __init__(self, batches: int, hook: str = "on_train_batch_start") -> None:
        self.batches = batches
        setattr(self, hook, self.kill)

    def kill(self, trainer: Trainer, *args: Any) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == self.batches:
            raise Killed


class Killed(RuntimeError):
    pass
