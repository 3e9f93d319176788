"""What is drawn of a pair: scatters of points, ways between latents, a row for each class."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from callback_stubs import SIDE, TinyLoader, quiet_trainer, run
from pytorch_lightning import Callback
from tiny_gan import TinyGAN
from torch import Tensor

from genlab.callbacks import class_grid, interpolation_strip, pictures
from genlab.callbacks.class_grid import ClassGrid
from genlab.callbacks.interpolation_strip import InterpolationStrip
from genlab.callbacks.pictures import SampleGrid
from genlab.contracts import PointBatch
from genlab.errors import UserError
from genlab.latents import slerp


def fit(folder: Path, model: Any, callback: Callback, epochs: int = 1) -> list[str]:
    run(quiet_trainer(folder, [callback], logger=False, max_epochs=epochs, num_sanity_val_steps=2), model)
    return sorted(path.name for path in folder.glob("samples/*"))


def spy(module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The arguments of every call of a function that a module uses."""
    calls: list[tuple[Any, ...]] = []
    real = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, **k: calls.append((*a, *k.values())) or real(*a, **k))
    return calls


class Plane(TinyGAN):
    """Its samples are points, and so are the batches that it is given."""

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch if self.trainer.training else PointBatch(batch.image[:, 0, 0], batch.label)

    def decode(self, z: Tensor) -> Tensor:
        return self.generator(z)[:, :SIDE]  # [B, 4]


def test_points_are_drawn_over_those_of_the_validation_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = spy(pictures, "scatter", monkeypatch)
    assert fit(tmp_path, Plane(), SampleGrid(points=10), epochs=2) == [
        "samples_epoch_0001.png",
        "samples_epoch_0002.png",
    ]
    for real, fake in calls:
        torch.testing.assert_close(real, TinyLoader(shuffle=False).images[:10, 0, 0, :2])
        assert fake.shape == (10, 2)


def test_fewer_validation_points_than_asked_for_are_all_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = spy(pictures, "scatter", monkeypatch)
    fit(tmp_path, Plane(), SampleGrid(points=100))
    assert [len(points) for points in calls[0]] == [26, 100]


def test_of_points_there_is_no_strip(tmp_path: Path) -> None:
    assert fit(tmp_path, Plane(), InterpolationStrip()) == []


def test_a_strip_leads_from_one_draw_of_the_prior_to_the_next(tmp_path: Path) -> None:
    class Seen(TinyGAN):
        asked: list[Tensor] = []

        def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
            assert not self.training and not torch.is_grad_enabled() and label is None
            self.asked.append(z)
            return super().decode(z)

    names = fit(tmp_path, Seen(), InterpolationStrip(rows=2, steps=3, seed=8), epochs=2)
    assert names == ["interpolation_epoch_0001.png", "interpolation_epoch_0002.png"]
    first, second = Seen.asked
    ends = torch.randn(4, 3, generator=torch.Generator().manual_seed(8))
    torch.testing.assert_close(first[[0, 2, 3, 5]], ends)
    torch.testing.assert_close(
        first[[1, 4]], torch.stack([slerp(ends[0], ends[1], 0.5), slerp(ends[2], ends[3], 0.5)])
    )
    assert torch.equal(first, second)


def test_a_strip_is_straight_where_latents_lie_in_a_cube(tmp_path: Path) -> None:
    class Cube(TinyGAN):
        spherical = False
        asked: list[Tensor] = []

        def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
            self.asked.append(z)
            return super().decode(z)

    fit(tmp_path, Cube(), InterpolationStrip(rows=1, steps=3, seed=8), epochs=1)
    (way,) = Cube.asked
    torch.testing.assert_close(way[1], (way[0] + way[2]) / 2)


def test_a_strip_draws_nothing_from_the_global_stream(tmp_path: Path) -> None:
    with_strip, without = TinyGAN(), TinyGAN()
    torch.manual_seed(1)
    fit(tmp_path, with_strip, InterpolationStrip(), epochs=2)
    torch.manual_seed(1)
    fit(tmp_path, without, Callback(), epochs=2)
    assert with_strip.noises == without.noises


class Classes(TinyGAN):
    """A sample of class k is k / 4 everywhere."""

    def classes_of(self, n: int) -> Tensor | None:
        return torch.arange(n) % 3

    def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        assert label is not None
        return (label / 4).view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE)

    def sample(self, n: int, *, seed: int | None = None, label: Any = None) -> Tensor:
        assert (n, seed) == (5, 0) and isinstance(label, int)
        return self.decode(self.noise(n), torch.full((n,), label))


def test_a_strip_of_a_conditional_model_keeps_to_a_class_in_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = spy(interpolation_strip, "image_grid", monkeypatch)
    fit(tmp_path, Classes(), InterpolationStrip(rows=4, steps=2))
    images, columns = calls[0]
    assert columns == 2
    assert (images[:, 0, 0, 0] * 4).tolist() == [0, 0, 1, 1, 2, 2, 0, 0]


@pytest.mark.parametrize(("asked", "shown"), [(10, [0, 1, 2]), (2, [0, 1])])
def test_a_row_of_the_grid_is_a_class(
    asked: int, shown: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grids, labels = (spy(class_grid, name, monkeypatch) for name in ("image_grid", "label_rows"))
    assert fit(tmp_path, Classes(), ClassGrid(classes=asked, columns=5)) == ["classes_epoch_0001.png"]
    images, columns = grids[0]
    assert columns == 5
    assert (images[:, 0, 0, 0] * 4).tolist() == [k for k in shown for _ in range(5)]
    assert labels[0][1] == [str(k) for k in shown]


@pytest.mark.parametrize(
    ("callback", "model", "sentence"),
    [
        (
            InterpolationStrip(),
            SimpleNamespace(decode=print),
            "InterpolationStrip needs a LatentSampler, and SimpleNamespace has no noise: set this callback to null",
        ),
        (
            ClassGrid(),
            TinyGAN(),
            "ClassGrid needs a ClassSampler, and TinyGAN has no classes_of: set this callback to null",
        ),
        (
            ClassGrid(),
            SimpleNamespace(classes_of=lambda n: None, sample=print),
            "ClassGrid needs a model that knows classes, and this SimpleNamespace is trained without labels: "
            "set callbacks.class_grid to null",
        ),
    ],
    ids=["strip", "classes", "no labels"],
)
def test_a_model_that_cannot_be_drawn_so_is_told(callback: Any, model: Any, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        callback.setup(None, model, "fit")
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SampleGrid(points=0), "callbacks.sample_grid.points must be at least 1, got 0"),
        (lambda: InterpolationStrip(rows=0), "callbacks.interpolation_strip.rows must be at least 1, got 0"),
        (
            lambda: InterpolationStrip(steps=1),
            "callbacks.interpolation_strip.steps must be at least 2, got 1",
        ),
        (lambda: ClassGrid(classes=0), "callbacks.class_grid.classes must be at least 1, got 0"),
        (lambda: ClassGrid(columns=0), "callbacks.class_grid.columns must be at least 1, got 0"),
    ],
)
def test_impossible_numbers_are_told(make: Any, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        make()
    assert str(error.value) == sentence
