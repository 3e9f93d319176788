"""The side of pythae, in a process and a virtual environment of its own; knows nothing of genlab.

    python -m benchmarks.pythae_child train FOLDER EPOCHS [fused]
    python -m benchmarks.pythae_child nll FOLDER K IMAGES

What both sides are given lies in FOLDER, see `benchmarks.against_pythae`; the answer is put there as answer.json.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn

from benchmarks.plain_vae import BATCH, LATENT, networks

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Encoder(BaseEncoder):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> ModelOutput:
        mean, log_var = self.layers(x.flatten(1)).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_var)


class Decoder(BaseDecoder):
    """Gives probabilities, as pythae wants them."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z).sigmoid().unflatten(1, (1, 28, 28)))


class NoteEpochs(TrainingCallback):
    """When epochs and their validations begin, and when the last epoch ends."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.trained: list[float] = []

    def on_epoch_begin(self, training_config: Any, **kwargs: Any) -> None:
        self.began.append(time.perf_counter())

    def on_eval_step_begin(self, training_config: Any, **kwargs: Any) -> None:
        self.trained.append(time.perf_counter())

    def on_epoch_end(self, training_config: Any, **kwargs: Any) -> None:
        self.ended = time.perf_counter()


def model(folder: Path) -> VAE:
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    encoder, decoder = networks(torch.load(folder / "weights.pt"))
    return VAE(config, Encoder(encoder), Decoder(decoder))


def train(folder: Path, epochs: str, fused: str = "") -> dict[str, Any]:
    """Its own pipeline, trainer, dataset and callbacks, and a dataset to validate on as ours has."""
    images = torch.load(folder / "images.pt")
    data, held_back = (
        BaseDataset(images[split].float() / 255, torch.zeros(len(images[split])))
        for split in ("train", "val")
    )
    config = BaseTrainerConfig(
        output_dir=str(folder / "pythae"),
        num_epochs=int(epochs),
        learning_rate=1e-3,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        optimizer_params={"fused": True} if fused else None,
    )
    notes = NoteEpochs()
    TrainingPipeline(model(folder), config)(data, held_back, callbacks=[notes])
    return {"began": notes.began, "trained": notes.trained, "ended": notes.ended}


@torch.no_grad()
def nll(folder: Path, k: str, images: str) -> dict[str, float]:
    """Without gradients, which pythae would keep: so it is some percent faster."""
    x = (torch.load(folder / "images.pt")["test"] > 127).float().to(DEVICE)
    vae = model(folder).to(DEVICE).eval()
    rows = min(int(k), 100)  # pythae draws no fewer than it decodes at once, 100 if nobody says so
    vae.get_nll(x[:2], n_samples=int(k), batch_size=rows)  # the first is slower than all others
    began = time.perf_counter()
    log_p = vae.get_nll(x[: int(images)], n_samples=int(k), batch_size=rows)
    return {"seconds": time.perf_counter() - began, "nats": -float(log_p)}


if __name__ == "__main__":
    task, place, *rest = sys.argv[1:]
    answer = {"train": train, "nll": nll}[task](Path(place), *rest)
    (Path(place) / "answer.json").write_text(json.dumps(answer))
