"""The classifier: what it learns, that it is trained once, and what is told of samples with its help."""

import math
import os
from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from genlab.config import build, conf_dir
from genlab.data.digits import Digits
from genlab.data.stacked import Stacked
from genlab.errors import UserError
from genlab.metrics.class_agreement import ClassAgreement
from genlab.metrics.classifier import Classifier, accuracy, as_bytes, as_signed, predict
from genlab.metrics.classifier_training import ClassifierRecipe, fingerprint, shifted
from genlab.metrics.judging import gather, judge
from genlab.metrics.sample_metric import Needs, SampleMetric, Samples
from genlab.metrics.stacked_modes import StackedModes, single_labels, stacked_label


def exact(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def recipe(folder=None, **changes):
    """A few seconds of training on small images."""
    return ClassifierRecipe(folder=folder, **{"min_steps": 200, "shift": 1} | changes)


@pytest.fixture(scope="module")
def digits():
    train, test = Digits(train=True, size=8), Digits(train=False, size=8)
    return Samples(train.data, train.targets), Samples(test.data, test.targets)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("classifiers"))


def test_it_learns_the_embedded_digits_in_seconds(digits, folder):
    train, test = digits
    net = recipe(folder).classifier(train.x, train.label, 10)
    assert accuracy(net, test.x, test.label) >= 0.96
    exact(predict(net, as_signed(test.x)), predict(net, test.x))  # bytes and floats alike


def test_it_is_trained_once_and_then_read(digits, folder, monkeypatch):
    train, _ = digits
    net = recipe(folder).classifier(train.x, train.label, 10)
    monkeypatch.setattr(ClassifierRecipe, "_train", lambda *_: pytest.fail("it was trained again"))
    again = recipe(folder).classifier(as_signed(train.x), train.label, 10)
    assert fingerprint(again.state_dict()) == fingerprint(net.state_dict())
    assert not again.training


TINY = {"epochs": 1, "min_steps": 2, "width": 2}


def tiny_file(folder: Path, images=None, labels=None, **changes) -> Path:
    """Trains a tiny one into an empty folder and gives its file."""
    images = torch.arange(64, dtype=torch.uint8).view(4, 1, 4, 4) if images is None else images
    labels = torch.tensor([0, 1, 0, 1]) if labels is None else labels
    before = set(folder.glob("*"))
    recipe(str(folder), **TINY | changes).classifier(images, labels, 2)
    return (set(folder.glob("*")) - before).pop()


def test_other_images_labels_or_settings_are_another_file(tmp_path):
    other = torch.zeros(4, 1, 4, 4, dtype=torch.uint8)
    files = [
        tiny_file(tmp_path),
        tiny_file(tmp_path, images=other),
        tiny_file(tmp_path, labels=torch.tensor([1, 1, 0, 0])),
        tiny_file(tmp_path, lr=1e-3),
        tiny_file(tmp_path, seed=1),
    ]
    assert len(set(files)) == 5 and {file.suffix for file in files} == {".pt"}


def test_a_damaged_file_is_trained_anew(tmp_path):
    file = tiny_file(tmp_path)
    content = torch.load(file, weights_only=True)
    good = content["sha256"]
    content["state_dict"]["head.1.bias"] += 1  # what its hash does not tell
    for damage in (
        lambda: torch.save(content, file),
        lambda: torch.save({"weights": 1}, file),
        lambda: file.write_bytes(b"half a fi"),
    ):
        damage()
        recipe(str(tmp_path), **TINY).classifier(
            torch.arange(64, dtype=torch.uint8).view(4, 1, 4, 4), torch.tensor([0, 1, 0, 1]), 2
        )
        mended = torch.load(file, weights_only=True)
        assert fingerprint(mended["state_dict"]) == mended["sha256"] == good


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path, caplog):
    (tmp_path / "data").write_text("a file, so that no folder can be made in it")
    shared = tmp_path / "data" / "classifiers"
    image, label = torch.arange(64, dtype=torch.uint8).view(4, 1, 4, 4), torch.tensor([0, 1, 0, 1])
    net = recipe(str(shared), **TINY).classifier(image, label, 2)
    kept_nowhere = recipe(None, **TINY).classifier(image, label, 2)
    assert fingerprint(net.state_dict()) == fingerprint(kept_nowhere.state_dict()) and not net.training
    (told,) = caplog.messages
    assert told.startswith(
        f"{shared}: the trained classifier cannot be kept there (Not a directory), and is trained"
    )


