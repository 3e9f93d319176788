"""What the bounds of a variational autoencoder are made of, on one batch.

Letters in shapes: K draws of z per image, B batch, C channels, H height, W width, L latent dimensions, P parameters
per value.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from genlab.contracts import ImageBatch, Posterior
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


def infer(model: Autoencoder, batch: ImageBatch) -> Posterior:
    """What the encoder says of a batch; the KL of all dimensions together, `[B, 1]`, where it is known by draws only."""
    terms = bound_terms(model, batch, samples=1, densities=False)
    kl = terms.divergence[0, :, None] if terms.kl is None else terms.kl
    return Posterior(terms.mean, terms.log_var, kl)


def importance_weights(model: Autoencoder, batch: ImageBatch, *, samples: int, chunk: int) -> Tensor:
    """Log p(x, z) - log q(z|x) `[K, B]` at K draws of z for each image, all under one draw of its target.

    The images are encoded once; the noise is drawn before the first latent is decoded, so that `chunk`, how many are
    decoded at once, changes nothing but memory, unless the prior itself draws.
    """
    target, label = model.likelihood.target(batch.image), None if model.labels is None else batch.label
    mean, log_var = model.posterior(model.likelihood.as_image(target), label)
    z = draw(samples, mean, log_var)  # [K, B, L]
    weights = z.new_empty(z.shape[:2])
    rows, draws = min(chunk, len(mean)), max(1, chunk // len(mean))
    for k in range(0, samples, draws):
        for b in range(0, len(mean), rows):
            part = slice(b, b + rows)
            some, classes = z[k : k + draws, part], None if label is None else label[part]
            log_q = log_normal(some, mean[part], log_var[part]).sum(-1)
            log_p = model.prior.log_prob(some, classes)
            weights[k : k + draws, part] = log_likelihood(model, some, target[part], classes) + log_p - log_q
    return weights


def log_likelihood(model: Autoencoder, z: Tensor, target: Tensor, label: Tensor | None) -> Tensor:
    """Log p(x|z) `[K, B]` at latents `[K, B, L]`, of targets `[B, C, H, W]` and classes `[B]`."""
    labels = None if label is None else label.repeat(len(z))  # [K*B]
    params = model.params(z.flatten(0, 1), labels).unflatten(0, z.shape[:2])  # [K, B, P, C, H, W]
    return model.likelihood.log_prob(params, target)


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
