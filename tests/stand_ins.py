"""Classes that the tests' configs name: smaller than real ones, shaped alike."""

import os
from collections.abc import Callable
from typing import Literal

import torch
from pytorch_lightning import Callback, LightningModule
from torch.nn.functional import softplus
from torch.optim import Optimizer

from genlab.contracts import Decoder, Encoder
from genlab.seeding import seeded


class Loss:
    pass


class ELBO(Loss):
    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta


class Hinge:
    pass


class Network:
    def __init__(self, width: int, *, outputs: int = 1) -> None:
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        self.width = width


class Data:
    def __init__(self, image_shape: list[int] | None = None, batch_size: int = 8) -> None:
        self.image_shape = image_shape


class Model:
    def __init__(
        self,
        loss: Loss,
        network: Callable[..., Network],
        image_shape: list[int],
        mode: Literal["sum", "mean"] = "sum",
        betas: tuple[float, float] = (0.9, 0.999),
        rate: float | None = None,
    ) -> None:
        self.loss, self.network = loss, network


class Trainer:
    def __init__(self, max_epochs: int | None = None) -> None:
        self.max_epochs = max_epochs


class KillAt(Callback):
    """Sends this process a signal after a step, while the environment says which."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self.step and "KILL_WITH" in os.environ:
            os.kill(os.getpid(), int(os.environ["KILL_WITH"]))


class StubGAN(LightningModule):
    """As much of a GAN as shows that networks, data, callbacks and verbs do not ask which family they serve."""

    def __init__(
        self,
        generator: Callable[..., Decoder],
        discriminator: Callable[..., Encoder],
        optimizer: Callable[..., Optimizer],
        image_shape: list[int],
        latent_dim: int,
    ) -> None:
        super().__init__()
        self.generator = generator(latent_dim=latent_dim, params_per_value=1)
        self.discriminator = discriminator(out_features=1)
        self.latent_dim, self._optimizer = latent_dim, optimizer

    def training_step(self, batch, batch_idx):
        logits = self.discriminator(self.sample(len(batch.image)))
        loss = softplus(-logits).mean()
        return {"loss": loss, "g_loss": loss.detach()}

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return self._optimizer(self.parameters())

    def sampling_modules(self):
        return {"generator": self.generator}

    def sample(self, n, *, seed=None):
        with seeded(seed):
            z = torch.randn(n, self.latent_dim)
        return self.generator(z)[:, 0].tanh()