def test_equal_seeds_give_equal_weights_and_leave_the_global_stream_alone():
    image, label = torch.randint(0, 256, (20, 3, 9, 6), dtype=torch.uint8), torch.arange(20) % 3
    before = torch.get_rng_state()
    hashes = [
        fingerprint(recipe(seed=seed, **TINY).classifier(image, label, 3).state_dict()) for seed in (0, 0, 1)
    ]
    assert hashes[0] == hashes[1] != hashes[2]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", [[1, 28, 28], [3, 32, 32], [1, 8, 8], [3, 64, 20], [1, 5, 3], [1, 1, 1]])
def test_any_size_gray_or_coloured_is_classified(shape):
    net = Classifier(image_shape=shape, num_classes=4, width=2).eval()
    assert net(torch.zeros(2, *shape)).shape == (2, 4)


def test_shifts_move_an_image_and_draw_out_its_edge():
    torch.manual_seed(0)
    image = torch.tensor([[1.0, 2.0, 3.0]]).expand(200, 1, 1, 3)
    seen = {tuple(row) for row in shifted(image, 1).view(200, 3).tolist()}
    assert seen == {(1, 2, 3), (1, 1, 2), (2, 3, 3)}
    assert shifted(image, 0) is image


def test_bytes_become_floats_and_come_back_exactly():
    image = torch.arange(256, dtype=torch.uint8)
    exact(as_bytes(as_signed(image)), image)
    exact(image, torch.arange(256, dtype=torch.uint8))


def test_agreement_is_the_share_of_labels_that_the_classifier_sees(digits, folder):
    train, test = digits
    metric = ClassAgreement(classifier=recipe(folder), n=297)
    metric.prepare({"num_classes": 10}, train)
    numbers = metric.compute(test, test)  # the test images as if a model had made them
    assert numbers["label_agreement"] == numbers["classifier_accuracy"] >= 0.96
    assert numbers["classes"] == 10 and numbers["classes_kl"] < 0.01
    wrong = metric.compute(Samples(test.x, (test.label + 1) % 10), test)
    assert wrong["label_agreement"] < 0.04
    assert "label_agreement" not in metric.compute(Samples(test.x), test)
    assert len(metric.stamp()["extractor_sha256"]) == 64


def test_the_balance_of_classes_is_held_against_the_data(digits, folder):
    train, test = digits
    metric = ClassAgreement(classifier=recipe(folder), n=10)
    metric.prepare({"num_classes": 10}, train)
    zeros = test.x[(test.label == 0) & (predict(metric._judge, test.x) == 0)]
    numbers = metric.compute(Samples(zeros), test)
    share = float((test.label == 0).double().mean())
    assert numbers["classes"] == 1
    assert numbers["classes_kl"] == pytest.approx(-math.log(share))  # 1 log(1 / share)


def test_numbers_of_stacks_and_digits_are_each_others_way_back():
    digits = torch.tensor([[0, 0, 7], [9, 8, 1], [3, 0, 0]])
    assert stacked_label(digits).tolist() == [7, 981, 300]
    exact(single_labels(stacked_label(digits)), digits)
    exact(single_labels(stacked_label(digits % 3, 3), 3), digits % 3)


def stacked(train, num):
    data = Stacked(originals=partial(Digits, train=train, size=8), root="nowhere", num=num)
    return Samples(data.data, data.targets)


