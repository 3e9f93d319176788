"""What several tests of this room need: small datasets, and the official file formats in miniature."""

import hashlib
import pickle
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from genlab.data.digits import Digits
from genlab.data.images import ImageData
from genlab.errors import UserError


class Numbered(Dataset):
    """Images whose pixels spell their row: `[1, 2, 2]` with the row's two digits in base 256."""

    def __init__(self, *, train: bool = True, num: int = 40, in_one_piece: bool = True) -> None:
        rows = torch.arange(num) + (0 if train else 1000)
        images = (
            torch.stack([rows // 256, rows % 256, rows * 7 % 256, rows * 0], 1)
            .to(torch.uint8)
            .view(-1, 1, 2, 2)
        )
        self.images, self.labels_ = images, rows % 5
        if in_one_piece:
            self.data, self.targets = images, self.labels_

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index], int(self.labels_[index])


def numbers(image: torch.Tensor) -> list[int]:
    """The rows that a batch `[B, 1, 2, 2]` of `Numbered` images was made from; uint8 or in [-1, 1]."""
    if image.is_floating_point():
        image = ((image + 1) * 127.5).round().long()
    return (image[:, 0, 0, 0].long() * 256 + image[:, 0, 0, 1].long()).tolist()


def numbered_data(*, num: int = 40, streamed: bool = False, **changes) -> ImageData:
    """A datamodule over `Numbered`, in memory or streamed, set up for training."""
    settings = {
        "batch_size": 4,
        "val_size": 10,
        "root": "nowhere",
        "seed": 3,
        "num_workers": 0,
        "num_classes": 5,
    } | changes
    data = ImageData(
        train=lambda: Numbered(train=True, num=num),
        test=lambda: Numbered(train=False, num=num),
        memory_budget=0 if streamed else 1,
        **settings,
    )
    return ready(data)


def fails(message: str, action: Callable[[], object]) -> None:
    """The action raises a UserError with exactly this message."""
    with pytest.raises(UserError) as raised:
        action()
    assert str(raised.value) == message


def digits(**changes) -> ImageData:
    """A datamodule over the embedded digits, not set up yet."""
    splits = {"train": partial(Digits, train=True), "test": partial(Digits, train=False)}
    return ImageData(**splits | {"val_size": 150, "batch_size": 64, "root": "nowhere"} | changes)


def ready(data: ImageData) -> ImageData:
    """Sets a datamodule up for training."""
    data.prepare_data()
    data.setup("fit")
    return data


def write_idx(path: Path, array: np.ndarray) -> None:
    """Writes uint8 in the format of MNIST: magic number 8 for bytes, the sizes, the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">{array.ndim + 1}I", 0x800 + array.ndim, *array.shape) + array.tobytes())


def write_mnist(root: Path, *, family: str = "MNIST", num: int = 30, side: int = 28) -> dict[str, np.ndarray]:
    """Writes the four files of MNIST or a dataset of its family; returns what is in them."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", num), ("t10k", num // 3)):
        arrays[f"{split}-images-idx3-ubyte"] = rng.integers(0, 256, (count, side, side), dtype=np.uint8)
        arrays[f"{split}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    for name, array in arrays.items():
        write_idx(root / family / "raw" / name, array)
    return arrays


def write_cifar10(root: Path, monkeypatch, *, num: int = 6) -> np.ndarray:
    """Writes the pickles of CIFAR10, and tells torchvision their checksums; returns the training rows."""
    from torchvision.datasets import CIFAR10

    folder = root / CIFAR10.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    written = []

    def write(name: str, content: dict) -> str:
        raw = pickle.dumps(content)
        (folder / name).write_bytes(raw)
        return hashlib.md5(raw).hexdigest()

    def batches(entries: list[list[str]]) -> list[list[str]]:
        sums = []
        for name, _ in entries:
            rows = rng.integers(0, 256, (num, 3072), dtype=np.uint8)
            written.append(rows)
            sums.append([name, write(name, {"data": rows, "labels": [i % 10 for i in range(num)]})])
        return sums

    monkeypatch.setattr(CIFAR10, "train_list", batches(CIFAR10.train_list))
    monkeypatch.setattr(CIFAR10, "test_list", batches(CIFAR10.test_list))
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    checksum = write("batches.meta", {"label_names": names})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": checksum})
    return np.concatenate(written[:5])
