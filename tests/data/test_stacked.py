"""Stacks of three pictures: their labels, their originals, and that they are images like any other."""

from functools import partial

import pytest
import torch
from image_files import fails, ready, write_mnist
from torch.utils.data import Dataset
from torchvision.datasets import MNIST

from genlab.data.digits import Digits
from genlab.data.images import ImageData
from genlab.data.opening import MissingData
from genlab.data.stacked import Stacked


def stacked(*, train=True, num=400, seed=0, size=8):
    return Stacked(originals=partial(Digits, train=train, size=size), root="nowhere", num=num, seed=seed)


def channels_of(images):
    """All channels `[3 N, H, W]` as bytes, to compare them with originals."""
    return [picture.numpy().tobytes() for picture in images.flatten(0, 1)]


def test_the_label_spells_the_three_digits_and_each_channel_shows_its_own():
    digits = Digits(train=True, size=8)
    label = dict(zip(channels_of(digits.data), digits.targets.tolist(), strict=True))
    sets = stacked()
    shown = torch.tensor([label[picture] for picture in channels_of(sets.data)]).view(-1, 3)
    # 100 a + 10 b + c
    assert torch.equal(sets.targets, shown[:, 0] * 100 + shown[:, 1] * 10 + shown[:, 2])
    assert sets.data.shape == (400, 3, 8, 8) and sets.data.dtype == torch.uint8
    assert sets.classes[7] == "007" and len(sets.classes) == 1000


def test_every_original_is_shown_equally_often_in_every_channel():
    sets = stacked(train=False, num=2 * 297)
    originals = sorted(channels_of(Digits(train=False, size=8).data))
    for channel in range(3):
        assert sorted(channels_of(sets.data[:, channel : channel + 1])) == sorted(originals * 2)


def test_the_channels_are_chosen_independently():
    image = stacked(num=1500).data.float()
    assert not torch.equal(image[:, 0], image[:, 1]) and not torch.equal(image[:, 1], image[:, 2])
    # 1,500 draws from 1,000 modes of nearly equal weight show 1000 (1 - 1/e^1.5) = 777 of them
    assert abs(len(stacked(num=1500).targets.unique()) - 777) < 40


def test_training_and_test_stacks_share_no_original():
    train, test = (set(channels_of(stacked(train=train, num=1500).data)) for train in (True, False))
    assert len(train) > 1400 and len(test) > 250 and not train & test


def test_the_seed_alone_decides_which_are_stacked():
    torch.manual_seed(1)
    first = stacked()
    torch.manual_seed(2)
    assert torch.equal(first.data, stacked().data) and torch.equal(first.targets, stacked().targets)
    assert not torch.equal(first.targets, stacked(seed=1).targets)


def data(root="nowhere", originals=Digits, num=200, **changes):
    splits = {
        name: partial(Stacked, originals=partial(originals, train=name == "train"), num=num)
        for name in ("train", "test")
    }
    return ImageData(
        **splits, root=str(root), num_classes=1000, class_names=[], val_size=20, batch_size=16, **changes
    )


def test_they_are_delivered_by_the_datamodule_of_images():
    module = ready(data())
    assert module.facts()["image_shape"] == [3, 32, 32] and module.facts()["num_classes"] == 1000
    batch = next(iter(module.train_dataloader()))
    assert batch.image.shape == (16, 3, 32, 32) and int(batch.label.max()) < 1000
    assert (module.num_train, module.num_val) == (180, 20)


def test_mnist_is_stacked_from_its_files(tmp_path):
    arrays = write_mnist(tmp_path)
    module = data(tmp_path, MNIST, num=30)
    module.prepare_data()
    module.setup()
    image = module.test_dataloader().images
    assert set(channels_of(image)) == {p.tobytes() for p in arrays["t10k-images-idx3-ubyte"]}


def test_missing_originals_are_named(tmp_path):
    with pytest.raises(MissingData, match="^MNIST is not complete in "):
        data(tmp_path, MNIST, download=False).prepare_data()


def test_missing_originals_are_downloaded_where_that_is_allowed(tmp_path):
    asked = []

    class Remote(Digits):
        def __init__(self, *, root, train, download):
            asked.append((root, download))
            if not download and True not in {fetched for _, fetched in asked}:
                raise FileNotFoundError(root)
            super().__init__(train=train, size=8)

    data(tmp_path, Remote).prepare_data()
    assert (str(tmp_path), True) in asked
    with pytest.raises(MissingData):
        asked.clear()
        data(tmp_path, Remote, download=False).prepare_data()


class Colour(Dataset):
    def __init__(self, train=True):
        self.data, self.targets = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(4)


def test_what_cannot_be_stacked_is_refused():
    fails(
        "Colour cannot be stacked: that takes gray images of 10 classes, held in one piece",
        lambda: Stacked(originals=Colour, root="nowhere"),
    )
    fails("data.train.num and data.test.num must be at least 1, got 0", lambda: stacked(num=0))
