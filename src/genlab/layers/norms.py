"""Normalisations of feature maps by name."""

import math
from collections.abc import Callable
from typing import Literal

from torch import nn

NormName = Literal["batch", "group", "none"]

_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(math.gcd(8, channels), channels),
    "none": lambda channels: nn.Identity(),
}


def norm2d(name: NormName, channels: int) -> nn.Module:
    """Makes the normalisation called `name` for feature maps `[B, channels, H, W]`.

    `group` makes at most 8 groups; it treats every image alone, so that neither the batch nor whether the
    model trains changes what it gives.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in _NORMS:
        raise ValueError(f"norm must be one of {', '.join(_NORMS)}; got {name!r}")
    return _NORMS[name](channels)
