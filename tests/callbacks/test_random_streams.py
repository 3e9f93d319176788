import random
from pathlib import Path

import numpy as np
import pytest
import torch
from callback_stubs import TinyModel, all_callbacks, quiet_trainer, run
from pytorch_lightning import Callback

from comparisons import assert_same
from genlab.callbacks.pictures import SampleGrid
from genlab.callbacks.random_streams import RandomStreams, capture, restore
from genlab.errors import UserError

CPU = torch.device("cpu")


def draw() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.randn(()).item()]


def test_a_captured_state_is_restored_after_a_round_trip_through_a_file(tmp_path: Path) -> None:
    draw()  # leaves half a pair of normals behind in Python's and NumPy's generators
    torch.save(capture(CPU), tmp_path / "state")
    expected = draw() + draw()
    restore(torch.load(tmp_path / "state", weights_only=True), CPU)
    assert draw() + draw() == expected


def test_training_does_not_notice_validation_and_pictures(tmp_path: Path) -> None:
    watched = run(quiet_trainer(tmp_path / "a", [*all_callbacks(), Draws()], val_check_interval=2))
    alone = run(quiet_trainer(tmp_path / "b", [RandomStreams(seed=5)], limit_val_batches=0, logger=False))
    assert_same(alone.state_dict(), watched.state_dict())


class Draws(Callback):
    """Draws from the global streams when nobody should mind."""

    def on_validation_epoch_end(self, *args: object) -> None:
        draw()


def test_every_validation_draws_the_same_numbers(tmp_path: Path) -> None:
    class Frozen(TinyModel):
        drawn: list[float] = []

        def on_validation_epoch_start(self) -> None:
            self.drawn.append(torch.randn(()).item())

    run(quiet_trainer(tmp_path, [RandomStreams(seed=5)], logger=False), Frozen())
    assert len(Frozen.drawn) == 3 and len(set(Frozen.drawn)) == 1


def test_seeds_differ_and_repeat(tmp_path: Path) -> None:
    def weights(seed: int) -> torch.Tensor:
        draw()  # whatever was drawn before does not matter
        settings = {"max_epochs": 1, "logger": False}
        return run(quiet_trainer(tmp_path, [RandomStreams(seed)], **settings)).decoder.weight.detach()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_a_sampling_picture_is_drawn_from_the_validation_stream(tmp_path: Path) -> None:
    run(quiet_trainer(tmp_path, [RandomStreams(seed=5), SampleGrid(n=4)], logger=False, max_epochs=2))
    pictures = sorted((tmp_path / "samples").glob("*.png"))
    assert [picture.name for picture in pictures] == ["samples_epoch_0001.png", "samples_epoch_0002.png"]


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UserError, match="^seed must be at least 0, got -1$"):
        RandomStreams(seed=-1)
