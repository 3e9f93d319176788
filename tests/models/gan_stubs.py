"""Small GANs on 4x4 images, and a Trainer for them."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback

sys.path.insert(0, str(Path(__file__).parents[1] / "callbacks"))

from callback_stubs import SIDE, quiet_trainer, run  # noqa: E402

from genlab.callbacks.checkpoints import Checkpoints  # noqa: E402
from genlab.callbacks.dashboard import Dashboard  # noqa: E402
from genlab.callbacks.ema import EMA  # noqa: E402
from genlab.callbacks.graceful_stop import GracefulStop  # noqa: E402
from genlab.callbacks.meter import Meter  # noqa: E402
from genlab.callbacks.random_streams import RandomStreams  # noqa: E402
from genlab.models.gan import GAN  # noqa: E402
from genlab.networks.conditioning import Unconditional  # noqa: E402
from genlab.networks.mlp import MLPDiscriminator, MLPGenerator  # noqa: E402
from genlab.objectives.adversarial import NonSaturating  # noqa: E402
from genlab.objectives.penalties import NoPenalty  # noqa: E402
from genlab.schedules import Constant  # noqa: E402

SHAPE = [1, SIDE, SIDE]


def gan(**changes: Any) -> GAN:
    """A GAN of two small fully connected networks."""
    torch.manual_seed(0)
    parts: dict[str, Any] = {
        "generator": partial(MLPGenerator, SHAPE, [8]),
        "discriminator": partial(MLPDiscriminator, SHAPE, [8]),
        "conditioning": Unconditional,
        "loss": NonSaturating(),
        "penalty": NoPenalty(),
        "augment": torch.nn.Identity(),
        "generator_optimizer": partial(torch.optim.Adam, lr=0.01),
        "discriminator_optimizer": partial(torch.optim.SGD, lr=0.1),
        "generator_scheduler": Constant(),
        "discriminator_scheduler": Constant(),
        "num_classes": 3,
        "latent_dim": 2,
    }
    return GAN(**{**parts, **changes})


def callbacks(*more: Callback, every_n_steps: int | None = None) -> list[Callback]:
    keeper = Checkpoints(monitor=None, every_n_steps=every_n_steps)
    return [RandomStreams(seed=5), Dashboard(), EMA(20.0), Meter(), keeper, GracefulStop(), *more]


def fit(
    folder: Path, model: GAN, *more: Callback, resume: bool = False, every: int | None = None, **settings: Any
) -> Any:
    """Trains a model; 7 batches an epoch, 3 epochs unless told otherwise."""
    trainer = quiet_trainer(folder, callbacks(*more, every_n_steps=every), **settings)
    run(trainer, model, resume=resume)  # type: ignore[arg-type]
    return trainer
