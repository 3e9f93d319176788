"""A family of models: probabilistic principal component analysis, trained by gradient.

Letters in shapes: B batch, C channels, H height, W width, D = C * H * W values, L latent dimensions.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from genlab.contracts import ImageBatch
from genlab.errors import UserError
from genlab.models.optimization import configure, make_optimizer, step_plateau
from genlab.schedules import Plateau, Schedule
from genlab.seeding import seeded


class LinearGaussian(nn.Module):
    """z ~ N(0, I), x = W z + mean + N(0, sigma^2 I), so that x ~ N(mean, W W' + sigma^2 I) exactly.

    Tipping & Bishop 1999, "Probabilistic principal component analysis", section 3.
    """

    def __init__(self, dim: int, latent_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(dim, latent_dim))
        self.mean = nn.Parameter(torch.zeros(dim))
        self.log_sigma = nn.Parameter(torch.tensor(-1.0))

    def forward(self, z: Tensor) -> Tensor:
        """The expected x `[B, D]` at latents `[B, L]`."""
        return z @ self.weight.T + self.mean

    def posterior_mean(self, x: Tensor) -> Tensor:
        """The expected z `[B, L]` at `[B, D]`: M^-1 W' (x - mean) with M = W' W + sigma^2 I."""
        return torch.cholesky_solve(self.weight.T @ (x - self.mean).T, self._factor()).T

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density `[B]` of `[B, D]`, in nats; of the D x D covariance only the L x L matrix M is inverted."""
        dim, latent_dim = self.weight.shape
        factor, centred = self._factor(), x - self.mean
        shared = torch.linalg.solve_triangular(factor, self.weight.T @ centred.T, upper=False)  # [L, B]
        distance = (centred.square().sum(1) - shared.square().sum(0)) / torch.exp(2 * self.log_sigma)
        log_det = 2 * factor.diagonal().log().sum() + 2 * (dim - latent_dim) * self.log_sigma
        return -0.5 * (dim * math.log(2 * math.pi) + log_det + distance)

    def _factor(self) -> Tensor:
        """The Cholesky factor `[L, L]` of M."""
        noise = torch.exp(2 * self.log_sigma) * torch.eye(self.weight.shape[1]).to(self.weight)
        return torch.linalg.cholesky(self.weight.T @ self.weight + noise)


class PPCA(LightningModule):
    """Images as one normal distribution around a plane; trained and judged on its exact log density."""

    charts = {"loss (nats per image)": ["train/objective", "val/loss"]}

    def __init__(
        self,
        *,
        optimizer: Callable[..., Optimizer],
        scheduler: Schedule | Plateau,
        image_shape: list[int],
        latent_dim: int,
    ) -> None:
        """Builds the distribution.

        Args:
            optimizer: called with the parameters.
            scheduler: of the learning rate.
            image_shape: `[C, H, W]`.
            latent_dim: L, from 1 to D - 1.

        Raises:
            UserError: `latent_dim` is out of its range.
        """
        super().__init__()
        dim = math.prod(image_shape)
        if not 1 <= latent_dim < dim:
            raise UserError(f"model.latent_dim must lie in 1..{dim - 1}, got {latent_dim}")
        self.latent_dim, self.image_shape = latent_dim, list(image_shape)
        self.distribution = LinearGaussian(dim, latent_dim)
        self._optimizer, self._scheduler = optimizer, scheduler

    def start_from(self, mean_image: Tensor) -> None:
        """Begins at the mean `[C, H, W]` of the training images, which genlab tells a model that asks for it."""
        with torch.no_grad():
            self.distribution.mean.copy_(mean_image.flatten())

    def nats(self, image: Tensor) -> Tensor:
        """-log p(x) `[B]` of images `[B, C, H, W]` in [-1, 1]."""
        with torch.autocast(image.device.type, enabled=False):  # half precision has too few digits for M^-1
            return -self.distribution.log_prob(image.flatten(1).to(self.distribution.mean))

    @torch.no_grad()
    def log_prob(self, image: Tensor, *, samples: int = 1) -> Tensor:
        """Log density `[B]` of images `[B, C, H, W]`, in nats; it is exact, so `samples` changes nothing."""
        return -self.nats(image)

    def training_step(self, batch: ImageBatch, batch_idx: int) -> dict[str, Tensor]:
        """One step; what stands beside `loss` is averaged and logged as `train/...`."""
        loss = self.nats(batch.image).mean()
        return {"loss": loss, "objective": loss.detach()}

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Logs `val/loss`, by which the best checkpoint is chosen."""
        self._judge(batch, "val")

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """The same on the test set."""
        self._judge(batch, "test")

    def _judge(self, batch: ImageBatch, split: str) -> None:
        loss = self.nats(batch.image).mean()
        self.log(f"{split}/loss", loss, batch_size=len(batch.image), sync_dist=True)

    def configure_optimizers(self) -> Any:
        return configure(self, make_optimizer(self._optimizer, self.parameters()), self._scheduler)

    def on_train_epoch_end(self) -> None:
        step_plateau(self)

    def sampling_modules(self) -> dict[str, nn.Module]:
        """What a moving average shadows."""
        return {"distribution": self.distribution}

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """Mean images `[n, C, H, W]` in [-1, 1] at `n` draws of z."""
        with seeded(seed):
            z = torch.randn(n, self.latent_dim)  # on the CPU, so that a seed means the same everywhere
        return self.decode(z.to(self.device))

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        """The mean `[B, L]` of z given images `[B, C, H, W]`."""
        with torch.autocast(image.device.type, enabled=False):
            return self.distribution.posterior_mean(image.flatten(1).to(self.distribution.mean))

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Mean images `[B, C, H, W]` in [-1, 1] at latents `[B, L]`."""
        return self.distribution(z).view(-1, *self.image_shape).clamp(-1, 1)

    def reconstruct(self, image: Tensor) -> Tensor:
        """Projects images `[B, C, H, W]` onto the plane."""
        return self.decode(self.encode(image))
