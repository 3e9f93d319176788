"""Images read row by row: which pixels come when, and how gray becomes black and white."""

from functools import partial

import pytest
import torch
from image_files import Numbered, fails, write_mnist

from genlab.data.digits import Digits
from genlab.data.image_rows import RowData
from genlab.sequence_contracts import SequenceBatch


def ready(stage=None, **changes):
    splits = {"train": partial(Digits, train=True, size=8), "test": partial(Digits, train=False, size=8)}
    data = RowData(**splits | {"root": "nowhere", "val_size": 150, "batch_size": 50} | changes)
    data.prepare_data()
    data.setup(stage)
    return data


def test_a_step_is_a_row_of_pixels_from_top_to_bottom():
    data = ready(binarize="none")
    test = Digits(train=False, size=8)
    found = {
        tuple(image.flatten().tolist()): int(label)
        for image, label in zip(test.data, test.targets, strict=True)
    }
    batch = next(iter(data.test_dataloader()))
    assert isinstance(batch, SequenceBatch) and batch.target.shape == (50, 8, 8)
    for image, label in zip(batch.target, batch.label.tolist(), strict=True):
        assert found[tuple(image.flatten().tolist())] == label
    ready_batch = data.on_after_batch_transfer(batch)
    torch.testing.assert_close(ready_batch.target, batch.target / 255)


def test_training_and_validation_images_are_other_ones_and_each_comes_once():
    data = ready(drop_last=False)
    images = [
        tuple(image.flatten().tolist())
        for loader in (data.train_dataloader(), data.val_dataloader())
        for batch in loader
        for image in batch.target
    ]
    train = {tuple(image.flatten().tolist()) for image in Digits(train=True, size=8).data}
    assert len(images) == 1500 and set(images) == train
    assert (data.num_train, data.num_val, data.num_test) == (1350, 150, 297)


def test_inputs_are_the_very_pixels_that_were_drawn_for_the_targets():
    batch = ready().on_after_batch_transfer(next(iter(ready().val_dataloader())))
    assert set(batch.target.unique().tolist()) == {0, 1}
    assert torch.equal(batch.input[:, 1:], batch.target[:, :-1]) and not batch.input[:, 0].any()
    assert batch.begins.all() and batch.weight is None and batch.label.max() == 9


def gray(value, data):
    """A thousand pixels of one gray, as the data delivers them."""
    target = torch.full((10, 10, 10), value, dtype=torch.uint8)
    batch = SequenceBatch(target, target, None, torch.zeros(10), torch.ones(10))
    return data.on_after_batch_transfer(batch).target


def test_gray_is_the_probability_of_white():
    data = ready("fit")
    assert gray(0, data).max() == 0 and gray(255, data).min() == 1
    torch.manual_seed(0)
    share = gray(51, data).mean()  # a fifth; the share of 1,000 is known to .013
    assert abs(share - 0.2) < 0.04
    assert not torch.equal(gray(128, data), gray(128, data))  # anew each time


def test_a_threshold_cuts_at_one_half():
    data = ready("fit", binarize="threshold")
    assert gray(127, data).max() == 0 and gray(128, data).min() == 1


def test_the_facts_are_those_of_the_images():
    facts = ready("fit").facts()
    assert (facts["sequence_length"], facts["num_features"], facts["num_classes"]) == (8, 8, 10)
    assert facts["columns"][0] == "pixel_1" and len(facts["columns"]) == 8
    assert facts["class_names"] == [str(k) for k in range(10)]
    assert ready("fit").codec is None and ready("fit").rows_of_images


def test_mnist_is_read_from_its_files(tmp_path):
    from torchvision.datasets import MNIST

    write_mnist(tmp_path, family="MNIST")
    splits = {"train": partial(MNIST, train=True), "test": partial(MNIST, train=False)}
    data = ready(**splits, root=str(tmp_path), val_size=5, batch_size=8)
    assert (data.num_train, data.num_val, data.num_test) == (25, 5, 10)
    assert data.facts()["sequence_length"] == 28


def test_wrong_settings_are_told_in_a_sentence():
    fails("data.binarize must be one of sample, threshold, none, got fixed", lambda: ready(binarize="fixed"))
    fails(
        "data.sequence_length says 9 but the images have 8 rows; give data.sequence_length=8, or null to take"
        " what there is",
        lambda: ready(sequence_length=9),
    )
    fails(
        "data.num_features says 9 but the data has 8 columns; give data.num_features=8, or null to take what"
        " there is",
        lambda: ready(num_features=9),
    )
    with pytest.raises(Exception, match="num_classes says 3"):
        ready(num_classes=3)
    tall = {"train": partial(Numbered), "test": partial(Numbered, train=False)}
    assert ready("fit", **tall, val_size=4).facts()["sequence_length"] == 2