def test_modes_of_stacked_images_are_counted_by_their_channels(folder):
    metric = StackedModes(classifier=recipe(folder), n=1500)
    train, test = stacked(True, 1500), stacked(False, 297)
    metric.prepare({"num_classes": 1000}, train)
    seen = metric.classes(train.x)
    assert float((seen == train.label).double().mean()) > 0.95
    numbers = metric.compute(Samples(train.x), test)
    assert numbers["modes"] == len(seen.unique()) and abs(numbers["modes"] - 777) < 60
    assert numbers["classifier_accuracy"] >= 0.96
    one = metric.compute(Samples(train.x[:1].expand(50, 3, 8, 8)), test)
    assert one["modes"] == 1 and one["modes_kl"] == pytest.approx(math.log(1000))
    assert metric.stamp()["of_modes"] == 1000


def test_data_that_a_metric_means_nothing_for_is_refused(digits):
    points = Samples(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(UserError, match="^metrics=stacked_modes needs three pictures as colour channels,"):
        StackedModes(classifier=recipe()).prepare({"num_classes": 10}, digits[0])
    with pytest.raises(UserError, match="^metrics=classifier needs images with labels; give metrics=none$"):
        ClassAgreement(classifier=recipe()).prepare({"num_classes": 8}, points)
    with pytest.raises(
        UserError, match="^a classifier needs 2 or more classes and images, got 1 classes and"
    ):
        recipe().classifier(torch.zeros(4, 1, 4, 4), torch.zeros(4, dtype=torch.int64), 1)
    with pytest.raises(UserError, match="^classifier.batch_size must be at least 2, got 1$"):
        recipe(batch_size=1)


class Count(SampleMetric):
    """Counts what it is given."""

    def __init__(self, needs):
        self._needs, self.facts = needs, None

    def needs(self):
        return self._needs

    def prepare(self, facts, train):
        self.facts = facts, None if train is None else len(train.x)

    def compute(self, fake, test):
        return {"fakes": len(fake.x), "test": -1 if test is None else len(test.x)}

    def stamp(self):
        return {"of": "counts"}


def test_a_judge_draws_once_and_reads_only_what_is_wanted():
    drawn, read_ = [], []

    def draw(n):
        drawn.append(n)
        return Samples(torch.zeros(n, 2), torch.zeros(n))

    def read(split):
        read_.append(split)
        return Samples(torch.zeros(7, 2))

    few, many = Count(Needs(fakes=3)), Count(Needs(fakes=5, test=True))
    verdicts = judge({"few": few, "many": many}, facts={"num_classes": 2}, draw=draw, read=read)
    assert (drawn, read_) == ([5], ["test"])
    assert verdicts["few"].numbers == {"fakes": 3, "test": -1} and few.facts == ({"num_classes": 2}, None)
    assert verdicts["many"].numbers == {"fakes": 5, "test": 7} and verdicts["many"].stamp == {"of": "counts"}
    assert judge({}, facts={}, draw=draw, read=read) == {}


def test_batches_are_gathered_in_their_order():
    batches = [(torch.tensor([[1.0]]), torch.tensor([4])), (torch.tensor([[2.0]]), torch.tensor([5]))]
    samples = gather(batches)
    exact(samples.x, torch.tensor([[1.0], [2.0]]))
    exact(samples.label, torch.tensor([4, 5]))


@pytest.mark.parametrize("option", ["modes", "classifier", "stacked_modes"])
def test_the_options_build_their_metrics(option):
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        section = OmegaConf.to_container(compose(f"metrics/{option}").metrics, resolve=True)
    metric = build(section[option], path=f"metrics.{option}")
    assert isinstance(metric, SampleMetric) and metric.needs().fakes == section[option]["n"]


@pytest.mark.slow
def test_on_mnist_it_is_right_in_99_25_of_a_hundred(folder):
    from torchvision.datasets import MNIST

    root = os.environ.get("GENLAB_DATA", "data")
    if not Path(root, "MNIST", "raw").is_dir():
        pytest.skip("MNIST is not there: GENLAB_DATA names the folder that holds MNIST/raw")
    train, test = MNIST(root, train=True), MNIST(root, train=False)
    net = ClassifierRecipe(folder=folder).classifier(train.data[:, None], train.targets, 10)
    assert accuracy(net, test.data[:, None], test.targets) >= 0.9925
