"""The traversal and the projector of a latent space."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from callback_stubs import SIDE, TinyLoader, TinyModel, quiet_trainer, run
from pytorch_lightning import Callback
from torch import Tensor, nn

from genlab.callbacks import latent_traversal
from genlab.callbacks.csv_log import CSVLog
from genlab.callbacks.dashboard import Dashboard
from genlab.callbacks.drawing import class_names
from genlab.callbacks.ema import EMA
from genlab.callbacks.latent_projector import LatentProjector
from genlab.callbacks.latent_traversal import LatentTraversal, widest
from genlab.callbacks.tensorboard_log import TensorBoardLog
from genlab.errors import UserError


class Plain(TinyModel):
    """Latents are the means of the image's left half, its right half, and nothing."""

    def encode(self, image: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        left, right = image[..., : SIDE // 2].mean((1, 2, 3)), image[..., SIDE // 2 :].mean((1, 2, 3))
        return torch.stack([0.1 * left, right, torch.zeros_like(left)], dim=1)

    def decode(self, z: Tensor) -> Tensor:
        return z.sum(1).view(-1, 1, 1, 1).expand(-1, 1, SIDE, SIDE)


def test_the_widest_dimensions_come_first() -> None:
    points = torch.tensor([[0.0, 1.0, 5.0], [0.1, -1.0, 5.0]])
    assert widest(points, 2) == [1, 0]
    assert widest(points, 9) == [1, 0, 2]
    assert widest(points * torch.nan, 2) == [0, 1]


def test_a_row_changes_one_dimension_of_the_first_image(tmp_path: Path, monkeypatch: Any) -> None:
    drawn: list[Tensor] = []
    image_grid = latent_traversal.image_grid
    monkeypatch.setattr(
        latent_traversal, "image_grid", lambda x, columns: drawn.append(x) or image_grid(x, columns)
    )
    model = Plain()
    callback = LatentTraversal(n=2, steps=3, reach=2.0, every_n_epochs=1)
    run(quiet_trainer(tmp_path, [callback], logger=False, max_epochs=1), model)
    first = TinyLoader(shuffle=False).images[:1]
    with torch.no_grad():
        left, right, _ = model.eval().encode(first)[0].tolist()
    values = drawn[0][:, 0, 0, 0].tolist()
    # the right half's mean varies ten times as much as the left one's: its dimension comes first
    assert values == pytest.approx([left - 2, left, left + 2, right - 2, right, right + 2], abs=1e-6)


def test_traversals_are_drawn_at_intervals_and_in_the_last_epoch(tmp_path: Path) -> None:
    run(
        quiet_trainer(
            tmp_path, [LatentTraversal(n=9, every_n_epochs=2)], logger=False, num_sanity_val_steps=2
        )
    )
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["traversal_epoch_0002.png", "traversal_epoch_0003.png"]


def points(folder: Path) -> Tensor:
    rows = (folder / "projector" / "latents.tsv").read_text().splitlines()
    return torch.tensor([[float(x) for x in row.split("\t")] for row in rows])


def test_the_cloud_holds_the_first_validation_images_when_training_ends(tmp_path: Path) -> None:
    model = Plain()
    callbacks = [Dashboard(), LatentProjector(n=6)]
    run(quiet_trainer(tmp_path, callbacks, logger=[TensorBoardLog()], max_steps=9), model)  # inside an epoch
    first = TinyLoader(shuffle=False).images[:6]
    with torch.no_grad():
        torch.testing.assert_close(points(tmp_path), model.eval().encode(first), rtol=1e-5, atol=1e-6)
    assert (tmp_path / "projector" / "labels.tsv").read_text() == "0\n" * 6


def test_the_cloud_is_that_of_the_averaged_weights(tmp_path: Path) -> None:
    class Seen(TinyModel):
        judged: list[Tensor] = []

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            super().validation_step(batch, batch_idx)
            self.judged.append(self.encode(batch.image))

    model = Seen()
    callbacks: list[Callback] = [Dashboard(), EMA(50.0), LatentProjector(n=4)]
    run(quiet_trainer(tmp_path, callbacks, logger=[TensorBoardLog()], max_epochs=1), model)
    torch.testing.assert_close(points(tmp_path), model.judged[0], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        live = model.eval().encode(TinyLoader(shuffle=False).images[:4])
    assert not torch.allclose(points(tmp_path), live, atol=1e-3)


def test_clouds_are_shown_at_intervals_where_asked(tmp_path: Path) -> None:
    class Look(Callback):
        there: list[bool] = []

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            self.there.append((tmp_path / "projector").exists())

    callbacks = [Dashboard(), LatentProjector(n=3, every_n_epochs=2), Look()]
    run(quiet_trainer(tmp_path, callbacks, logger=[TensorBoardLog()], max_epochs=4))
    assert Look.there == [False, False, True, True]


def test_without_tensorboard_nothing_is_encoded(tmp_path: Path) -> None:
    class Never(TinyModel):
        def encode(self, image: Tensor) -> Tensor:
            assert not torch.is_grad_enabled() and self.in_step
            return super().encode(image)

        in_step = False

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.in_step = True
            super().validation_step(batch, batch_idx)
            self.in_step = False

    run(quiet_trainer(tmp_path, [Dashboard(), LatentProjector()], logger=[CSVLog()], max_epochs=1), Never())
    assert not (tmp_path / "projector").exists()


def test_classes_are_named_where_the_data_has_names() -> None:
    def trainer(**facts: Any) -> Any:
        return SimpleNamespace(datamodule=SimpleNamespace(facts=lambda: facts))

    labels = torch.tensor([1, 0])
    assert class_names(trainer(class_names=["big\tcat", "dog"]), labels) == ["dog", "big cat"]
    assert class_names(trainer(class_names=None), labels) == ["1", "0"]
    assert class_names(SimpleNamespace(datamodule=None), labels) == ["1", "0"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LatentTraversal(n=0), "callbacks.latent_traversal.n must be at least 1, got 0"),
        (lambda: LatentTraversal(steps=1), "callbacks.latent_traversal.steps must be at least 2, got 1"),
        (lambda: LatentTraversal(reach=0.0), "callbacks.latent_traversal.reach must be above 0, got 0.0"),
        (lambda: LatentProjector(n=0), "callbacks.latent_projector.n must be at least 1, got 0"),
        (
            lambda: LatentProjector(every_n_epochs=0),
            "callbacks.latent_projector.every_n_epochs must be at least 1, got 0",
        ),
    ],
)
def test_impossible_numbers_are_told(make: Any, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        make()
    assert str(error.value) == sentence


@pytest.mark.parametrize("callback", [LatentTraversal(), LatentProjector()])
def test_a_model_without_a_latent_space_is_named(callback: Any) -> None:
    name = type(callback).__name__
    with pytest.raises(UserError, match=f"^{name} needs a Reconstructor, and Identity has no encode and no"):
        callback.setup(None, nn.Identity(), "fit")
