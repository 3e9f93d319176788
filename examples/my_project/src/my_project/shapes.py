"""A dataset: simple shapes, drawn rather than downloaded.

Letters in shapes: N images.
"""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

RADIUS = (0.2, 0.5)
"""The smallest and the largest, where the image reaches from -1 to 1."""


class Shapes(Dataset):
    """White discs, squares and diamonds on black: a small cousin of dSprites (Matthey et al. 2017).

    genlab takes a dataset of torchvision's kind: with `data` and `targets` it is held in memory in one piece.

    Attributes:
        data: `[N, 1, size, size]` uint8.
        targets: `[N]` int64, which of `classes` it is.
        factors: `[N, 3]` float, what the image was drawn from: radius, row and column of the centre.
        classes: the names of the shapes.
    """

    classes = ["disc", "square", "diamond"]

    def __init__(self, *, train: bool, n: int = 4000, size: int = 32) -> None:
        """Draws the images; the same ones each time, others for testing than for training.

        Args:
            train: the training images, or the test images.
            n: how many.
            size: height and width in pixels.
        """
        random = np.random.default_rng(0 if train else 1)
        self.targets = torch.from_numpy(random.integers(len(self.classes), size=n))
        radius = random.uniform(*RADIUS, size=(n, 1))
        centre = random.uniform(-1, 1, size=(n, 2)) * (1 - radius)  # all of it is inside of the image
        self.factors = torch.from_numpy(np.concatenate([radius, centre], axis=1)).float()
        self.data = draw(self.targets, self.factors, size)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.data[index], int(self.targets[index])


def draw(kind: Tensor, factors: Tensor, size: int) -> Tensor:
    """Draws shapes `[N]` with their radius and centre `[N, 3]`: `[N, 1, size, size]` uint8.

    A pixel is as white as a shape's edge leaves it inside, so that a small move changes the image a little.
    """
    radius, row, column = factors[:, :, None, None].unbind(1)  # [N, 1, 1] each
    middle = (torch.arange(size) + 0.5) * 2 / size - 1  # of each pixel
    down, right = (middle[:, None] - row).abs(), (middle[None, :] - column).abs()
    distances = [torch.hypot(down, right), torch.maximum(down, right), down + right]  # as in Shapes.classes
    distance = torch.stack(distances)[kind, torch.arange(len(kind))]  # [N, size, size]
    white = (0.5 + (radius - distance) * size / 2).clamp(0, 1)
    return (255 * white).round().to(torch.uint8)[:, None]
