"""How much of a latent space is used, told while a model trains, and the warning where it is nothing."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from callback_stubs import TinyLoader, TinyModel, quiet_trainer, run
from pytorch_lightning import seed_everything
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from genlab.callbacks.csv_log import CSVLog
from genlab.callbacks.dashboard import Dashboard
from genlab.callbacks.latent_use import FirstRows, LatentUse
from genlab.callbacks.tensorboard_log import TensorBoardLog
from genlab.contracts import ImageBatch, Posterior
from genlab.errors import UserError
from genlab.sequence_contracts import SequenceBatch


class Known(TinyModel):
    """Means are the first pixel, a tenth of the second, and a constant; KL by dimension is 0.5, 2 and 0."""

    def infer(self, batch: ImageBatch) -> Posterior:
        assert not self.training and not torch.is_grad_enabled()
        pixel = batch.image.flatten(1)
        mean = torch.stack([pixel[:, 0], 0.1 * pixel[:, 1], torch.ones(len(pixel))], 1)
        return Posterior(mean, torch.randn_like(mean), torch.tensor([0.5, 2.0, 0.0]).expand_as(mean))


class Collapsed(TinyModel):
    def infer(self, batch: ImageBatch) -> Posterior:
        nothing = torch.zeros(len(batch.image), 10)
        return Posterior(nothing, nothing, nothing)


class Histograms(CSVLog):
    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[str, Tensor, int]] = []

    def log_histogram(self, name: str, values: Tensor, step: int) -> None:
        self.got.append((name, values, step))


def test_active_units_and_kl_by_dimension_are_logged_after_each_validation(tmp_path: Path) -> None:
    log = Histograms()
    trainer = quiet_trainer(tmp_path, [Dashboard(), LatentUse(n=20)], logger=[log], num_sanity_val_steps=2)
    run(trainer, Known())
    first = TinyLoader(shuffle=False).images[:20].flatten(1)
    assert first[:, 0].var() > 0.01 > 0.01 * first[:, 1].var()  # one dimension is active, of three
    assert float(trainer.callback_metrics["val/active_units"]) == 1
    assert [(name, step) for name, _, step in log.got] == [("val/kl_per_dimension", s) for s in (7, 14, 21)]
    torch.testing.assert_close(log.got[0][1], torch.tensor([0.5, 2.0, 0.0]))
    assert "val/active_units" in (tmp_path / "metrics.csv").read_text().splitlines()[0]


def test_the_threshold_is_a_setting(tmp_path: Path) -> None:
    trainer = quiet_trainer(tmp_path, [LatentUse(threshold=0.001)], logger=False, max_epochs=1)
    run(trainer, Known())
    assert float(trainer.callback_metrics["val/active_units"]) == 2


def test_the_random_streams_are_left_alone(tmp_path: Path) -> None:
    losses = []
    for callbacks in ([], [LatentUse()]):
        seed_everything(0, verbose=False)
        trainer = quiet_trainer(tmp_path, callbacks, logger=False)
        run(trainer, Known())
        losses.append(float(trainer.callback_metrics["val/loss"]))
    assert losses[0] == losses[1]


def test_tensorboard_has_the_histogram(tmp_path: Path) -> None:
    run(quiet_trainer(tmp_path, [Dashboard(), LatentUse()], logger=[TensorBoardLog()], max_epochs=2), Known())
    events = EventAccumulator(str(tmp_path), size_guidance={"histograms": 0}).Reload()
    assert events.Tags()["histograms"] == ["val/kl_per_dimension"]
    shown = events.Histograms("val/kl_per_dimension")
    assert [event.step for event in shown] == [7, 14]
    assert (shown[0].histogram_value.num, shown[0].histogram_value.max) == (3, 2.0)


def test_the_first_rows_are_of_any_kind_of_batch() -> None:
    def sequences(rows: int, steps: int, weighed: bool = False) -> SequenceBatch:
        target = torch.arange(rows * steps).view(rows, steps)
        weight = torch.ones(rows, steps) if weighed else None
        return SequenceBatch(
            target, target + 1, weight, torch.arange(rows), torch.ones(rows, dtype=torch.bool)
        )

    first = FirstRows(700)
    for _ in range(3):
        first.add(sequences(300, 4))
    one, rest = first.take()  # in one piece, then by so many
    assert (len(one.target), len(rest.target)) == (500, 200) and one.weight is None and not first.take()
    assert rest.label.tolist() == [*range(200, 300), *range(100)] and torch.equal(rest.input + 1, rest.target)
    for batch in (sequences(3, 4, True), sequences(2, 7, True), sequences(1, 4)):
        first.add(batch)
    assert [part.target.shape for part in first.take()] == [(3, 4), (2, 7), (1, 4)]  # of unlike lengths
    first.add(ImageBatch(torch.zeros(900, 1, 2, 2), torch.zeros(900)))
    assert [len(part.image) for part in first.take()] == [500, 200]
    first.add(sequences(3, 4))
    first.clear()
    assert first.take() == []


def warned(caplog: Any) -> list[str]:
    return [record.message for record in caplog.records if "collapsed" in record.message]


def test_a_collapsed_posterior_is_told_once_with_what_to_try(tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        run(quiet_trainer(tmp_path, [LatentUse(patience=2)], logger=False, max_epochs=5), Collapsed())
    assert warned(caplog) == [
        "epoch 2, step 14: the posterior has collapsed: 0% of the latent dimensions are in use over the last 2 "
        "validations, and the decoder does without the others; try model/kl_schedule=linear or model/loss=free_bits, a "
        "smaller model.loss.beta, a smaller decoder, a lower learning rate, or a smaller model.latent_dim"
    ]


def test_a_posterior_in_use_is_not_told_and_null_means_never(tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        run(quiet_trainer(tmp_path, [LatentUse(patience=1)], logger=False), Known())
        run(quiet_trainer(tmp_path, [LatentUse(patience=1, collapsed=None)], logger=False), Collapsed())
    assert warned(caplog) == []


def test_a_resumed_run_does_not_tell_it_again(tmp_path: Path, caplog: Any) -> None:
    first, second = LatentUse(patience=2), LatentUse(patience=2)
    with caplog.at_level(logging.WARNING):
        run(quiet_trainer(tmp_path, [first], logger=False, max_epochs=3), Collapsed())
        second.load_state_dict(first.state_dict())
        run(quiet_trainer(tmp_path, [second], logger=False, max_epochs=3), Collapsed())
    assert len(warned(caplog)) == 1
    LatentUse(collapsed=None).load_state_dict(first.state_dict())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"n": 1},
            "callbacks.latent_use.n must be at least 2 and threshold at least 0, got 1 and 0.01",
        ),
        ({"patience": 0}, "callbacks.latent_use.patience must be at least 1, got 0"),
        (
            {"collapsed": 0.7},
            "callbacks.latent_use.collapsed must be between 0 and 0.5, or null for never, got 0.7",
        ),
    ],
)
def test_impossible_numbers_are_told(settings: Any, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        LatentUse(**settings)
    assert str(error.value) == sentence


def test_a_model_that_infers_nothing_is_named() -> None:
    with pytest.raises(
        UserError, match="^LatentUse needs a LatentModel, and Identity has no infer: set this"
    ):
        LatentUse().setup(None, nn.Identity(), "fit")  # type: ignore[arg-type]
