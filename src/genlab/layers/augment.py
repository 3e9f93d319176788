"""Differentiable augmentation of what a discriminator sees (Zhao 2020, DiffAugment, arXiv:2006.10738).

Letters in shapes: B batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Policy = Literal["color", "translation", "cutout"]


class DiffAugment(nn.Module):
    """Augments each image anew and alone; made for real and fake images, in the steps of both networks.

    As in the paper, values may leave [-1, 1], and what translation and cutout empty is 0, a middle gray.
    Draws from torch's global stream.
    """

    images_only = True

    def __init__(
        self,
        policy: Sequence[Policy] = ("color", "translation", "cutout"),
        *,
        color: float = 1.0,
        translation: float = 0.125,
        cutout: float = 0.5,
        probability: float = 1.0,
    ):
        """Sets what is done and how much; the defaults are the paper's.

        Args:
            policy: what is done, in this order.
            color: strength of the changes of color, 0 .. 1.
            translation: the largest shift as a fraction of a side, 0 .. 1.
            cutout: side of the emptied rectangle as a fraction of the image's, 0 .. 1.
            probability: of each policy to act on an image, 0 .. 1.

        Raises:
            ValueError: if a policy is unknown or named twice, or a number lies outside 0 .. 1.
        """
        super().__init__()
        unknown = [name for name in policy if name not in get_args(Policy)]
        if unknown or len(set(policy)) < len(policy):
            raise ValueError(
                f"policy must name each of {', '.join(get_args(Policy))} at most once; got {list(policy)}"
            )
        strengths = {"color": color, "translation": translation, "cutout": cutout}
        for name, value in (*strengths.items(), ("probability", probability)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in 0 .. 1, got {value}")
        self.policy, self.probability = list(policy), probability
        self.strengths = strengths

    def forward(self, image: Tensor) -> Tensor:
        """Maps `[B, C, H, W]` in [-1, 1] to the same shape, differentiable twice.

        Raises:
            ValueError: if it is given anything but images, e.g. points.
        """
        if image.ndim != 4:
            raise ValueError(
                f"DiffAugment wants images [B, C, H, W], got {list(image.shape)}; take model/augment=none"
            )
        for name in self.policy:
            chosen = _uniform(image, 0, 1) < self.probability
            image = torch.where(chosen, _POLICIES[name](image, self.strengths[name]), image)
        return image


def shift_colors(image: Tensor, strength: float) -> Tensor:
    """Brightness, saturation and contrast, each by a number of the image's own: `[B, C, H, W]` to the same.

    At strength 1 brightness moves by -1/2 .. 1/2, and the distances from the mean of a pixel's channels
    (saturation, which has a meaning for C = 3 only) and of the whole image (contrast) are multiplied by
    0 .. 2 and 1/2 .. 3/2, as in the paper's code.
    """
    half = strength / 2
    image = image + _uniform(image, -half, half)
    if image.shape[1] == 3:
        image = image + _uniform(image, -strength, strength) * (image - image.mean(1, keepdim=True))
    return image + _uniform(image, -half, half) * (image - image.mean((1, 2, 3), keepdim=True))


def translate(image: Tensor, ratio: float) -> Tensor:
    """Moves each image by whole pixels, at most `ratio` of a side either way: `[B, C, H, W]` to the same."""
    batch, _, height, width = image.shape
    down, right = _share(height, ratio), _share(width, ratio)
    padded = F.pad(image, (right, right, down, down))
    rows = _moved(image, height, down)[:, :, None]  # [B, H, 1]
    columns = _moved(image, width, right)[:, None, :]  # [B, 1, W]
    of = torch.arange(batch, device=image.device)[:, None, None]
    return padded[of, :, rows, columns].permute(0, 3, 1, 2)


def cut_out(image: Tensor, ratio: float) -> Tensor:
    """Empties a rectangle whose centre lies anywhere in each image: `[B, C, H, W]` to the same.

    Its sides are `ratio` of the image's; what of it lies outside the image is lost.
    """
    height, width = image.shape[2:]
    rows, columns = _span(image, height, ratio), _span(image, width, ratio)  # [B, H], [B, W]
    inside = (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)  # [B, 1, H, W]
    return image.masked_fill(inside, 0)


_POLICIES = {"color": shift_colors, "translation": translate, "cutout": cut_out}


def _uniform(image: Tensor, low: float, high: float) -> Tensor:
    """A number of its own for each image, `[B, 1, 1, 1]`."""
    return torch.empty(len(image), 1, 1, 1, dtype=image.dtype, device=image.device).uniform_(low, high)


def _share(side: int, ratio: float) -> int:
    """A fraction of a side in whole pixels."""
    return int(side * ratio + 0.5)


def _integers(image: Tensor, low: int, high: int) -> Tensor:
    """A whole number in low .. high for each image, both included, `[B, 1]`."""
    return torch.randint(low, high + 1, (len(image), 1), device=image.device)


def _moved(image: Tensor, side: int, most: int) -> Tensor:
    """Which lines of an image padded by `most` each image takes, `[B, side]`."""
    return torch.arange(side, device=image.device) + _integers(image, 0, 2 * most)


def _span(image: Tensor, side: int, ratio: float) -> Tensor:
    """Which lines of each image its cutout covers, `[B, side]` bool."""
    size = _share(side, ratio)
    first = _integers(image, 0, side - size % 2) - size // 2  # as in the paper's code
    lines = torch.arange(side, device=image.device)
    return (lines >= first) & (lines < first + size)
