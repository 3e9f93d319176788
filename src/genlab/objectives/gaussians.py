"""Formulas of normal distributions with a diagonal covariance.

Letters in shapes: B batch, L latent dimensions.
"""

import math

import torch
from torch import Tensor


def kl_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) || N(0, 1)) of each dimension, in nats.

    KL = 1/2 (mean^2 + exp(log_var) - 1 - log_var); Kingma & Welling 2014, appendix B.

    Args:
        mean: `[B, L]`.
        log_var: `[B, L]`, the logarithm of the variance.

    Returns:
        `[B, L]`; summed over L it is the KL of one datum.
    """
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)


def kl_normal(mean: Tensor, log_var: Tensor, to_mean: Tensor, to_log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) || N(to_mean, exp(to_log_var))) of each element, in nats: their shape.

    KL = 1/2 (((mean - to_mean)^2 + exp(log_var)) / exp(to_log_var) - 1 + to_log_var - log_var).
    """
    spread = (mean - to_mean).square() + log_var.exp()
    return 0.5 * (spread * torch.exp(-to_log_var) - 1 + to_log_var - log_var)


def log_normal(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """The log density of each element of `x` under N(mean, exp(log_var)), in nats.

    Args:
        x: any shape.
        mean: the shape of `x`, or one that broadcasts to it.
        log_var: likewise; the logarithm of the variance.

    Returns:
        The shape of `x`, not summed.
    """
    return -0.5 * (math.log(2 * math.pi) + log_var + (x - mean).square() * torch.exp(-log_var))


def log_standard_normal(x: Tensor) -> Tensor:
    """The log density of each element of `x` under N(0, 1), in nats: the shape of `x`, not summed."""
    return -0.5 * (math.log(2 * math.pi) + x.square())
