import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from image_files import Numbered, digits, fails, numbered_data, numbers, ready
from torch import nn

from genlab.data.images import ImageData


def rows(loader):
    return [row for batch in loader for row in numbers(batch.image)]


def test_digits_arrive_whole_and_with_their_facts():
    data = ready(digits())
    data.setup("test")
    assert data.facts() == {
        "image_shape": [1, 32, 32],
        "num_classes": 10,
        "class_names": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    }
    assert (data.num_train, data.num_val, data.num_test) == (1350, 150, 297)
    assert (len(data.train_dataloader()), len(data.val_dataloader()), len(data.test_dataloader())) == (
        21,
        3,
        5,
    )


def test_train_and_validation_share_no_image_and_leave_none_out():
    data = numbered_data(drop_last=False)
    train, val = rows(data.train_dataloader()), rows(data.val_dataloader())
    assert (len(train), len(val)) == (30, 10)
    assert sorted(train + val) == list(range(40))


def test_the_split_is_that_of_split_seed_whatever_the_seed_of_training():
    one, other = numbered_data(seed=1), numbered_data(seed=2)
    assert rows(one.val_dataloader()) == rows(other.val_dataloader())
    assert rows(one.train_dataloader()) != rows(other.train_dataloader())
    assert rows(numbered_data(split_seed=1).val_dataloader()) != rows(one.val_dataloader())


def test_validation_images_are_a_mixture_even_of_sorted_data():
    val = rows(numbered_data().val_dataloader())
    assert val != sorted(val) and max(val) > 20 and min(val) < 20


def test_a_part_or_a_number_of_images_is_held_back():
    assert numbered_data(val_size=0.25).num_val == 10
    assert numbered_data(val_size=0.001).num_val == 1
    assert numbered_data(val_size=7).num_val == 7


@pytest.mark.parametrize("size", [0, 40, -1, 0.0, 1.0, 0.999])
def test_a_validation_set_that_takes_all_or_nothing_is_refused(size):
    fails(
        "data.val_size must be a part between 0 and 1 or a number from 1 to 39 of the 40 training images, got"
        f" {size}",
        lambda: numbered_data(val_size=size),
    )


def test_only_the_test_stage_opens_the_test_images():
    opened = []

    def factory(split):
        def build():
            opened.append(split)
            return Numbered(train=split == "train")

        return build

    data = ImageData(train=factory("train"), test=factory("test"), root="x", batch_size=4)
    ready(data)
    rows(data.train_dataloader()) + rows(data.val_dataloader())
    data.mean_image()
    assert opened == ["train"]
    fails('no test images are read yet; call setup("test") first', data.test_dataloader)
    data.setup("test")
    assert opened == ["train", "test"]
    assert rows(data.test_dataloader()) == list(range(1000, 1040))


def test_reading_happens_once_however_often_lightning_asks():
    opened = []

    def factory():
        opened.append(1)
        return Numbered()

    data = ImageData(train=factory, test=Numbered, root="x", batch_size=4)
    for _ in range(3):
        ready(data)
    assert opened == [1]


def test_the_test_stage_alone_is_enough_to_test():
    data = digits()
    data.setup("test")
    assert data.num_test == 297
    fails('no training images are read yet; call prepare_data() and setup("fit") first', data.facts)


@pytest.mark.parametrize("budget", [0, 100])
def test_images_become_floats_over_the_whole_range_on_their_way_to_the_model(budget):
    data = ready(digits(memory_budget=budget, num_workers=0))
    batch = next(iter(data.val_dataloader()))
    moved = data.on_after_batch_transfer(batch, 0)
    assert batch.image.dtype == torch.uint8 and moved.image.dtype == torch.float32
    assert (moved.image.min(), moved.image.max()) == (-1, 1)
    torch.testing.assert_close(moved.image, batch.image.float() / 127.5 - 1)
    assert torch.equal(moved.label, batch.label)


def test_augmentation_sees_float_batches_of_training_only():
    seen = []

    class Darken(nn.Module):
        def forward(self, image):
            seen.append((image.dtype, tuple(image.shape)))
            return image * 0 - 1

    data = numbered_data(augment=Darken())
    batch = next(iter(data.train_dataloader()))
    keep = SimpleNamespace(convert_input=lambda image: image)
    for training in (False, True):
        data.trainer = SimpleNamespace(training=training, precision_plugin=keep)
        darkened = (data.on_after_batch_transfer(batch).image == -1).all()
        assert bool(darkened) is training
    assert seen == [(torch.float32, (4, 1, 2, 2))]


def ranked(rank, world_size, **settings):
    data = numbered_data(**settings)
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, overfit_batches=0)
    return data


@pytest.mark.parametrize("streamed", [False, True])
def test_processes_share_the_images_among_themselves(streamed):
    parts = [ranked(rank, 2, streamed=streamed) for rank in (0, 1)]
    alone = numbered_data(batch_size=8)
    val = [rows(data.val_dataloader()) for data in parts]
    assert sorted(val[0] + val[1]) == sorted(rows(alone.val_dataloader()))
    pairs = zip(*[data.train_dataloader() for data in parts], strict=True)
    together = [sorted(numbers(first.image) + numbers(second.image)) for first, second in pairs]
    assert together == [sorted(numbers(batch.image)) for batch in alone.train_dataloader()]


def test_too_few_images_for_one_batch_are_told_before_training():
    fails(
        "data.batch_size 64 on 1 process needs 64 training images, there are 30; give data.batch_size=30 or"
        " data.drop_last=false",
        numbered_data(batch_size=64).train_dataloader,
    )
    fails(
        "data.batch_size 16 on 2 processes needs 32 training images, there are 30; give data.batch_size=15 or"
        " data.drop_last=false",
        ranked(0, 2, batch_size=16).train_dataloader,
    )
    assert len(numbered_data(batch_size=64, drop_last=False).train_dataloader()) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "data.batch_size must be at least 1, got 0"),
        ({"channels": 2}, "data.channels must be 1 (gray), 3 (colour) or null (as they are), got 2"),
        ({"image_size": 0}, "data.image_size must be at least 2 or null (as they are), got 0"),
        ({"num_workers": -1}, "data.num_workers must be 0 or more, got -1"),
    ],
)
def test_numbers_out_of_range_are_refused(changes, message):
    fails(message, lambda: digits(**changes))


REAL = Path(os.environ.get("GENLAB_DATA", "data"))


@pytest.mark.skipif(
    not (REAL / "MNIST" / "raw" / "train-images-idx3-ubyte").exists(), reason="no MNIST under GENLAB_DATA"
)
def test_real_mnist_has_the_mean_that_everybody_knows():
    from torchvision.datasets import MNIST

    splits = {"train": partial(MNIST, train=True), "test": partial(MNIST, train=False)}
    data = ready(digits(**splits, root=str(REAL), val_size=5000, num_classes=10, image_shape=[1, 28, 28]))
    data.setup("test")
    assert (data.num_train, data.num_val, data.num_test) == (55000, 5000, 10000)
    # the mean of the 60,000 training pixels in [0, 1] is .1307
    torch.testing.assert_close(data.mean_image().mean().item() / 2 + 0.5, 0.1307, rtol=0, atol=1e-3)
