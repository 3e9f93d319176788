"""What is drawn of classes in a latent space, and of the ways between images."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from callback_stubs import SIDE, TinyLoader, TinyModel, quiet_trainer, run
from pytorch_lightning import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from genlab.callbacks import interpolation_strip, latent_arithmetic, latent_scatter
from genlab.callbacks.dashboard import Dashboard
from genlab.callbacks.drawing import all_classes
from genlab.callbacks.interpolation_strip import InterpolationStrip
from genlab.callbacks.latent_arithmetic import LatentArithmetic
from genlab.callbacks.latent_scatter import LatentScatter
from genlab.callbacks.tensorboard_log import TensorBoardLog
from genlab.contracts import ImageBatch
from genlab.errors import UserError
from genlab.latents import slerp


class Corners(nn.Module):
    """Latents are the first two pixels of an image and their difference; an image is filled by the sum of its latents."""

    device, classes = torch.device("cpu"), 0
    spherical = False

    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[int] = []
        self.labels: list[Tensor] = []

    def classes_of(self, n: int) -> Tensor | None:
        return torch.arange(n) % self.classes if self.classes else None

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        raise AssertionError

    def encode(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        assert not torch.is_grad_enabled() and (label is not None) == bool(self.classes)
        self.encoded.append(len(image))
        first, second = image[:, 0, 0, 0], image[:, 0, 0, 1]
        return torch.stack([first, second, first - second], dim=1)

    def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        assert not torch.is_grad_enabled() and (label is not None) == bool(self.classes)
        if label is not None:
            self.labels.append(label)
        return z.sum(1).view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE)

    def reconstruct(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        raise AssertionError


class Labelled(Corners):
    classes = 3


def trainer_of(**facts: Any) -> Any:
    return SimpleNamespace(
        sanity_checking=False, current_epoch=0, max_epochs=1, is_global_zero=True,
        precision_plugin=SimpleNamespace(forward_context=torch.no_grad),
        datamodule=SimpleNamespace(facts=lambda: facts),
    )  # fmt: skip


def draw(
    callback: Callback, model: Any, batches: list[ImageBatch], monkeypatch: Any, **facts: Any
) -> list[Any]:
    """What a callback publishes after a validation of these batches, and the arguments of what it draws by."""
    module = {
        LatentScatter: latent_scatter,
        LatentArithmetic: latent_arithmetic,
        InterpolationStrip: interpolation_strip,
    }[type(callback)]
    calls: list[Any] = []
    for name in ("class_scatter", "image_grid", "label_rows"):
        if real := getattr(module, name, None):
            monkeypatch.setattr(
                module,
                name,
                lambda *a, name=name, real=real, **k: calls.append((name, a, k)) or real(*a, **k),
            )
    monkeypatch.setattr(module, "publish", lambda trainer, name, picture: calls.append((name, picture, {})))
    trainer = trainer_of(**facts)
    callback.setup(trainer, model, "fit")
    callback.on_validation_start(trainer, model)
    for k, batch in enumerate(batches):
        callback.on_validation_batch_end(trainer, model, None, batch, k)
    callback.on_validation_epoch_end(trainer, model)
    return calls


def images(*pairs: tuple[float, float]) -> Tensor:
    found = torch.zeros(len(pairs), 1, SIDE, SIDE)
    found[:, 0, 0, :2] = torch.tensor(pairs)
    return found


BATCHES = [
    ImageBatch(images((0.0, 0.0), (0.2, 0.1)), torch.tensor([1, 2])),
    ImageBatch(images((0.1, 0.0), (0.4, 0.3), (0.0, 0.1)), torch.tensor([1, 2, 0])),
]


def test_latents_are_drawn_by_class_with_the_names_of_all(monkeypatch: Any) -> None:
    calls = draw(
        LatentScatter(n=4), Corners(), BATCHES, monkeypatch, num_classes=3, class_names=["a", "b", "c"]
    )
    (_, (points,), drawn), (name, picture, _) = calls
    assert name == "latents" and picture.shape[0] == 3
    assert drawn["labels"].tolist() == [1, 2, 1, 2] and drawn["names"] == ["a", "b", "c"]
    assert drawn["axes"][0].startswith("component 1 (")
    z = torch.tensor([[0.0, 0.0, 0.0], [0.2, 0.1, 0.1], [0.1, 0.0, 0.1], [0.4, 0.3, 0.1]])
    distances = torch.cdist(z, z)  # rank 2: the plane through the points keeps them
    torch.testing.assert_close(torch.cdist(points, points), distances, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("facts", [{}, {"num_classes": 1, "class_names": ["photos"]}, {"num_classes": None}])
def test_one_class_is_no_class(facts: dict[str, Any], monkeypatch: Any) -> None:
    (_, _, drawn), _ = draw(LatentScatter(), Corners(), BATCHES, monkeypatch, **facts)
    assert drawn["labels"] is None and drawn["names"] == []
    assert draw(LatentArithmetic(), Corners(), BATCHES, monkeypatch, **facts) == []


def test_classes_have_names_or_numbers() -> None:
    assert all_classes(trainer_of(num_classes=2, class_names=["big\tcat", "dog"])) == ["big cat", "dog"]
    assert all_classes(trainer_of(num_classes=2, class_names=[])) == ["0", "1"]


def test_many_images_are_encoded_some_at_a_time_and_with_their_labels(monkeypatch: Any) -> None:
    model = Labelled()
    many = ImageBatch(torch.rand(700, 1, SIDE, SIDE), torch.arange(700) % 3)
    (_, (points,), _), _ = draw(LatentScatter(n=600), model, [many], monkeypatch, num_classes=3)
    assert model.encoded == [500, 100] and len(points) == 600


@pytest.mark.parametrize("model", [Corners(), Labelled()])
def test_an_arithmetic_goes_from_each_image_by_the_difference_of_two_means(
    model: Any, monkeypatch: Any
) -> None:
    callback = LatentArithmetic(from_class=1, to_class=2, n=9, steps=3)
    calls = draw(callback, model, BATCHES, monkeypatch, num_classes=3, class_names=["a", "b", "c"])
    (_, (grid,), columns), (_, (_, labels), _), (name, _, _) = calls
    assert name == "arithmetic" and columns == {"columns": 4} and labels == ["b > c", ""]
    assert torch.equal(grid[[0, 4]], torch.cat([BATCHES[0].image[:1], BATCHES[1].image[:1]]))
    # means (.05, 0, .05) of class 1 and (.3, .2, .1) of class 2: a direction of (.25, .2, .05), whose sum is .5
    z = torch.tensor([0.0, 0.2])  # sums of the latents of the two images of class 1
    expected = z[:, None] + torch.tensor([0.0, 0.25, 0.5])
    torch.testing.assert_close(grid.unflatten(0, (2, 4))[:, 1:, 0, 2, 2], expected)
    assert all(label.tolist() == [1] * 6 for label in model.labels) and len(model.labels) == bool(
        model.classes
    )


def test_an_arithmetic_has_no_more_rows_than_asked_for(monkeypatch: Any) -> None:
    calls = draw(
        LatentArithmetic(from_class=1, to_class=0, n=1, steps=2),
        Corners(),
        BATCHES,
        monkeypatch,
        num_classes=3,
    )
    assert len(calls[0][1][0]) == 3


@pytest.mark.parametrize(("start", "end"), [(3, 1), (1, 3)])
def test_a_class_without_images_has_no_arithmetic(start: int, end: int, monkeypatch: Any) -> None:
    assert (
        draw(LatentArithmetic(from_class=start, to_class=end), Corners(), BATCHES, monkeypatch, num_classes=4)
        == []
    )


def test_a_strip_leads_from_image_to_image_where_there_is_an_encoder(monkeypatch: Any) -> None:
    (_, (grid,), columns), (name, _, _) = draw(
        InterpolationStrip(rows=2, steps=3), Corners(), BATCHES, monkeypatch
    )
    assert name == "interpolation" and columns == {"columns": 3}
    # sums of the latents: 0, .4, .2, .8 of the first four images
    torch.testing.assert_close(grid[:, 0, 0, 0], torch.tensor([0.0, 0.2, 0.4, 0.2, 0.5, 0.8]))


def test_a_strip_between_images_keeps_the_class_of_the_first(monkeypatch: Any) -> None:
    model = Labelled()
    draw(InterpolationStrip(rows=9, steps=2), model, BATCHES, monkeypatch)  # five images make two pairs
    assert model.labels[0].tolist() == [1, 1, 1, 1]
    batches = [ImageBatch(BATCHES[0].image.flip(0), BATCHES[0].label.flip(0))]
    draw(InterpolationStrip(rows=1, steps=2), model, batches, monkeypatch)
    assert model.labels[1].tolist() == [2, 2]


def test_a_single_image_has_no_way(monkeypatch: Any) -> None:
    one = ImageBatch(BATCHES[0].image[:1], BATCHES[0].label[:1])
    assert draw(InterpolationStrip(), Corners(), [one], monkeypatch) == []


@pytest.mark.parametrize(("asked", "curved"), [(None, False), ("linear", False), ("slerp", True)])
@pytest.mark.parametrize("spherical", [False, True])
def test_the_kind_of_a_strip_is_asked_for_or_the_priors(
    asked: Any, curved: bool, spherical: bool, monkeypatch: Any
) -> None:
    model = Corners()
    model.spherical = spherical
    batch = ImageBatch(images((1.0, 0.0), (0.0, 1.0)), torch.zeros(2, dtype=torch.int64))
    strip = InterpolationStrip(rows=1, steps=3, interpolation=asked)
    (_, (grid,), _), _ = draw(strip, model, [batch], monkeypatch)
    ends = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, -1.0]])
    arc = curved or (asked is None and spherical)
    middle = slerp(ends[0], ends[1], 0.5) if arc else ends.mean(0)
    torch.testing.assert_close(grid[1, 0, 0, 0], middle.sum())


def test_pictures_of_the_latent_space_stand_in_the_folder_and_in_tensorboard(tmp_path: Path) -> None:
    callbacks: list[Callback] = [
        Dashboard(),
        LatentScatter(n=5, every_n_epochs=2),
        InterpolationStrip(every_n_epochs=2),
    ]
    settings: dict[str, Any] = {"logger": [TensorBoardLog()], "max_epochs": 3, "num_sanity_val_steps": 2}
    run(quiet_trainer(tmp_path, callbacks, **settings))
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        f"{name}_epoch_000{k}.png" for name in ("interpolation", "latents") for k in (2, 3)
    ]
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert [event.step for event in read.Images("latents")] == [14, 21]


def test_the_latents_drawn_are_those_of_the_first_validation_images(tmp_path: Path, monkeypatch: Any) -> None:
    drawn: list[Tensor] = []
    real = latent_scatter.plane
    monkeypatch.setattr(latent_scatter, "plane", lambda z: drawn.append(z) or real(z))
    model = TinyModel()
    run(quiet_trainer(tmp_path, [LatentScatter(n=6)], logger=False, max_epochs=1), model)
    with torch.no_grad():
        z = model.eval().encode(TinyLoader(shuffle=False).images[:6])
    torch.testing.assert_close(drawn[0], z)


NUMBERS = "callbacks.latent_arithmetic.from_class and to_class must be two classes, by their numbers from 0, "


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LatentScatter(n=0), "callbacks.latent_scatter.n must be at least 1, got 0"),
        (lambda: LatentScatter(every_n_epochs=0), "callbacks.latent_scatter.every_n_epochs must be at least 1, got 0"),
        (lambda: LatentArithmetic(n=0), "callbacks.latent_arithmetic.n must be at least 1, got 0"),
        (lambda: LatentArithmetic(steps=1), "callbacks.latent_arithmetic.steps must be at least 2, got 1"),
        (lambda: LatentArithmetic(from_class=-1), f"{NUMBERS}got -1 and 1"),
        (lambda: LatentArithmetic(from_class=1), f"{NUMBERS}got 1 and 1"),
        (
            lambda: InterpolationStrip(interpolation="lerp"),  # type: ignore[arg-type]
            "callbacks.interpolation_strip.interpolation must be slerp, linear or null, got lerp",
        ),
        (
            lambda: LatentArithmetic(to_class=10).setup(trainer_of(num_classes=10), Corners(), "fit"),  # type: ignore[arg-type]
            "callbacks.latent_arithmetic.to_class must be below 10, the number of classes, got 10",
        ),
    ],
)  # fmt: skip
def test_impossible_settings_of_latent_pictures_are_told(make: Any, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        make()
    assert str(error.value) == sentence


@pytest.mark.parametrize("callback", [LatentScatter(), LatentArithmetic()])
def test_a_model_without_an_encoder_is_named(callback: Any) -> None:
    with pytest.raises(
        UserError, match=f"^{type(callback).__name__} needs a Reconstructor, and Identity has no"
    ):
        callback.setup(trainer_of(), nn.Identity(), "fit")


@pytest.mark.parametrize("callback", [LatentScatter(), LatentArithmetic(), InterpolationStrip()])
def test_codes_are_no_latents_to_be_moved(callback: Any) -> None:
    model = Corners()
    model.num_codes = 8
    with pytest.raises(
        UserError, match=f"^{type(callback).__name__} needs latents that can be moved, and those of"
    ):
        callback.setup(trainer_of(), model, "fit")
