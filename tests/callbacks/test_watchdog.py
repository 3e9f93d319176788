"""Training that diverges: it ends, or goes back; and what lies on the disk is good."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from callback_stubs import Kill, Killed, TinyModel, quiet_trainer, run
from pytorch_lightning import Callback
from tiny_gan import TinyGAN, nan_loss, nan_weight

from comparisons import assert_same
from genlab.callbacks.checkpoints import Checkpoints
from genlab.callbacks.divergence import Diverged, not_finite
from genlab.callbacks.ema import EMA
from genlab.callbacks.meter import Meter
from genlab.callbacks.random_streams import RandomStreams
from genlab.callbacks.snapshots import put_back, take
from genlab.callbacks.watchdog import Watchdog
from genlab.config import compose
from genlab.errors import UserError

# 7 batches an epoch


def fit(folder: Path, model: Any, watchdog: Watchdog, *others: Callback, **settings: Any) -> Any:
    keeper = Checkpoints(monitor=None, every_n_steps=settings.pop("save_every", None))
    callbacks = [RandomStreams(seed=5), watchdog, *others, Meter(), keeper]
    trainer = quiet_trainer(folder, callbacks, logger=False, **settings)
    run(trainer, model)
    return trainer


def last(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("save_every", [None, 1])
def test_nan_ends_training_and_the_last_good_checkpoint_stays(save_every: int | None, tmp_path: Path) -> None:
    with pytest.raises(Diverged) as end:
        fit(tmp_path, TinyGAN({10: nan_weight}), Watchdog(), save_every=save_every)
    # found at the next save; or before the validation, when the next loss had told of it
    saved, name, step = (9, "generator.weight", 10) if save_every else (7, "d_loss", 11)
    assert last(tmp_path)["global_step"] == saved
    assert not not_finite(last(tmp_path)["state_dict"])
    assert end.value.exit_code == 3 and end.value.finding.step == step
    assert str(end.value) == (
        f"training diverged: {name} is nan at epoch 2, step {step}; checkpoints/last.ckpt is "
        "from before; try lower learning rates, model.gradient_clip=1, model/penalty=r1, model/network=sngan "
        "or callbacks.watchdog.on_nan=rollback"
    )


def test_a_loss_is_told_with_the_step_it_broke_at(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"d_loss is nan at epoch 1, step 3; no checkpoint was written before"):
        fit(tmp_path, TinyGAN({3: nan_loss, 4: nan_weight}), Watchdog(every_n_steps=5))
    assert not (tmp_path / "checkpoints").exists()


def test_a_real_explosion_of_any_family_is_found(tmp_path: Path) -> None:
    class Fast(TinyModel):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=1e20)

    with pytest.raises(
        Diverged, match="loss is (nan|inf) at epoch 1.*try a lower learning rate, trainer.grad"
    ):
        fit(tmp_path, Fast(), Watchdog(every_n_steps=1))


class Recorder(Callback):
    """Copies of weights, optimizer states and average after each batch; comes after the watchdog."""

    def __init__(self, ema: EMA) -> None:
        self.ema, self.states, self.rates = ema, [], []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        optimizers = [o.state_dict()["state"] for o in trainer.optimizers]
        state = [dict(pl_module.state_dict()), optimizers, self.ema.copy()]
        self.states.append(copy.deepcopy(state))
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize("trouble", [nan_loss, nan_weight])
def test_a_rollback_restores_the_last_state_but_one_and_training_goes_on(
    trouble: Any, tmp_path: Path
) -> None:
    ema = EMA(20.0)
    recorder, watchdog = Recorder(ema), Watchdog(on_nan="rollback", every_n_steps=2)
    model = TinyGAN({11: trouble})
    trainer = fit(tmp_path, model, watchdog, recorder, ema, max_epochs=2)
    # looks after 2, 4, 6, (7), 8, 10 and 12 steps; the states of 8 and 10 are kept when 12 sees the trouble
    assert_same(recorder.states[11], recorder.states[7])
    assert not torch.equal(
        recorder.states[12][0]["generator.weight"], recorder.states[8][0]["generator.weight"]
    )
    assert trainer.global_step == 14 and watchdog.rollbacks == 1
    assert recorder.rates == pytest.approx([0.01 / (1 + step) for step in range(1, 15)])  # time goes on
    assert len(set(model.noises)) == 14  # other noise
    assert not not_finite(last(tmp_path)["state_dict"]) and not not_finite(last(tmp_path)["ema"]["generator"])


def test_a_kept_state_is_not_changed_by_what_is_trained_after_it_was_put_back(tmp_path: Path) -> None:
    class Twice(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
            if trainer.global_step == 2:
                self.kept, self.before = take(trainer), copy.deepcopy(take(trainer))
            elif trainer.global_step in (3, 5):
                put_back(trainer, self.kept)

        def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
            assert_same(self.kept, self.before)

    fit(tmp_path, TinyGAN(), Watchdog(), Twice(), max_epochs=1)


def test_validation_and_saves_see_only_what_was_put_back(tmp_path: Path) -> None:
    class Seen(Callback):
        sizes: list[float] = []

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            self.sizes.append(float(trainer.callback_metrics["val/size"]))

    model = TinyGAN({5: nan_weight, 14: nan_weight})
    watchdog = Watchdog(on_nan="rollback", every_n_steps=100)
    fit(tmp_path, model, watchdog, EMA(20.0), Seen(), save_every=1)
    assert watchdog.rollbacks == 2
    assert len(Seen.sizes) == 3 and all(size < 1 for size in Seen.sizes)
    assert last(tmp_path)["global_step"] == 21 and not not_finite(last(tmp_path)["state_dict"])


def test_training_that_diverges_again_and_again_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = TinyGAN({step: nan_loss for step in range(9, 99)})
    watchdog = Watchdog(on_nan="rollback", max_rollbacks=2, every_n_steps=1)
    with pytest.raises(
        Diverged, match=r"^training diverged after 2 rollbacks: d_loss is nan at epoch 2, step 11;"
    ):
        fit(tmp_path, model, watchdog)
    assert watchdog.warnings == [
        "epoch 2, step 9: d_loss is nan at epoch 2, step 9: back to the weights of step 7, 1 of at most 2 times",
        "epoch 2, step 10: d_loss is nan at epoch 2, step 10: back to the weights of step 7, 2 of at most 2 times",
    ]
    assert [r.getMessage() for r in caplog.records if r.name.startswith("genlab")] == watchdog.warnings


def test_under_a_scaler_only_weights_count(tmp_path: Path) -> None:
    class Scaled(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            trainer.precision_plugin.scaler = object()

    fit(tmp_path / "a", TinyGAN({3: nan_loss}), Watchdog(every_n_steps=1), Scaled(), max_epochs=1)
    with pytest.raises(Diverged, match="generator.weight is nan at epoch 1, step 3"):
        fit(tmp_path / "b", TinyGAN({3: nan_weight}), Watchdog(every_n_steps=1), Scaled(), max_epochs=1)


def test_a_mask_may_be_infinite_from_the_start(tmp_path: Path) -> None:
    model = TinyGAN({3: nan_weight})
    model.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    with pytest.raises(Diverged, match="generator.weight is nan"):
        fit(tmp_path, model, Watchdog(every_n_steps=1))


def test_a_large_weight_is_no_infinite_one() -> None:
    large = torch.full((3,), 1e300, dtype=torch.float64)
    tensors = {"large": large, "whole": torch.tensor(3), "empty": torch.empty(0), "text": "x"}
    assert not_finite(tensors) == {}
    assert list(not_finite({**tensors, "bad": torch.tensor([1.0, float("-inf")])})) == ["bad"]


@pytest.mark.parametrize(
    ("told", "begins"),
    [
        (
            {"real_wins": 1.0},
            "the discriminator wins almost always: real_wins is 1.000 over the last 5 steps",
        ),
        (
            {"real_wins": 0.0},
            "the discriminator takes fakes for real: real_wins is 0.000 over the last 5 steps",
        ),
        (
            {"diversity": 0.01},
            "the fakes are all alike: diversity is 0.010 of the data's over the last 5 steps",
        ),
    ],
)
def test_a_collapse_is_told_once_and_training_goes_on(
    told: dict[str, float], begins: str, tmp_path: Path
) -> None:
    watchdog = Watchdog(window=5, every_n_steps=3)
    trainer = fit(tmp_path, TinyGAN(**told), watchdog)
    assert trainer.global_step == 21
    assert len(watchdog.warnings) == 1 and watchdog.warnings[0].startswith(f"epoch 1, step 6: {begins}")


def test_a_healthy_pair_is_not_barked_at(tmp_path: Path) -> None:
    watchdog = Watchdog(window=5, every_n_steps=3)
    fit(tmp_path, TinyGAN(real_wins=0.8, diversity=0.9), watchdog)
    assert watchdog.warnings == []


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def parts() -> tuple[TinyGAN, Watchdog]:
        breaks = {k: lambda model, told: told.update(diversity=torch.tensor(0.5)) for k in (9, 10)}
        return TinyGAN(breaks | {3: nan_weight}, diversity=0.0), Watchdog(  # type: ignore[arg-type]
            on_nan="rollback", window=4, every_n_steps=3
        )

    model, whole = parts()
    fit(tmp_path / "whole", model, whole, save_every=1)
    model, watchdog = parts()
    with pytest.raises(Killed):
        fit(tmp_path / "part", model, watchdog, Kill(12), save_every=1)
    model, watchdog = parts()
    keeper = Checkpoints(monitor=None, every_n_steps=1)
    callbacks = [RandomStreams(seed=5), watchdog, Meter(), keeper]
    run(quiet_trainer(tmp_path / "part", callbacks, logger=False), model, resume=True)
    assert len(whole.warnings) == 3  # a rollback, a collapse before 9 and one after 10
    assert watchdog.warnings == whole.warnings and watchdog.rollbacks == 1
    assert_same(last(tmp_path / "whole"), last(tmp_path / "part"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"on_nan": "ignore"}, "callbacks.watchdog.on_nan must be stop or rollback, got ignore"),
        ({"max_rollbacks": 0}, "callbacks.watchdog.max_rollbacks must be at least 1, got 0"),
        ({"every_n_steps": 0}, "callbacks.watchdog.every_n_steps must be at least 1, got 0"),
        ({"window": 0}, "callbacks.watchdog.window must be at least 1, got 0"),
        ({"pinned": 1.0}, "callbacks.watchdog.pinned must be between 0.5 and 1, or null for never, got 1.0"),
        ({"diversity": 0.0}, "callbacks.watchdog.diversity must be above 0, or null for never, got 0.0"),
    ],
)
def test_impossible_settings_of_the_watchdog_are_told(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        Watchdog(**arguments)
    assert str(error.value) == sentence


def test_in_the_config_it_looks_before_the_average_takes_the_place_of_the_weights() -> None:
    names = list(compose([]).callbacks)
    assert names.index("streams") < names.index("watchdog") < names.index("ema")
