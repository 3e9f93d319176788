from pathlib import Path
from typing import Any

import pytest
import torch
from callback_stubs import SIDE, TinyLoader, TinyModel, quiet_trainer, run
from PIL import Image
from pytorch_lightning import LightningModule
from torch import Tensor

from genlab.callbacks import pictures
from genlab.callbacks.pictures import ReconstructionGrid, SampleGrid
from genlab.errors import UserError


def test_pictures_are_named_by_epoch_and_the_last_epoch_has_one(tmp_path: Path) -> None:
    callbacks = [SampleGrid(n=4, every_n_epochs=2), ReconstructionGrid(n=3, every_n_epochs=5)]
    run(quiet_trainer(tmp_path, callbacks, logger=False, num_sanity_val_steps=2))
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "reconstructions_epoch_0003.png",
        "samples_epoch_0002.png",
        "samples_epoch_0003.png",
    ]
    assert Image.open(tmp_path / "samples" / "samples_epoch_0003.png").size[0] >= 2 * SIDE


def test_reconstructions_stand_below_the_first_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs: list[tuple[Tensor, Tensor]] = []
    paired_grid = pictures.paired_grid
    monkeypatch.setattr(pictures, "paired_grid", lambda a, b: pairs.append((a, b)) or paired_grid(a, b))

    class Negative(TinyModel):
        def reconstruct(self, image: Tensor) -> Tensor:
            assert not self.training
            return -image

    model = Negative()
    run(quiet_trainer(tmp_path, [ReconstructionGrid(n=6)], logger=False, max_epochs=1), model)
    (originals, below), first = pairs[0], TinyLoader(shuffle=False).images[:6]
    assert torch.equal(originals, first) and torch.equal(below, -first)
    assert model.training


def test_samples_are_drawn_with_the_same_seed(tmp_path: Path) -> None:
    class Asked(TinyModel):
        calls: list[tuple[int, int | None]] = []

        def sample(self, n: int, *, seed: int | None = None) -> Tensor:
            self.calls.append((n, seed))
            return super().sample(n, seed=seed)

    run(quiet_trainer(tmp_path, [SampleGrid(n=5, seed=9)], logger=False, max_epochs=2), Asked())
    assert Asked.calls == [(5, 9), (5, 9)]


class Bare(LightningModule):
    def encode(self, image: Tensor) -> Tensor:
        return image


@pytest.mark.parametrize(
    ("callback", "sentence"),
    [
        (
            SampleGrid(),
            "SampleGrid needs a Sampler, and Bare has no sample and no sampling_modules: set this callback to null",
        ),
        (
            ReconstructionGrid(),
            "ReconstructionGrid needs a Reconstructor, and Bare has no decode and no reconstruct: "
            "set this callback to null",
        ),
    ],
)
def test_a_model_that_cannot_be_drawn_is_named_with_what_it_lacks(callback: Any, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        callback.setup(None, Bare(), "fit")
    assert str(error.value) == sentence


def test_impossible_numbers_are_told() -> None:
    with pytest.raises(UserError, match="^callbacks.sample_grid.n must be at least 1, got 0$"):
        SampleGrid(n=0)
    with pytest.raises(
        UserError, match="^callbacks.reconstruction_grid.every_n_epochs must be at least 1, got 0$"
    ):
        ReconstructionGrid(every_n_epochs=0)
