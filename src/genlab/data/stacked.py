"""Three gray pictures as the colour channels of one: a dataset whose modes can be counted.

Stacked MNIST after Metz et al. 2017 (arXiv:1611.02163): ten digits give 1,000 combinations.
Letters in shapes: N images, n originals, H height, W width.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from genlab.data.opening import download_dataset, open_dataset
from genlab.data.sources import whole
from genlab.errors import UserError

CHANNELS = 3
NUM_ORIGINAL_CLASSES = 10


class Stacked(Dataset):
    """Images of three random originals; the label of a, b, c is 100 a + 10 b + c.

    Each channel goes through the originals in random orders of its own, so that it shows each of them
    equally often, up to one.

    Attributes:
        data: `[N, 3, H, W]` uint8.
        targets: `[N]` int64.
        classes: the names of the combinations, `000` to `999`.
    """

    classes = [f"{label:03d}" for label in range(NUM_ORIGINAL_CLASSES**CHANNELS)]

    def __init__(
        self,
        *,
        originals: Callable[..., Dataset],
        root: str,
        download: bool = False,
        num: int = 60_000,
        seed: int = 0,
    ) -> None:
        """Opens the originals and stacks them.

        Args:
            originals: a dataset class of torchvision's kind, gray images of ten classes held in one piece.
            root: folder in which datasets are kept.
            download: fetch the originals.
            num: N, at least 1.
            seed: of the choice; not the run's, so that all runs see the same images.

        Raises:
            UserError: the originals are missing, or not of that kind; `num` is below 1.
        """
        if num < 1:
            raise UserError(f"data.train.num and data.test.num must be at least 1, got {num}")
        if download:
            download_dataset(originals, root)
        images, labels = _gray(open_dataset(originals, root))
        rows = _choose(len(images), num, seed)  # [3, N]
        self.data = torch.stack([images[channel] for channel in rows], 1)  # [N, 3, H, W]
        places = NUM_ORIGINAL_CLASSES ** torch.arange(CHANNELS - 1, -1, -1)  # 100, 10, 1
        self.targets = places @ labels[rows]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.data[index], int(self.targets[index])


def _gray(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """The images `[n, H, W]` and labels `[n]` of the originals."""
    held = whole(dataset)
    if held is None or held[0].shape[1] != 1 or int(held[1].max()) >= NUM_ORIGINAL_CLASSES:
        raise UserError(
            f"{type(dataset).__name__} cannot be stacked: that takes gray images of {NUM_ORIGINAL_CLASSES}"
            " classes, held in one piece"
        )
    return held[0][:, 0], held[1]


def _choose(num_originals: int, num: int, seed: int) -> Tensor:
    """The original of each channel of each image, `[3, N]`."""
    stream = np.random.default_rng(seed)
    rounds = -(-num // num_originals)
    orders = [
        np.concatenate([stream.permutation(num_originals) for _ in range(rounds)])[:num]
        for _ in range(CHANNELS)
    ]
    return torch.from_numpy(np.stack(orders))
