import pytest
import torch
from sklearn.datasets import load_digits

from genlab.data.digits import Digits


def test_the_split_is_1500_to_297_and_covers_all_scans_once():
    train, test = Digits(train=True, size=8), Digits(train=False, size=8)
    assert (len(train), len(test)) == (1500, 297)
    scans = torch.from_numpy(load_digits().data).view(-1, 8, 8) * 255 / 16
    both = torch.cat([train.data, test.data])[:, 0].double()

    def key(images):
        return sorted(tuple(image.flatten().round().long().tolist()) for image in images)

    assert key(both) == key(scans)


def test_images_and_labels_belong_together():
    # images of a class look like the class's mean more often than like any other's
    digits = Digits(train=True)
    images = digits.data.float().flatten(1)
    means = torch.stack([images[digits.targets == label].mean(0) for label in range(10)])
    nearest = torch.cdist(images, means).argmin(1)
    assert (nearest == digits.targets).float().mean() > 0.85


@pytest.mark.parametrize("size", [8, 20, 32])
def test_images_are_gray_bytes_of_the_size_asked_for_using_the_whole_range(size):
    digits = Digits(train=False, size=size)
    assert digits.data.shape == (297, 1, size, size) and digits.data.dtype == torch.uint8
    assert (digits.data.min(), digits.data.max()) == (0, 255)
    assert digits.targets.unique().tolist() == list(range(10))


def test_enlarging_is_smooth_and_wraps_around_nowhere():
    # bicubic overshoot beyond 0..255 that wrapped around would be steps of nearly 255 between neighbours
    steps = Digits(train=True).data.int().diff(dim=-1).abs()
    assert steps.max() < 128


def test_every_time_it_is_the_same():
    a, b = Digits(train=True), Digits(train=True)
    assert torch.equal(a.data, b.data) and torch.equal(a.targets, b.targets)
    # the first five labels, so that no later version of a library reshuffles the split unseen
    assert a.targets[:8].tolist() == FIRST_LABELS


FIRST_LABELS = [2, 8, 2, 6, 6, 7, 1, 9]


def test_an_item_is_an_image_and_a_number():
    image, label = Digits(train=True, size=8)[3]
    assert image.shape == (1, 8, 8) and label == FIRST_LABELS[3] and type(label) is int
