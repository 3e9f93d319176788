"""Files that are missing, damaged or cannot be downloaded: one sentence each, and never the network."""

import os
import re
import socket
import stat
import sys
from functools import partial
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from image_files import fails, write_cifar10, write_mnist
from torchvision import datasets

from genlab.data import opening
from genlab.data.images import ImageData
from genlab.data.opening import MissingData, download_dataset, open_dataset
from genlab.errors import UserError

MNIST_FILES = (
    "train-images-idx3-ubyte(.gz), train-labels-idx1-ubyte(.gz), t10k-images-idx3-ubyte(.gz),"
    " t10k-labels-idx1-ubyte(.gz)"
)
NO_NAME = "<urlopen error [Errno -2] Name or service not known>"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any download ends as it does where no name can be resolved."""

    def refuse(*_, **__):
        print("Downloading http://somewhere")
        raise URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def image_data(cls, root, **changes):
    return ImageData(
        train=partial(cls, train=True), test=partial(cls, train=False), root=str(root), **changes
    )


@pytest.mark.parametrize("family", ["MNIST", "FashionMNIST", "KMNIST"])
def test_a_failed_download_of_the_mnist_family_names_files_folder_and_the_way_out(family, tmp_path, capsys):
    folder = tmp_path / family / "raw"
    fails(
        f"{family} is not complete in {folder} and cannot be downloaded ({NO_NAME}): put {MNIST_FILES} into {folder},"
        " or take data=digits, which needs no files",
        image_data(getattr(datasets, family), tmp_path).prepare_data,
    )
    assert capsys.readouterr().out == ""


def test_a_failed_download_of_cifar10_names_its_archive(tmp_path):
    fails(
        f"CIFAR10 is not complete in {tmp_path} and cannot be downloaded ({NO_NAME}): put cifar-10-python.tar.gz into"
        f" {tmp_path}, or take data=digits, which needs no files",
        image_data(datasets.CIFAR10, tmp_path).prepare_data,
    )


def test_a_failed_download_of_another_dataset_names_the_folder(tmp_path):
    data = ImageData(train=partial(datasets.EMNIST, split="digits"), test=datasets.EMNIST, root=str(tmp_path))
    data.factories["test"] = data.factories["train"]
    with pytest.raises(
        UserError, match=rf"put its files into {re.escape(str(tmp_path))}, or take data=digits"
    ):
        data.prepare_data()


def test_without_download_the_missing_files_are_named_and_nothing_is_written(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    message = (
        f"MNIST is not complete in {folder}: put {MNIST_FILES} into {folder}, or take data=digits, which needs"
        " no files"
    )
    fails(message, image_data(datasets.MNIST, tmp_path, download=False).prepare_data)
    fails(message, partial(image_data(datasets.MNIST, tmp_path).setup, "test"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 2, 10, 500])
def test_a_truncated_file_is_damage_and_not_a_missing_file(keep, tmp_path):
    write_mnist(tmp_path)
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(UserError) as raised:
        image_data(datasets.MNIST, tmp_path).prepare_data()
    assert not isinstance(raised.value, MissingData)
    start = f"the files of MNIST in {file.parent} cannot be read ("
    end = "): delete them and let them be downloaded again, or take data=digits, which needs no files"
    assert str(raised.value).startswith(start) and str(raised.value).endswith(end)
    assert str(raised.value) != start + end and "\n" not in str(raised.value)


def test_a_damaged_pickle_is_told_in_a_sentence(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    broken = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    broken.write_bytes(b"\x80\x04garbage")
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    with pytest.raises(UserError, match=r"^the files of CIFAR10 in .* cannot be read \(.+\): delete them"):
        image_data(datasets.CIFAR10, tmp_path).prepare_data()


def test_a_server_that_falls_silent_is_not_waited_for_forever(tmp_path):
    waits = []

    def silent(root, download):
        waits.append(socket.getdefaulttimeout())
        raise TimeoutError("timed out")

    before = socket.getdefaulttimeout()
    with pytest.raises(UserError, match=r"cannot be downloaded \(timed out\)"):
        download_dataset(silent, str(tmp_path))
    assert waits == [opening.TIMEOUT] and socket.getdefaulttimeout() == before


def test_the_test_images_are_downloaded_first_so_that_a_run_with_training_images_has_them():
    asked, there = [], set()

    def part(name):
        def factory(root, download):
            if download:
                asked.append(name)
                there.add(name)
            if name not in there:
                raise RuntimeError("Dataset not found.")
            return [(torch.zeros(1, 4, 4, dtype=torch.uint8), i % 2) for i in range(20)]

        return factory

    data = ImageData(train=part("train"), test=part("test"), root="x", num_classes=2, batch_size=2)
    data.prepare_data()
    data.setup()
    assert asked == ["test", "train"]
    assert (data.num_train, data.num_val, data.num_test) == (18, 2, 20)


def test_only_arguments_that_a_dataset_takes_and_has_not_got_are_given_to_it():
    given = []

    def bare():
        given.append({})

    def rooted(root):
        given.append({"root": root})

    def anything(**kwargs):
        given.append(kwargs)

    for factory in (bare, rooted, anything, partial(anything, root="mine")):
        open_dataset(factory, "theirs")
    assert given == [
        {},
        {"root": "theirs"},
        {"root": "theirs", "download": False},
        {"root": "mine", "download": False},
    ]


def test_mistakes_of_the_users_own_dataset_are_passed_on_as_they_are():
    def refuse(root):
        raise UserError("my own sentence")

    fails("my own sentence", lambda: open_dataset(refuse, "x"))


def tree(root: Path):
    return {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}


@pytest.mark.parametrize("cls", [datasets.MNIST, datasets.CIFAR10])
def test_a_folder_that_may_not_be_written_to_is_read(cls, tmp_path, monkeypatch):
    root = tmp_path / "data"
    if cls is datasets.MNIST:
        write_mnist(root)
    else:
        write_cifar10(root, monkeypatch)
    folders = [path for path in [root, *root.rglob("*")] if path.is_dir()]
    before = tree(root)
    for folder in folders:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        data = image_data(cls, root, batch_size=4)
        data.prepare_data()
        data.setup()
        assert len(list(data.train_dataloader())) > 0 and len(list(data.test_dataloader())) > 0
    finally:
        for folder in folders:
            folder.chmod(stat.S_IRWXU)
    assert tree(root) == before  # also where root's privileges made the folder writable


@pytest.mark.skipif(
    sys.platform == "win32" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="may write all"
)
def test_a_download_into_a_folder_that_may_not_be_written_to_says_so(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(UserError, match=r"cannot be downloaded \(.*[Pp]ermission denied"):
        image_data(datasets.MNIST, tmp_path).prepare_data()


def test_mnist_is_read_from_its_official_files(tmp_path):
    files = write_mnist(tmp_path)
    data = image_data(
        datasets.MNIST, tmp_path, batch_size=30, val_size=5, image_shape=[1, 28, 28], num_classes=10
    )
    data.prepare_data()
    data.setup()
    images = torch.from_numpy(files["t10k-images-idx3-ubyte"])[:, None]
    (batch,) = data.test_dataloader()
    torch.testing.assert_close(batch.image, images, rtol=0, atol=0)
    assert batch.label.tolist() == files["t10k-labels-idx1-ubyte"].tolist()


def test_cifar10_is_read_from_its_official_files_channels_first(tmp_path, monkeypatch):
    rows = write_cifar10(tmp_path, monkeypatch)
    data = image_data(datasets.CIFAR10, tmp_path, batch_size=15, val_size=15, drop_last=False)
    data.prepare_data()
    data.setup("fit")
    assert data.facts()["image_shape"] == [3, 32, 32]
    assert data.facts()["class_names"][:2] == ["airplane", "automobile"]
    images = torch.cat([batch.image for batch in [*data.train_dataloader(), *data.val_dataloader()]])
    found = {image.numpy().tobytes() for image in images}
    assert found == {np.ascontiguousarray(row).tobytes() for row in rows}
