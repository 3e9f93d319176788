"""What sample.py shows of the latents of each family, and the sentence where it cannot."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import write_pictures
from genlab import load_model
from genlab.checkpoint import load_data
from genlab.config import compose
from genlab.errors import UserError
from genlab.latents import difference, interpolate, plane
from genlab.scatters import class_scatter
from genlab.seeding import seeded
from genlab.shows.groups import class_of
from genlab.train import train

SMALL = ("data.image_size=8", "data.batch_size=16", "trainer=cpu", "debug=fast", "logger=none")
MLP = ("model/network=mlp", *SMALL)
FAMILIES = {
    "vae": ("model=vae", *MLP),
    "flat": ("model=vae", "model.latent_dim=2", *MLP),
    "cvae": ("model=cvae", *MLP),
    "vqvae": ("model=vqvae", "model.downsampling=4", "model.encoder.width=4", "model.decoder.width=4", *SMALL),
    "gan": ("model=gan", *MLP),
    "cgan": ("model=cgan", *MLP),
}  # fmt: skip
PAIR = ("from_class=3", "to_class=8")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each family on the embedded digits."""
    folder = tmp_path_factory.mktemp("runs")
    for name, settings in FAMILIES.items():
        train(compose([*settings]), folder=folder / name)
    return {name: folder / name for name in FAMILIES}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on photographs of cats and dogs of which one is held back for validation."""
    folder = tmp_path_factory.mktemp("photos")
    path = write_pictures(folder / "pictures")
    train(compose(["data=folder", f"data.path={path}", "data.val_size=1", *MLP]), folder=folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unlabelled")
    path = write_pictures(folder / "pictures") / "cats"
    train(compose(["data=folder", f"data.path={path}", "data.val_size=3", "data.batch_size=4", *MLP[:2], *MLP[3:]]),
          folder=folder / "run")  # fmt: skip
    return folder / "run"


def validation(run: Path):
    """A model, and all validation images of its data with their classes."""
    model = load_model(run)
    datamodule = load_data(model)
    ready = [datamodule.on_after_batch_transfer(batch, 0) for batch in datamodule.val_dataloader()]
    return model, torch.cat([batch.image for batch in ready]), torch.cat([batch.label for batch in ready])


NO_ENCODER = "show={} needs a model with an encoder; GAN has none"
NO_WAYS = "show={} needs latents with ways between them; those of VQVAE are codes"
TOOLS = {
    ("vqvae", "interpolate"): NO_WAYS,
    ("vqvae", "traverse"): NO_WAYS,
    ("vqvae", "scatter"): "show={} needs latents that are points; those of VQVAE are codes",
    ("vqvae", "arithmetic"): NO_WAYS,
} | {
    (family, show): NO_ENCODER
    for family in ("gan", "cgan")
    for show in ("reconstruct", "scatter", "arithmetic")
}
"""Which tool does not go with which family, and what is said."""


@pytest.mark.parametrize(
    "show", ["samples", "reconstruct", "interpolate", "traverse", "scatter", "arithmetic"]
)
@pytest.mark.parametrize("family", ["vae", "cvae", "vqvae", "gan", "cgan"])
def test_every_latent_tool_draws_or_says_why_not(command, runs, family, show, tmp_path):
    pair = PAIR if show == "arithmetic" else ()
    code, _, err = command("sample", f"run={runs[family]}", f"show={show}", *pair, "n=3", "out=x.png")
    refusal = TOOLS.get((family, show))
    if refusal is None:
        assert (code, err) == (0, "")
        assert min(Image.open(tmp_path / "x.png").size) > 8
    else:
        assert (code, err.strip()) == (2, refusal.format(show)) and not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("family", ["vae", "cvae", "cgan"])
@pytest.mark.parametrize("asked", ["slerp", "linear", "null"])
def test_a_way_is_an_arc_or_a_line_as_asked_else_as_the_prior_wants(command, runs, family, asked, tmp_path):
    words = ("show=interpolate", f"interpolation={asked}", "n=1", "steps=3", "format=pt", "out=x.pt")
    assert command("sample", f"run={runs[family]}", *words)[0] == 0
    model = load_model(runs[family])
    if family == "cgan":
        with seeded(0):
            z, label = model.noise(2), [0]
    else:
        _, image, labels = validation(runs[family])
        label = [labels[0]] if family == "cvae" else []
        z = model.encode(image[:2], *([labels[:2]] if family == "cvae" else []))
    arc = asked == "slerp" or (asked == "null" and model.spherical)
    way = interpolate(z[0], z[1], 3, spherical=arc)
    torch.testing.assert_close(torch.load(tmp_path / "x.pt"), model.decode(way, *label))
    other = model.decode(interpolate(z[0], z[1], 3, spherical=not arc), *label)
    assert not torch.allclose(torch.load(tmp_path / "x.pt"), other, atol=1e-4)


@pytest.mark.parametrize("family", ["vae", "flat", "cvae"])
def test_a_scatter_writes_the_latents_of_the_first_validation_images_and_their_classes(
    command, runs, family, tmp_path
):
    model, image, label = validation(runs[family])
    z = model.encode(image, *([label] if family == "cvae" else []))
    for words, n in (((), len(image)), (("n=20",), 20)):
        assert (
            command("sample", f"run={runs[family]}", "show=scatter", "format=npz", f"out=x{n}.npz", *words)[0]
            == 0
        )
        written = np.load(tmp_path / f"x{n}.npz")
        torch.testing.assert_close(torch.from_numpy(written["latents"]), z[:n], rtol=1e-4, atol=1e-5)
        assert written["labels"].tolist() == label[:n].tolist() and len(set(written["labels"])) > 5
    assert command("sample", f"run={runs[family]}", "show=scatter", "format=pt", "n=20", "out=x.pt")[0] == 0
    assert torch.load(tmp_path / "x.pt").keys() == {"latents", "labels"}


def test_a_scatter_draws_what_it_writes(command, runs, tmp_path):
    code, out, err = command("sample", f"run={runs['vae']}", "show=scatter", "n=30")
    assert (code, err) == (0, "") and "30 latents from live weights" in out
    picture = Path(out.splitlines()[-1].strip())
    assert (
        picture.parent == runs["vae"] / "sampled"
        and picture.name.startswith("scatter_")
        and "_n30_" in picture.name
    )
    model, image, label = validation(runs["vae"])
    seen = plane(model.encode(image[:30]))
    expected = class_scatter(
        seen.points, axes=seen.axes, labels=label[:30], names=[str(k) for k in range(10)]
    )
    pixels = torch.from_numpy(np.array(Image.open(picture))).permute(2, 0, 1)
    assert (
        pixels != (expected * 255).round()
    ).float().mean() < 1e-3  # encoded alone or in a batch: a pixel's rounding


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (("show=scatter", "n=5000"), 5000),
        (("show=interpolate", "n=80"), 160),
        (("show=reconstruct", "n=151"), 151),
    ],
)
def test_more_than_there_are_is_told(command, runs, words, needed):
    code, _, err = command("sample", f"run={runs['vae']}", *words)
    assert (code, err.strip()) == (2, f"{words[0]} needs {needed} validation images, there are 150: lower n")


@pytest.mark.parametrize("family", ["vae", "cvae"])
def test_an_arithmetic_adds_the_difference_of_two_classes_over_all_validation_images(
    command, runs, family, tmp_path
):
    words = ("show=arithmetic", *PAIR, "n=2", "steps=3", "format=pt", "out=x.pt")
    assert command("sample", f"run={runs[family]}", *words)[0] == 0
    rows = torch.load(tmp_path / "x.pt").unflatten(0, (2, 4))
    model, image, label = validation(runs[family])
    z = model.encode(image, *([label] if family == "cvae" else []))
    own = label == 3
    direction = z[label == 8].mean(0) - z[own].mean(0)
    torch.testing.assert_close(direction, difference(z, label, 3, 8))
    torch.testing.assert_close(rows[:, 0], image[own][:2])
    for k, amount in enumerate((0.0, 0.5, 1.0)):
        moved = model.decode(z[own][:2] + amount * direction, *([3] if family == "cvae" else []))
        torch.testing.assert_close(rows[:, 1 + k], moved, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(rows[:, 1], rows[:, 3], atol=1e-4)


def test_an_arithmetic_has_eight_rows_and_a_name_of_its_own(command, runs):
    code, out, err = command("sample", f"run={runs['vae']}", "show=arithmetic", *PAIR)
    assert (code, err) == (0, "") and "80 images from live weights" in out  # 8 (1 + 9)
    name = Path(out.splitlines()[-1].strip()).name
    assert name.startswith("arithmetic_3_to_8_") and "_n8_" in name


CLASSES = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("show=interpolate", "interpolation=lerp"),
            "interpolation=lerp is not known; did you mean slerp?",
        ),
        (
            ("show=interpolate", "interpolation=arc"),
            "interpolation=arc is not known; allowed: linear, slerp",
        ),
        (
            ("show=traverse", "interpolation=slerp"),
            "interpolation is a setting of show=interpolate, and not of show=traverse; leave it out",
        ),
        (
            ("from_class=3",),
            "from_class is a setting of show=arithmetic, and not of show=samples; leave it out",
        ),
        (("show=scatter", "single=true"), "show=scatter is one picture; leave single out"),
        (
            ("show=scatter", "label=3"),
            "label=3: show=scatter encodes images under their own classes; leave label out",
        ),
        (
            ("show=arithmetic", *PAIR, "label=3"),
            "label=3: show=arithmetic encodes images under their own classes; leave label out",
        ),
        (
            ("show=arithmetic",),
            f"show=arithmetic needs two classes: give from_class=..., one of {CLASSES}",
        ),
        (
            ("show=arithmetic", "from_class=0"),
            f"show=arithmetic needs two classes: give to_class=..., one of {CLASSES}",
        ),
        (
            ("show=arithmetic", "from_class=3", "to_class=10"),
            "to_class=10 is no class of this data; did you mean 1?",
        ),
        (
            ("show=arithmetic", "from_class=3", "to_class=red, 'x'=8"),
            f"to_class=red, 'x'=8 is no class of this data; allowed: {CLASSES}",
        ),
        (
            ("show=arithmetic", "from_class=-1", "to_class=1"),
            "from_class=-1 is no class of this data; did you mean 1?",
        ),
        (
            ("show=arithmetic", "from_class=3", "to_class=3"),
            "from_class and to_class must be two classes, got 3 twice",
        ),
        (
            ("show=arithmetic", *PAIR, "n=100"),
            "show=arithmetic n=100 needs 100 validation images of class 3, there are 15",
        ),
    ],
)
def test_a_wrong_wish_is_one_sentence(command, runs, words, sentence):
    code, _, err = command("sample", f"run={runs['vae']}", *words)
    assert (code, err.strip()) == (2, sentence)


@pytest.mark.parametrize("pair", [("cats", "dogs"), ("dogs", "0"), ("1", "cats"), ("0", "1")])
def test_a_class_without_a_validation_image_is_named(command, photos, pair):
    _, _, label = validation(photos)
    missing = next(
        k for k, asked in enumerate(pair) if asked not in (["cats", "dogs"][label[0]], str(int(label[0])))
    )
    words = (f"from_class={pair[0]}", f"to_class={pair[1]}")
    code, _, err = command("sample", f"run={photos}", "show=arithmetic", *words)
    name = ("from_class", "to_class")[missing]
    assert (code, err.strip()) == (2, f"{name}={pair[missing]}: no validation image is of this class")


def test_a_name_counts_before_a_number():
    assert [class_of("to_class", asked, ["1", "0", "red cat"]) for asked in ("0", "1", "2", "red cat")] == [
        1,
        0,
        2,
        2,
    ]
    with pytest.raises(UserError, match="to_class=redcat is no class of this data; did you mean red cat"):
        class_of("to_class", "redcat", ["1", "0", "red cat"])


def test_data_without_labels_has_a_scatter_of_one_colour_and_no_arithmetic(command, unlabelled, tmp_path):
    assert command("sample", f"run={unlabelled}", "show=scatter", "format=npz", "out=x.npz")[0] == 0
    assert set(np.load(tmp_path / "x.npz")) == {"latents"}
    assert command("sample", f"run={unlabelled}", "show=scatter", "out=x.png")[0] == 0
    assert Image.open(tmp_path / "x.png").size == (568, 552)  # no legend
    code, _, err = command("sample", f"run={unlabelled}", "show=arithmetic", *PAIR)
    assert (code, err.strip()) == (2, "show=arithmetic needs data with classes, and this data has no labels")
