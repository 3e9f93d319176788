"""As much of a model of series as shows that data, metrics, pictures and verbs do not ask which family they serve."""

from collections.abc import Callable

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from genlab.seeding import seeded


class StubSeries(LightningModule):
    """A mean at each step and column, learned by squares; samples lie around it."""

    def __init__(
        self,
        optimizer: Callable[..., Optimizer],
        num_features: int,
        sequence_length: int,
        spread: float = 0.1,
    ) -> None:
        super().__init__()
        self.painter = nn.ParameterList([torch.zeros(sequence_length, num_features)])
        self.spread, self._optimizer = spread, optimizer

    def _loss(self, target: Tensor) -> Tensor:
        return (self.painter[0] - target).square().mean()

    def training_step(self, batch, batch_idx):
        assert torch.equal(batch.input[:, 1:], batch.target[:, :-1])
        loss = self._loss(batch.target)
        return {"loss": loss, "objective": loss.detach()}

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self._loss(batch.target), batch_size=len(batch.target), sync_dist=True)

    def test_step(self, batch, batch_idx):
        self.log("test/loss", self._loss(batch.target), batch_size=len(batch.target), sync_dist=True)

    def configure_optimizers(self):
        return self._optimizer(self.parameters())

    def sampling_modules(self):
        return {"painter": self.painter}

    def sample(self, n, *, seed=None):
        mean = self.painter[0].detach()
        with seeded(seed):
            return mean + self.spread * torch.randn(n, *mean.shape)
