"""The variational family: order of events of one step, what is logged, and how it samples.

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, P parameters per value,
K importance samples.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from genlab.contracts import Decoder, Encoder, ImageBatch, Posterior
from genlab.errors import UserError
from genlab.models.optimization import clip_gradients, configure, make_optimizer, step_plateau
from genlab.objectives.bounds import VariationalLoss
from genlab.objectives.gaussians import kl_standard_normal, log_normal
from genlab.objectives.likelihoods import Likelihood
from genlab.schedules import Plateau, Schedule
from genlab.seeding import seeded


class VAE(LightningModule):
    """Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114) with a standard normal prior.

    Trained on `loss` of the two parts of the evidence lower bound; judged on the plain bound in nats per
    image, `val/loss`, whatever it was trained on.
    """

    charts = {
        "what is trained, what is judged (nats per image)": ["train/objective", "val/loss"],
        "reconstruction (nats per image)": ["train/reconstruction", "val/reconstruction"],
        "KL from the prior (nats per image)": ["train/kl", "val/kl"],
        "latent dimensions in use": ["val/active_units"],
        "learning rate": ["train/lr"],
        "images per second": ["rate/images_per_second"],
    }

    def __init__(
        self,
        *,
        encoder: Callable[..., Encoder],
        decoder: Callable[..., Decoder],
        likelihood: Likelihood,
        loss: VariationalLoss,
        optimizer: Callable[..., Optimizer],
        scheduler: Schedule | Plateau,
        image_shape: list[int],
        latent_dim: int,
    ) -> None:
        """Completes the networks with the sizes that only the family knows.

        Args:
            encoder: called as `encoder(out_features=2 * latent_dim)`.
            decoder: called as `decoder(latent_dim=..., params_per_value=...)`.
            likelihood: p(x|z).
            loss: the trained objective of both parts of the bound.
            optimizer: called with the parameters.
            scheduler: of the learning rate.
            image_shape: `[C, H, W]`.
            latent_dim: L, at least 1.

        Raises:
            UserError: `latent_dim` below 1.
        """
        super().__init__()
        if latent_dim < 1:
            raise UserError(f"model.latent_dim must be at least 1, got {latent_dim}")
        self.latent_dim, self.image_shape = latent_dim, list(image_shape)
        self.likelihood = likelihood
        self.loss = loss
        self.encoder = encoder(out_features=2 * latent_dim)
        self.decoder = decoder(latent_dim=latent_dim, params_per_value=likelihood.params_per_value)
        self.output = OutputBias(likelihood.params_per_value, image_shape)
        self._optimizer, self._scheduler = optimizer, scheduler

    def __setattr__(self, name: str, value: Any) -> None:
        # set by Lightning forty times a batch; torch would look among parameters and modules each time
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def start_from(self, mean_image: Tensor) -> None:
        """Lets the output begin at the best constant predictor of images with this mean `[C, H, W]`."""
        with torch.no_grad():
            self.output.bias.copy_(self.likelihood.initial_params(mean_image))

    # -- the bound ------------------------------------------------------------------------------------

    def posterior(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), each `[B, L]`, for images `[B, C, H, W]`."""
        mean, log_var = _full(self.encoder(image)).chunk(2, dim=1)
        return mean, log_var

    def params(self, z: Tensor) -> Tensor:
        """The likelihood's parameters `[B, P, C, H, W]` at latents `[B, L]`."""
        return self.output(_full(self.decoder(z)))

    def terms(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Log p(x|z) `[B]` at one draw of z, and KL(q(z|x) || p(z)) `[B, L]`, in nats."""
        target = self.likelihood.target(image)
        mean, log_var = self.posterior(self.likelihood.as_image(target))
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        log_px = self.likelihood.log_prob(self.params(z), target)
        return log_px, kl_standard_normal(mean, log_var)

    def infer(self, batch: ImageBatch) -> Posterior:
        """What the encoder says of a batch, for one draw of the targets."""
        mean, log_var = self.posterior(self.likelihood.as_image(self.likelihood.target(batch.image)))
        return Posterior(mean, log_var, kl_standard_normal(mean, log_var))

    @torch.no_grad()
    def log_prob(self, image: Tensor, *, samples: int = 100, chunk: int = 1000) -> Tensor:
        """Importance-sampled lower bound of log p(x), tighter with more samples (arXiv:1509.00519, eq. 8).

        Args:
            image: `[B, C, H, W]` in [-1, 1].
            samples: K, draws of z per image.
            chunk: latents decoded at once; bounds the memory.

        Returns:
            `[B]` nats per image.
        """
        self._check_image(image)
        label = torch.zeros(len(image), dtype=torch.int64, device=image.device)
        weights = self.log_weights(ImageBatch(image, label), samples=samples, chunk=chunk)
        return weights.logsumexp(0) - math.log(samples)

    @torch.no_grad()
    def log_weights(self, batch: ImageBatch, *, samples: int, chunk: int = 1000) -> Tensor:
        """Log p(x, z) - log q(z|x) `[K, B]` at K draws of z for each image, all under one draw of its target.

        The images are encoded once; the noise is drawn before the first latent is decoded, so that `chunk`,
        how many are decoded at once, changes nothing but memory.
        """
        if samples < 1:
            raise UserError(f"samples must be at least 1, got {samples}")
        target = self.likelihood.target(batch.image)
        mean, log_var = self.posterior(self.likelihood.as_image(target))
        z = torch.randn(samples, *mean.shape, device=mean.device, dtype=mean.dtype)
        z = z.mul_(torch.exp(0.5 * log_var)).add_(mean)  # [K, B, L]
        weights = z.new_empty(z.shape[:2])
        rows, draws = min(chunk, len(mean)), max(1, chunk // len(mean))
        for k in range(0, samples, draws):
            for b in range(0, len(mean), rows):
                part = slice(b, b + rows)
                weights[k : k + draws, part] = self._log_weights(
                    z[k : k + draws, part], target[part], mean[part], log_var[part]
                )
        return weights

    def _log_weights(self, z: Tensor, target: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
        """Log p(x, z) - log q(z|x) `[K, B]` at latents `[K, B, L]`, targets `[B, C, H, W]` held against each."""
        log_q = log_normal(z, mean, log_var).sum(-1)  # [K, B]
        log_p = log_normal(z, torch.zeros_like(mean), torch.zeros_like(mean)).sum(-1)
        params = self.params(z.flatten(0, 1)).unflatten(0, z.shape[:2])  # [K, B, P, C, H, W]
        return self.likelihood.log_prob(params, target) + log_p - log_q

    # -- training and judging -------------------------------------------------------------------------

    def training_step(self, batch: ImageBatch, batch_idx: int) -> dict[str, Tensor]:
        """One step; the Meter callback averages and logs what is returned beside `loss`."""
        log_px, kl = self.terms(batch.image)
        objective = self.loss(log_px, kl)
        with torch.no_grad():
            parts = {"reconstruction": -log_px.mean(), "kl": kl.sum() / len(kl)}
        return {"loss": objective, "objective": objective.detach(), **parts}

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """The plain negative bound, whatever is trained."""
        self._judge(batch, "val")

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """The same on the test set."""
        self._judge(batch, "test")

    def _judge(self, batch: ImageBatch, split: str) -> None:
        log_px, kl = self.terms(batch.image)
        reconstruction, divergence = -log_px.mean(), kl.sum(1).mean()
        values = {"loss": reconstruction + divergence, "reconstruction": reconstruction, "kl": divergence}
        bits = self.likelihood.bits_per_dim(values["loss"], batch.image[0].numel())
        if bits is not None:
            values["bits_per_dim"] = bits
        named = {f"{split}/{name}": value for name, value in values.items()}
        self.log_dict(named, batch_size=len(batch.image), sync_dist=True)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Lightning's own clipping refuses fused optimizers under mixed precision."""
        clip_gradients(self, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """One optimizer for both networks, its schedule by step."""
        return configure(self, make_optimizer(self._optimizer, self.parameters()), self._scheduler)

    def on_train_epoch_end(self) -> None:
        """Plateau schedules look at `val/loss` here, before the epoch's checkpoint."""
        step_plateau(self)

    # -- using it -------------------------------------------------------------------------------------

    def sampling_modules(self) -> dict[str, nn.Module]:
        """All that is trained: pictures and judging run the encoder and the likelihood, too."""
        return {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "output": self.output,
            "likelihood": self.likelihood,
        }

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """Decodes `n` draws of the prior: mean images `[n, C, H, W]` in [-1, 1]."""
        if n < 1:
            raise UserError(f"n must be at least 1, got {n}")
        with seeded(seed):
            z = torch.randn(n, self.latent_dim)  # on the CPU, so that a seed means the same everywhere
        return torch.cat([self.decode(part) for part in z.to(self.device).split(500)])

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        """The posterior's mean `[B, L]` for images `[B, C, H, W]` in [-1, 1], which it sees as they are.

        Under a likelihood that binarizes, gray stands for the expected image.
        """
        self._check_image(image)
        return self.posterior(image)[0]

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Mean images `[B, C, H, W]` in [-1, 1] at latents `[B, L]`."""
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise UserError(f"latents must be [B, {self.latent_dim}], got {list(z.shape)}")
        return self.likelihood.mean(self.params(z))

    def _check_image(self, image: Tensor) -> None:
        if list(image.shape[1:]) != self.image_shape or not image.is_floating_point():
            wanted = ", ".join(map(str, ["B", *self.image_shape]))
            raise UserError(
                f"images must be floats [{wanted}] in [-1, 1], got {image.dtype} {list(image.shape)}"
            )

    def reconstruct(self, image: Tensor) -> Tensor:
        """Encodes and decodes without noise: `[B, C, H, W]` to `[B, C, H, W]`."""
        return self.decode(self.encode(image))


class OutputBias(nn.Module):
    """Adds a number of its own to each parameter of each value, so that any decoder starts at the data's mean."""

    def __init__(self, params_per_value: int, image_shape: list[int]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(params_per_value, *image_shape))

    def forward(self, params: Tensor) -> Tensor:
        """Maps `[B, P, C, H, W]` to the same shape."""
        return params + self.bias


def _full(x: Tensor) -> Tensor:
    """Single precision for what mixed precision made half: sums over pixels need the digits."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
