"""Priors that are networks: mixtures of posteriors, and a second stochastic layer.

Letters in shapes: K draws of z per image, B batch, L latent dimensions, T of them at the top, C components.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from genlab.objectives.gaussians import log_normal, log_standard_normal
from genlab.objectives.priors import Prior, log_mixture

Posterior = Callable[[Tensor], tuple[Tensor, Tensor]]


class Vamp(Prior):
    """p(z) = 1/C sum_c q(z|u_c) at images u_c that are learned (Tomczak & Welling 2018, arXiv:1705.07120, eq. 9).

    Networks with batch norm see these images as a batch of their own: prefer others.
    """

    encodes = True

    def __init__(
        self,
        image_shape: Sequence[int],
        components: int = 100,
        *,
        latent_dim: int,
        num_classes: int | None = None,
        posterior: Posterior,
    ):
        """Begins with gray noise as images.

        Args:
            image_shape: of a pseudo-input.
            components: C, pseudo-inputs, at least 1.
            latent_dim: L.
            num_classes: None: a pseudo-input has no class.
            posterior: q.

        Raises:
            ValueError: classes are given, or there is no component.
        """
        super().__init__()
        if num_classes is not None:
            raise ValueError(
                "the pseudo-inputs of the vamp prior have no class: with model=cvae use model/prior=standard, "
                "learned or mixture"
            )
        if components < 1:
            raise ValueError(f"components must be at least 1, got {components}")
        self.latent_dim = latent_dim
        self.raw = nn.Parameter(0.5 * torch.randn(components, *image_shape))
        self._posterior = posterior

    def log_prob(self, z: Tensor, label: Tensor | None) -> Tensor:
        mean, log_var = self._posterior(self.raw.tanh())  # [C, L]
        equal = torch.full((len(mean),), -math.log(len(mean)), device=z.device, dtype=z.dtype)
        return log_mixture(z, mean, log_var, equal)

    def kl(self, mean: Tensor, log_var: Tensor, label: Tensor | None) -> None:
        return None

    def sample(self, n: int, label: Tensor | None) -> Tensor:
        chosen = torch.randint(len(self.raw), (n,)).to(self.raw.device)
        noise = torch.randn(n, self.latent_dim)
        mean, log_var = (part[chosen] for part in self._posterior(self.raw.tanh()))
        return mean + torch.exp(0.5 * log_var) * noise.to(mean)


class SecondLayer(Prior):
    """A stochastic layer above z: t ~ N(0, I), z ~ p(z|t), with an encoder q(t|z) of its own.

    One draw of t from q(t|z) gives p(z, t) / q(t|z), an unbiased estimate of p(z). With it every bound of one layer
    is that of two, the importance weight p(x, z, t) / (q(z|x) q(t|z)) (Burda et al. 2016, arXiv:1509.00519, sec. 2).
    """

    at: Tensor

    def __init__(
        self,
        inference: Callable[..., nn.Module],
        generation: Callable[..., nn.Module],
        top_dim: int = 50,
        *,
        latent_dim: int,
        num_classes: int | None = None,
        posterior: object = None,
    ):
        """Builds the two networks.

        Args:
            inference: of q(t|z), called with in_features and out_features.
            generation: of p(z|t), likewise.
            top_dim: T, at least 1.
            latent_dim: L.
            num_classes: makes no difference.
            posterior: makes no difference.

        Raises:
            ValueError: top_dim is below 1.
        """
        super().__init__()
        if top_dim < 1:
            raise ValueError(f"top_dim must be at least 1, got {top_dim}")
        self.top_dim = top_dim
        self.inference = inference(in_features=latent_dim, out_features=2 * top_dim)
        self.generation = generation(in_features=top_dim, out_features=2 * latent_dim)
        self.register_buffer("at", torch.zeros(0), persistent=False)  # knows the device

    def log_prob(self, z: Tensor, label: Tensor | None) -> Tensor:
        mean, log_var = self.inference(z).to(z.dtype).chunk(2, dim=-1)  # [K, B, T]
        top = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        log_q = log_normal(top, mean, log_var).sum(-1)  # [K, B]
        return log_standard_normal(top).sum(-1) + self._log_pz(z, top) - log_q

    def _log_pz(self, z: Tensor, top: Tensor) -> Tensor:
        """Log p(z|t) `[K, B]`."""
        mean, log_var = self.generation(top).to(z.dtype).chunk(2, dim=-1)  # [K, B, L]
        return log_normal(z, mean, log_var).sum(-1)

    def kl(self, mean: Tensor, log_var: Tensor, label: Tensor | None) -> None:
        return None

    def sample(self, n: int, label: Tensor | None) -> Tensor:
        top = torch.randn(n, self.top_dim).to(self.at.device)
        mean, log_var = self.generation(top).to(top.dtype).chunk(2, dim=-1)  # [n, L]
        return mean + torch.exp(0.5 * log_var) * torch.randn(mean.shape).to(mean)
