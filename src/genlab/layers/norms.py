"""Normalisations of feature maps by name, alike for all samples or with a scale and shift for each class.

Letters in shapes: B batch, C channels, H height, W width, K classes.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from genlab.layers.labelled import TakesLabel

NormName = Literal["batch", "group", "none"]

_NORMS: dict[str, Callable[[int, bool], nn.Module]] = {
    "batch": lambda channels, affine: nn.BatchNorm2d(channels, affine=affine),
    "group": lambda channels, affine: nn.GroupNorm(math.gcd(8, channels), channels, affine=affine),
    "none": lambda channels, affine: nn.Identity(),
}


def norm2d(name: NormName, channels: int, num_classes: int | None = None) -> nn.Module:
    """Makes the normalisation called `name` for feature maps `[B, channels, H, W]`.

    `group` makes at most 8 groups; it treats every image alone, so that neither the batch nor whether the
    model trains changes what it gives.

    Args:
        name: of the normalisation.
        channels: C.
        num_classes: K, where each class has a scale and a shift of its own; None: all share them.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in _NORMS:
        raise ValueError(f"norm must be one of {', '.join(_NORMS)}; got {name!r}")
    if num_classes is not None:
        return ClassNorm(_NORMS[name](channels, False), channels, num_classes)
    return _NORMS[name](channels, True)


class ClassNorm(TakesLabel):
    """A normalisation whose scale and shift depend on the class (Dumoulin 2017, arXiv:1610.07629, eq. 5).

    Over batch norm it is the conditional batch norm of Miyato & Koyama 2018.
    """

    def __init__(self, norm: nn.Module, channels: int, num_classes: int) -> None:
        """Begins with scale 1 and shift 0 for every class.

        Args:
            norm: without scale and shift of its own.
            channels: C.
            num_classes: K.
        """
        super().__init__()
        self.norm = norm
        self.scale = nn.Parameter(torch.ones(num_classes, channels))
        self.shift = nn.Parameter(torch.zeros(num_classes, channels))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps `[B, C, H, W]`; sample i gets scale and shift of class `label[i]`.

        Raises:
            ValueError: without labels.
        """
        if label is None:
            raise ValueError("a network with a norm for each class needs the label of each sample, got none")
        scale, shift = self.scale[label], self.shift[label]  # [B, C]
        return self.norm(x) * scale[:, :, None, None] + shift[:, :, None, None]


def refuse_classes(network: str, num_classes: int | None) -> None:
    """For networks without a norm that could know the class.

    Raises:
        ValueError: if classes are given.
    """
    if num_classes is not None:
        raise ValueError(
            f"{network} has no norm to tell {num_classes} classes: labels have to be joined to z"
        )
