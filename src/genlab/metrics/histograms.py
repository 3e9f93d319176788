"""Counts of modes or classes, and how far they lie from what they should be.

Letters in shapes: n samples, K modes or classes.
"""

import torch
from torch import Tensor


def counts(assigned: Tensor, num_classes: int) -> Tensor:
    """How many of `[n]` class numbers fall on each of K classes: `[K]` int64."""
    return torch.bincount(assigned, minlength=num_classes)


def reverse_kl(fake: Tensor, real: Tensor | None = None) -> float:
    """KL(fake || real) in nats between two histograms, `sum_k p_k log(p_k / q_k)`.

    Reverse, since the model stands first: what the model leaves out costs little by itself, and what it
    makes too much of costs more. It is infinite where the model makes what the data does not have.

    Args:
        fake: `[K]` counts of a model's samples.
        real: `[K]` counts of the data; None: all alike.

    Raises:
        ValueError: a histogram is empty.
    """
    p = _normalized(fake)
    q = _normalized(torch.ones_like(fake) if real is None else real)
    return float(torch.xlogy(p, p).sub(torch.xlogy(p, q)).sum())


def _normalized(histogram: Tensor) -> Tensor:
    total = histogram.sum()
    if total <= 0:
        raise ValueError("a histogram without a single sample has no distribution")
    return histogram.double() / total
