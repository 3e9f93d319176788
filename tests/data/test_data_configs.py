"""Every option of conf/data composes, is validated and builds its datamodule."""

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_class, instantiate
from image_files import write_cifar10, write_mnist
from omegaconf import OmegaConf
from PIL import Image

from genlab.config import compose

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))


def data_config(option, *overrides):
    """The data section of a composed run with nothing else in it but the seed."""
    run = compose([f"data={option}", "seed=7", *[f"data.{override}" for override in overrides]])
    return OmegaConf.create({"data": run.data, "seed": 7}).data


def test_the_options_are_found():
    assert set(OPTIONS) >= {"digits", "mnist", "fashion_mnist", "kmnist", "cifar10", "folder"}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_begins_with_its_description(option):
    assert (CONF / "data" / f"{option}.yaml").read_text().startswith("# ")


@pytest.mark.parametrize("option", OPTIONS)
def test_every_argument_of_the_datamodule_is_listed(option):
    config = data_config(option)
    arguments = set(inspect.signature(get_class(config._target_)).parameters)
    assert {str(key) for key in config} - {"_target_"} == arguments


def test_every_setting_has_its_comment():
    files = sorted((CONF / "data").rglob("*.yaml"))
    settings = [
        line
        for file in files
        for line in file.read_text().splitlines()[1:]
        if line.rstrip()
        and not line.rstrip().endswith(":")
        and not line.lstrip().startswith(("- ", "_", "# "))
    ]
    assert len(settings) > 20
    bare = [
        line for line in settings if " # " not in line and line.strip() not in ("train: true", "train: false")
    ]
    assert bare == []


def test_digits_are_built_from_their_option():
    data = instantiate(data_config("digits"), _convert_="all")
    data.prepare_data()
    data.setup()
    assert (data.num_train, data.num_val, data.num_test) == (1350, 150, 297)
    assert data.seed == 7 and data.batch_size == 64


def test_another_size_or_colour_is_one_override():
    data = instantiate(data_config("digits", "image_size=16", "channels=3"), _convert_="all")
    data.prepare_data()
    data.setup("fit")
    assert data.facts()["image_shape"] == [3, 16, 16]


@pytest.mark.parametrize(
    ("option", "family"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_the_mnist_family_is_built_from_its_options(option, family, tmp_path):
    write_mnist(tmp_path, family=family)
    data = instantiate(data_config(option, f"root={tmp_path}", "val_size=5", "batch_size=8"), _convert_="all")
    data.prepare_data()
    data.setup()
    assert data.facts()["image_shape"] == [1, 28, 28] and len(data.facts()["class_names"]) == 10
    assert (data.num_train, data.num_val, data.num_test) == (25, 5, 10)


def test_cifar10_is_built_from_its_option(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    data = instantiate(
        data_config("cifar10", f"root={tmp_path}", "val_size=5", "batch_size=8"), _convert_="all"
    )
    data.prepare_data()
    data.setup()
    assert data.facts()["image_shape"] == [3, 32, 32] and data.facts()["class_names"][9] == "truck"


def test_the_users_own_images_are_built_from_their_folder(tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.new("L", (30 + i, 20), i).save(tmp_path / name / f"{i}.jpg")
    config = data_config(
        "folder", f"path={tmp_path}", "image_size=16", "batch_size=4", "train.test_size=0.25"
    )
    data = instantiate(config, _convert_="all")
    data.prepare_data()
    data.setup()
    assert data.facts() == {"image_shape": [3, 16, 16], "num_classes": 2, "class_names": ["cats", "dogs"]}
    assert (data.num_train, data.num_val, data.num_test) == (13, 2, 5)


def test_the_folder_of_own_images_has_to_be_given():
    assert OmegaConf.is_missing(data_config("folder"), "path")


def test_downloads_go_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("GENLAB_DATA", "/somewhere")
    assert data_config("mnist").root == "/somewhere"
    monkeypatch.delenv("GENLAB_DATA")
    assert data_config("mnist").root == "data"


@pytest.mark.parametrize(
    ("model", "windows"),
    [("lstm", "contiguous"), ("transformer", "random"), ("recurrent_vae", "apart"), ("vrnn", "apart")],
)
def test_text_is_read_as_the_model_wants_it(model, windows):
    # of a window with latents of its own no part is only context: train and val/loss are of the same thing
    assert compose([f"model={model}", "data=shakespeare"]).data.windows == windows
