"""Priors: what the latents of a variational autoencoder are drawn from before there is an image.

Letters in shapes: K draws of z per image, B batch, L latent dimensions, Y classes, C components.
"""

import torch
from torch import Tensor, nn

from genlab.objectives.bounds import VariationalLoss
from genlab.objectives.gaussians import kl_normal, kl_standard_normal, log_normal, log_standard_normal


class Prior(nn.Module):
    """Interface: p(z), or p(z|y) of a conditional model.

    Built by its family as `factory(latent_dim=L, num_classes=Y, posterior=q)`: Y is None where the model is
    not conditional; q maps images `[B, C, H, W]` to mean and log variance `[B, L]` of q(z|x).

    Attributes:
        closed_form: of the class: whether `kl` gives the KL of each dimension.
        by_class: of the class: whether it differs from class to class.
        encodes: of the class: whether it runs the encoder on images of its own.
        spherical: of the class: whether its draws lie near a sphere, so that ways between them are arcs.
    """

    closed_form: bool = False
    by_class: bool = False
    encodes: bool = False
    spherical: bool = False

    def log_prob(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Log p(z), or an unbiased estimate of p(z) in its place, at `[K, B, L]`, of classes `[B]`: `[K, B]` nats."""
        raise NotImplementedError

    def kl(self, mean: Tensor, log_var: Tensor, label: Tensor | None) -> Tensor | None:
        """KL(N(mean, exp(log_var)) || p(z)) of each dimension, `[B, L]`; None where it has no closed form."""
        raise NotImplementedError

    def sample(self, n: int, label: Tensor | None) -> Tensor:
        """Draws `[n, L]`, of classes `[n]`; the noise is drawn on the CPU, so that a seed means the same everywhere."""
        raise NotImplementedError


class Standard(Prior):
    """N(0, I), whatever the class."""

    closed_form = True
    spherical = True
    at: Tensor

    def __init__(self, *, latent_dim: int, num_classes: int | None = None, posterior: object = None):
        """Notes the size.

        Args:
            latent_dim: L.
            num_classes: makes no difference.
            posterior: makes no difference.
        """
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("at", torch.zeros(0), persistent=False)  # knows the device

    def log_prob(self, z: Tensor, label: Tensor | None) -> Tensor:
        return log_standard_normal(z).sum(-1)

    def kl(self, mean: Tensor, log_var: Tensor, label: Tensor | None) -> Tensor:
        return kl_standard_normal(mean, log_var)

    def sample(self, n: int, label: Tensor | None) -> Tensor:
        return torch.randn(n, self.latent_dim).to(self.at.device)


class Learned(Prior):
    """A normal for each class, p(z|y) = N(mean_y, exp(log_var_y)) (Sohn et al. 2015, section 4.1)."""

    closed_form = True
    by_class = True

    def __init__(self, *, latent_dim: int, num_classes: int | None, posterior: object = None):
        """Begins at N(0, I) for every class.

        Args:
            latent_dim: L.
            num_classes: Y.
            posterior: makes no difference.

        Raises:
            ValueError: without classes.
        """
        super().__init__()
        if num_classes is None:
            raise ValueError(
                "the learned prior is one for each class: use model=cvae, or model/prior=mixture"
            )
        self.mean = nn.Parameter(torch.zeros(num_classes, latent_dim))
        self.log_var = nn.Parameter(torch.zeros(num_classes, latent_dim))

    def log_prob(self, z: Tensor, label: Tensor | None) -> Tensor:
        return log_normal(z, self.mean[label], self.log_var[label]).sum(-1)

    def kl(self, mean: Tensor, log_var: Tensor, label: Tensor | None) -> Tensor:
        return kl_normal(mean, log_var, self.mean[label], self.log_var[label])

    def sample(self, n: int, label: Tensor | None) -> Tensor:
        return _normal(self.mean[label], self.log_var[label])


class Mixture(Prior):
    """C normals of their own place, width and weight, the same for every class."""

    def __init__(
        self,
        components: int = 10,
        *,
        latent_dim: int,
        num_classes: int | None = None,
        posterior: object = None,
    ):
        """Begins with means drawn from N(0, I), variance 1 and equal weights.

        Args:
            components: C, at least 1.
            latent_dim: L.
            num_classes: makes no difference.
            posterior: makes no difference.

        Raises:
            ValueError: if there is no component.
        """
        super().__init__()
        _check_components(components)
        self.mean = nn.Parameter(torch.randn(components, latent_dim))
        self.log_var = nn.Parameter(torch.zeros(components, latent_dim))
        self.logits = nn.Parameter(torch.zeros(components))

    def log_prob(self, z: Tensor, label: Tensor | None) -> Tensor:
        return log_mixture(z, self.mean, self.log_var, self.logits.log_softmax(0))

    def kl(self, mean: Tensor, log_var: Tensor, label: Tensor | None) -> None:
        return None

    def sample(self, n: int, label: Tensor | None) -> Tensor:
        chosen = torch.multinomial(self.logits.detach().softmax(0).cpu(), n, replacement=True)
        chosen = chosen.to(self.mean.device)  # [n]
        return _normal(self.mean[chosen], self.log_var[chosen])


def log_mixture(z: Tensor, mean: Tensor, log_var: Tensor, log_weight: Tensor) -> Tensor:
    """Log density of a mixture of normals `[C, L]` with log weights `[C]` at `[..., L]`: `[...]`."""
    each = log_normal(z.unsqueeze(-2), mean, log_var).sum(-1)  # [..., C]
    return (log_weight + each).logsumexp(-1)


def check_prior(loss: VariationalLoss, prior: Prior) -> None:
    """Holds a loss against a prior.

    Raises:
        ValueError: the loss needs what the prior has not.
    """
    names = type(loss).__name__, type(prior).__name__
    if loss.closed_form and not prior.closed_form:
        raise ValueError(
            f"{names[0]} needs the KL of each latent dimension in closed form, and the prior {names[1]} has none: "
            "set model/prior=standard, or choose model/loss=elbo, iwae, dreg or miwae"
        )
    if loss.one_prior and prior.by_class:
        raise ValueError(
            f"{names[0]} needs one prior for all images, and the prior {names[1]} differs from class to class: "
            "set model/prior=standard, or choose another model/loss"
        )


def _normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """A draw of each N(mean, exp(log_var)) by noise from the CPU."""
    return mean + torch.exp(0.5 * log_var) * torch.randn(mean.shape).to(mean)


def _check_components(components: int) -> None:
    if components < 1:
        raise ValueError(f"components must be at least 1, got {components}")
