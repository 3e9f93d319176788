"""What the bounds of a variational autoencoder are made of, on one batch.

Letters in shapes: K draws of z per image, B batch, C channels, H height, W width, L latent dimensions, P parameters
per value.
"""

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from genlab.contracts import ImageBatch
from genlab.models.classes import LabelInputs
from genlab.objectives.bounds import Terms
from genlab.objectives.gaussians import log_normal
from genlab.objectives.likelihoods import Likelihood
from genlab.objectives.priors import Prior


class Autoencoder(Protocol):
    """What the terms are made with.

    Attributes:
        likelihood: p(x|z).
        prior: p(z).
        labels: how classes enter the networks; None where they do not.
    """

    likelihood: Likelihood
    prior: Prior
    labels: LabelInputs | None

    def posterior(self, image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), each `[B, L]`, for images `[B, C, H, W]` of classes `[B]`."""
        ...

    def params(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """The likelihood's parameters `[B, P, C, H, W]` at latents `[B, L]` of classes `[B]`."""
        ...


def bound_terms(model: Autoencoder, batch: ImageBatch, *, samples: int, densities: bool) -> Terms:
    """The terms of a batch at `samples` draws of z per image; log p(z) of them where it is wanted or needed."""
    target = model.likelihood.target(batch.image)
    label = None if model.labels is None else batch.label
    mean, log_var = model.posterior(model.likelihood.as_image(target), label)
    z = draw(samples, mean, log_var)
    log_px = log_likelihood(model, z, target, label)
    kl = model.prior.kl(mean, log_var, label)
    log_p = model.prior.log_prob(z, label) if densities or kl is None else None
    return Terms(log_px, z, mean, log_var, kl, log_p)


def log_evidence(
    model: Autoencoder, image: Tensor, label: Tensor | None, *, samples: int, chunk: int
) -> Tensor:
    """The bound of log p(x) by `samples` importance weights, `[B]`; so many latents at once as `chunk` says."""
    target = model.likelihood.target(image)
    mean, log_var = model.posterior(model.likelihood.as_image(target), label)
    total = torch.full((len(image),), -math.inf, device=image.device, dtype=mean.dtype)
    done = 0
    while done < samples:
        k = min(max(1, chunk // len(image)), samples - done)
        total = torch.logaddexp(total, log_weights(model, target, label, mean, log_var, k).logsumexp(0))
        done += k
    return total - math.log(samples)


def log_weights(
    model: Autoencoder, target: Tensor, label: Tensor | None, mean: Tensor, log_var: Tensor, k: int
) -> Tensor:
    """Log p(x, z) - log q(z|x) `[K, B]` at K draws of z per image."""
    z = draw(k, mean, log_var)
    log_q = log_normal(z, mean, log_var).sum(-1)  # [K, B]
    return log_likelihood(model, z, target, label) + model.prior.log_prob(z, label) - log_q


def log_likelihood(model: Autoencoder, z: Tensor, target: Tensor, label: Tensor | None) -> Tensor:
    """Log p(x|z) `[K, B]` at latents `[K, B, L]`, of targets `[B, C, H, W]` and classes `[B]`."""
    k = len(z)
    if k > 1:
        target, label = target.repeat(k, 1, 1, 1), None if label is None else label.repeat(k)  # [K*B, ...]
    return model.likelihood.log_prob(model.params(z.flatten(0, 1), label), target).view(z.shape[:2])


def draw(k: int, mean: Tensor, log_var: Tensor) -> Tensor:
    """K draws of N(mean, exp(log_var)), each `[B, L]`, with their gradient: `[K, B, L]`."""
    noise = torch.randn(k, *mean.shape, device=mean.device, dtype=mean.dtype)
    return mean + torch.exp(0.5 * log_var) * noise


def doubts(prior: Prior, encoder: nn.Module) -> list[str]:
    """What is allowed, but learns worse than it could; for the user to read."""
    mixes = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in encoder.modules())
    if not (prior.encodes and mixes):
        return []
    return [
        f"{type(prior).__name__} encodes images of its own, and batch norm takes their mean for that of the data: "
        "model.encoder.norm=group suits it better"
    ]
