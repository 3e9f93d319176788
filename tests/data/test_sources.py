from functools import partial

import numpy as np
import pytest
import torch
from image_files import digits, fails, numbered_data, ready
from PIL import Image
from torch.utils.data import Dataset

from genlab.data.digits import Digits
from genlab.data.images import ImageData
from genlab.data.loader import StreamLoader, TensorLoader


def test_data_is_held_up_to_the_budget_and_streamed_beyond():
    num_bytes = 1500 * 32 * 32
    fits, exceeds = num_bytes / 2**20, (num_bytes - 1) / 2**20
    assert isinstance(ready(digits(memory_budget=fits)).train_dataloader(), TensorLoader)
    assert isinstance(ready(digits(memory_budget=exceeds)).train_dataloader(), StreamLoader)


@pytest.mark.parametrize("streamed", [False, True])
def test_the_mean_image_is_that_of_the_training_images_alone(streamed):
    data = numbered_data(streamed=streamed, drop_last=False)
    images = torch.cat([batch.image for batch in data.train_dataloader()]).double()
    torch.testing.assert_close(data.mean_image().double(), images.mean(0) / 127.5 - 1, rtol=0, atol=1e-6)


@pytest.mark.parametrize("budget", [0, 100])
def test_size_and_channels_are_made_what_is_asked_for(budget):
    data = ready(digits(image_size=20, channels=3, memory_budget=budget, num_workers=0))
    assert data.facts()["image_shape"] == [3, 20, 20]
    assert next(iter(data.val_dataloader())).image.shape == (64, 3, 20, 20)


def test_held_and_streamed_images_are_resized_to_the_same_bytes():
    held, streamed = (ready(digits(image_size=20, memory_budget=b, num_workers=0)) for b in (100, 0))
    for a, b in zip(held.val_dataloader(), streamed.val_dataloader(), strict=True):
        torch.testing.assert_close(a.image, b.image, rtol=0, atol=0)


class Pictures(Dataset):
    """A dataset of torchvision's other kind: PIL images one by one, no `data`."""

    def __init__(self, make, label=lambda i: i % 3, num=12):
        self.make, self.label, self.num = make, label, num

    def __len__(self):
        return self.num

    def __getitem__(self, index):
        return self.make(index), self.label(index)


def gray(index):
    return Image.fromarray(np.full((6, 6), 10 * index, dtype=np.uint8))


def pictures(*args, **changes):
    settings = {"batch_size": 2, "val_size": 3, "root": "x", "num_workers": 0, "num_classes": 3} | changes
    return ready(ImageData(train=lambda: Pictures(*args), test=lambda: Pictures(*args), **settings))


def test_datasets_of_single_pictures_are_decoded_into_memory():
    data = pictures(gray, drop_last=False)
    batches = [*data.train_dataloader(), *data.val_dataloader()]
    pairs = [pair for batch in batches for pair in zip(batch.image, batch.label, strict=True)]
    values = sorted((image.unique().tolist(), int(label)) for image, label in pairs)
    assert values == [([10 * i], i % 3) for i in range(12)]


def test_pictures_and_labels_of_unknown_kinds_are_refused():
    fails(
        "Pictures gives a ndarray as image; PIL images and uint8 tensors [C, H, W] are understood: give it no"
        " transform",
        lambda: pictures(lambda i: np.zeros((4, 4))),
    )
    fails(
        "Pictures gives a dict as label; a class number is needed",
        lambda: pictures(gray, lambda i: {"boxes": []}),
    )


def test_a_transform_of_the_dataset_is_not_passed_by():
    class Inverted(Digits):
        transform = staticmethod(lambda image: 255 - image)

        def __getitem__(self, index):
            return self.transform(self.data[index]), int(self.targets[index])

    inverted = ready(digits(train=partial(Inverted, train=True)))
    plain = ready(digits())
    torch.testing.assert_close(inverted.mean_image(), -plain.mean_image())
