"""Bounds that draw several latents an image and weigh them by importance: tighter with each draw.

Letters in shapes: K draws of z per image, B batch, L latent dimensions, M bounds that are averaged.
"""

import math

from torch import Tensor

from genlab.objectives.bounds import START, Terms, Training, VariationalLoss
from genlab.objectives.gaussians import log_normal


class ImportanceLoss(VariationalLoss):
    """What the losses of importance weights have in common: no KL by itself, and draws of which there are k."""

    densities = True
    weighs_kl = False


class IWAE(ImportanceLoss):
    """-log 1/k sum_i w_i with w = p(x, z) / q(z|x) (Burda et al. 2016, arXiv:1509.00519, eq. 8).

    k = 1 is the evidence lower bound with a sampled KL.
    """

    def __init__(self, k: int = 5):
        """Sets the number of draws.

        Args:
            k: draws of z per image, at least 1.

        Raises:
            ValueError: if there is no draw.
        """
        self.samples = _at_least_one("k", k)

    def __call__(self, terms: Terms, training: Training = START) -> Tensor:
        return -log_mean_exp(log_weights(terms, terms.log_q)).mean()


class MIWAE(ImportanceLoss):
    """The mean of m bounds of k draws each (Rainforth et al. 2018, arXiv:1802.04537, eq. 9).

    The gradient of the encoder is steadier than that of one bound of m k draws.
    """

    def __init__(self, m: int = 4, k: int = 5):
        """Sets the number of draws.

        Args:
            m: bounds that are averaged, at least 1.
            k: draws of z per image in each, at least 1.

        Raises:
            ValueError: if there is no draw.
        """
        self.m = _at_least_one("m", m)
        self.samples = m * _at_least_one("k", k)

    def __call__(self, terms: Terms, training: Training = START) -> Tensor:
        weights = log_weights(terms, terms.log_q).unflatten(0, (self.m, -1))  # [M, K, B]
        return -log_mean_exp(weights, dim=1).mean()


class DReG(ImportanceLoss):
    """The bound of IWAE with a doubly reparameterized gradient (Tucker et al. 2019, arXiv:1810.04152, eq. 8).

    With n_i = w_i / sum w held fixed, all that p depends on learns from sum n_i grad log w_i, as under IWAE. The
    encoder learns from sum n_i^2 (d log w_i / d z_i) (d z_i / d encoder): the density q(z|x) is looked at with its
    parameters held fixed, so that only the way through z is left. Both are unbiased for the gradient of the bound
    of k draws, and that of the encoder does not fade as k grows.
    """

    one_posterior = True

    def __init__(self, k: int = 5):
        """Sets the number of draws.

        Args:
            k: draws of z per image, at least 1.

        Raises:
            ValueError: if there is no draw.
        """
        self.samples = _at_least_one("k", k)

    def __call__(self, terms: Terms, training: Training = START) -> Tensor:
        fixed = log_normal(terms.z, terms.mean.detach(), terms.log_var.detach()).sum(-1)  # [K, B]
        weights = log_weights(terms, fixed)
        share = weights.detach().softmax(0)  # [K, B], n
        if terms.z.requires_grad:
            # the gradient of log w comes to z with the first n; this gives it the second
            terms.z.register_hook(lambda gradient: share[:, :, None] * gradient)
        surrogate = -(share * weights).sum(0).mean()
        bound = -log_mean_exp(weights.detach()).mean()
        return (
            surrogate + (bound - surrogate).detach()
        )  # the value of the bound, the gradient of the surrogate


def log_weights(terms: Terms, log_q: Tensor) -> Tensor:
    """Log p(x, z) - log q(z|x) at each draw, `[K, B]`."""
    assert terms.log_p is not None
    return terms.log_px + terms.log_p - log_q


def log_mean_exp(log_weights: Tensor, dim: int = 0) -> Tensor:
    """The logarithm of the mean of weights along `dim`, which is gone."""
    return log_weights.logsumexp(dim) - math.log(log_weights.shape[dim])


def _at_least_one(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value
