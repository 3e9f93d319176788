from pathlib import Path
from typing import Any

import pytest
from callback_stubs import quiet_trainer, run
from test_checkpoints import Scripted, load

from genlab.callbacks.checkpoints import Checkpoints
from genlab.callbacks.early_stopping import EarlyStopping
from genlab.errors import UserError


def epochs(folder: Path, losses: list[float], **arguments: Any) -> int:
    trainer = quiet_trainer(
        folder, [EarlyStopping(**arguments), Checkpoints()], logger=False, max_epochs=len(losses)
    )
    run(trainer, Scripted(losses))
    return trainer.current_epoch


def test_it_stops_after_so_many_validations_without_improvement(tmp_path: Path) -> None:
    assert epochs(tmp_path, [3.0, 2.0, 2.5, 2.0, 1.0], patience=2) == 4


def test_without_patience_it_never_stops(tmp_path: Path) -> None:
    assert epochs(tmp_path, [1.0, 2.0, 3.0, float("nan")], patience=None) == 4


def test_a_small_improvement_does_not_count(tmp_path: Path) -> None:
    assert epochs(tmp_path, [3.0, 2.95, 2.9, 1.0], patience=2, min_delta=0.2) == 3


def test_a_resume_remembers_the_waiting_and_takes_the_new_patience(tmp_path: Path) -> None:
    callbacks = [EarlyStopping(patience=2), Checkpoints()]
    run(quiet_trainer(tmp_path, callbacks, logger=False, max_epochs=2), Scripted([1.0, 2.0]))
    trainer = quiet_trainer(tmp_path, [EarlyStopping(patience=3), Checkpoints()], logger=False, max_epochs=9)
    run(trainer, Scripted([2.0] * 9), resume=True)
    assert trainer.current_epoch == 4


def test_what_it_stops_at_is_saved_as_the_epochs_end(tmp_path: Path) -> None:
    epochs(tmp_path, [1.0, 2.0, 3.0], patience=1)
    assert load(tmp_path, "last.ckpt")["global_step"] == 14


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"patience": 0},
            "callbacks.early_stopping.patience must be at least 1, or null for never, got 0",
        ),
        ({"mode": "low"}, "callbacks.early_stopping.mode must be min or max, got low"),
    ],
)
def test_impossible_settings_of_early_stopping_are_told(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        EarlyStopping(**arguments)
    assert str(error.value) == sentence


def test_a_number_that_nobody_logs_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        run(quiet_trainer(tmp_path, [EarlyStopping(patience=1, monitor="val/fid")], logger=False))
    assert str(error.value) == (
        "callbacks.early_stopping.monitor is val/fid, which is not logged; "
        "logged: val/kl, val/loss; choose one of these, or patience: null"
    )


def test_an_epoch_cut_short_is_not_judged_by_the_former_validation(tmp_path: Path) -> None:
    stopping = EarlyStopping(patience=9)
    run(quiet_trainer(tmp_path, [stopping], logger=False, max_steps=10), Scripted([1.0]))
    assert stopping.wait_count == 0
