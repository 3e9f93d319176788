"""A pair of linear networks trained by hand, which breaks where a test tells it to."""

from collections.abc import Callable
from typing import Any

import torch
from callback_stubs import SIDE
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn.functional import softplus

from genlab.contracts import ImageBatch
from genlab.models.one_step import count_batches


class TinyGAN(LightningModule):
    """Adam for each of its networks, the generator's learning rate falling by step.

    Attributes:
        breaks: called as `breaks(model, told)` after the batches named, counted from one; may change both.
        told: what steps tell of the pair, beside the losses.
        noises: the first number of the noise of each step.
    """

    spherical = True

    def __init__(
        self, breaks: dict[int, Callable[["TinyGAN", dict[str, Any]], Any]] | None = None, **told: float
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        torch.manual_seed(3)
        self.generator = nn.Linear(3, SIDE * SIDE)
        self.discriminator = nn.Linear(SIDE * SIDE, 1)
        self.breaks, self.told = breaks or {}, told
        self.noises: list[float] = []

    def setup(self, stage: str) -> None:
        count_batches(self.trainer)

    def configure_optimizers(self) -> Any:
        g = torch.optim.Adam(self.generator.parameters(), lr=0.01)
        d = torch.optim.Adam(self.discriminator.parameters(), lr=0.01)
        return [g, d], [torch.optim.lr_scheduler.LambdaLR(g, lambda step: 1 / (1 + step))]

    def training_step(self, batch: ImageBatch, batch_idx: int) -> dict[str, Any]:
        g, d = self.optimizers()
        z = self.noise(len(batch.image))
        self.noises.append(z[0, 0].item())
        real, fake = (
            self.discriminator(batch.image.flatten(1)),
            self.discriminator(self.generator(z).detach()),
        )
        d_loss = softplus(-real).mean() + softplus(fake).mean()
        self.step(d, d_loss)
        g_loss = softplus(-self.discriminator(self.generator(z))).mean()
        self.step(g, g_loss)
        self.lr_schedulers().step()
        told = {"d_loss": d_loss.detach(), "g_loss": g_loss.detach()}
        told |= {name: torch.tensor(value) for name, value in self.told.items()}
        if broken := self.breaks.get(self.trainer.global_step + 1):
            broken(self, told)
        return told

    def step(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        self.log("val/size", self.generator.weight.square().mean(), batch_size=1, sync_dist=True)

    def noise(self, n: int) -> Tensor:
        return torch.randn(n, 3, device=self.device)

    def decode(self, z: Tensor) -> Tensor:
        return self.generator(z).tanh().view(-1, 1, SIDE, SIDE)

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        return self.decode(self.noise(n))

    def sampling_modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator}


def nan_loss(model: TinyGAN, told: dict[str, Any]) -> None:
    told["d_loss"] = torch.tensor(float("nan"))


@torch.no_grad()
def nan_weight(model: TinyGAN, told: dict[str, Any]) -> None:
    model.generator.weight[1, 2] = float("nan")
