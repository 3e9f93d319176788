"""The embedded dataset: 1,797 real handwritten digits that scikit-learn brings along."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

NUM_TRAIN = 1500
SPLIT_SEED = 0


class Digits(Dataset):
    """scikit-learn's 8x8 scans of digits (0..16) as uint8 images (0..255); no download, always the same.

    1,500 of them, drawn once and for all, are the training images, the other 297 the test images.

    Attributes:
        data: `[N, 1, size, size]` uint8.
        targets: `[N]` int64, the digit.
        classes: the names of the digits.
    """

    classes = [str(digit) for digit in range(10)]

    def __init__(self, *, train: bool, size: int = 32) -> None:
        """Reads the scans and enlarges them smoothly (bicubic).

        Args:
            train: the training images, or the test images.
            size: height and width in pixels; 8 is that of the scans.
        """
        from sklearn.datasets import load_digits  # a tenth of a second that other datasets need not wait

        scans, targets = load_digits(return_X_y=True)  # [1797, 64], [1797]
        order = np.random.RandomState(SPLIT_SEED).permutation(len(scans))
        rows = order[:NUM_TRAIN] if train else order[NUM_TRAIN:]
        self.data = _enlarge(torch.from_numpy(scans[rows]).float().view(-1, 1, 8, 8), size)
        self.targets = torch.from_numpy(targets[rows]).long()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.data[index], int(self.targets[index])


def _enlarge(scans: Tensor, size: int) -> Tensor:
    """Maps scans `[N, 1, 8, 8]` of 0..16 to `[N, 1, size, size]` uint8."""
    pixels = F.interpolate(scans * (255 / 16), (size, size), mode="bicubic", antialias=True)
    return pixels.round_().clamp_(0, 255).to(torch.uint8)
