"""A run that is killed and resumed ends bit for bit where the run that was never interrupted ends."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from callback_stubs import Kill, Killed, all_callbacks, quiet_trainer, run

from comparisons import assert_same

# 7 batches an epoch
SETTINGS: dict[str, dict[str, Any]] = {
    "epochs": {},
    "a limit in steps": {"max_steps": 18},
    "validation inside the epoch": {"val_check_interval": 3},
    "validation by steps alone": {"val_check_interval": 5, "check_val_every_n_epoch": None},
    "validation every second epoch": {"check_val_every_n_epoch": 2},
    "accumulated gradients": {"accumulate_grad_batches": 2, "val_check_interval": 4},
    "short epochs": {"limit_train_batches": 5},
}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a run with these settings that nobody killed, made once."""

    @cache
    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp("whole")
        run(quiet_trainer(folder, all_callbacks(every_n_steps=1), **SETTINGS[name]))
        return folder

    return make


VALIDATIONS = {"validation inside the epoch": 13, "validation every second epoch": 14, "a limit in steps": 14}


@pytest.mark.parametrize("batches", [4, 8, 10, 15])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_killed_run_goes_on_bit_for_bit(
    name: str, batches: int, tmp_path: Path, uninterrupted: Callable[[str], Path]
) -> None:
    kill_and_resume(tmp_path, Kill(batches), uninterrupted(name), **SETTINGS[name])


@pytest.mark.parametrize(("name", "batches"), VALIDATIONS.items())
def test_a_run_killed_in_a_validation_makes_it_again(
    name: str, batches: int, tmp_path: Path, uninterrupted: Callable[[str], Path]
) -> None:
    kill_and_resume(tmp_path, Kill(batches, "on_validation_start"), uninterrupted(name), **SETTINGS[name])


def kill_and_resume(folder: Path, kill: Kill, whole: Path, **settings: Any) -> None:
    with pytest.raises(Killed):
        run(quiet_trainer(folder, [*all_callbacks(every_n_steps=1), kill], **settings))
    run(quiet_trainer(folder, all_callbacks(every_n_steps=1), **settings), resume=True)

    for checkpoint in ("checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        # weights, average, optimizer, schedule, random states, meters, early stopping, best score, place
        assert_same(torch.load(whole / checkpoint), torch.load(folder / checkpoint))
    assert (folder / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()


def test_a_run_ended_by_its_steps_goes_on_inside_the_epoch(tmp_path: Path) -> None:
    run(quiet_trainer(tmp_path, all_callbacks(), max_steps=10))
    longer = run(quiet_trainer(tmp_path, all_callbacks(), max_steps=21), resume=True)

    at_once = run(quiet_trainer(tmp_path / "whole", all_callbacks(), max_steps=21))
    assert_same(at_once.state_dict(), longer.state_dict())
    assert_same(at_once.seen[10:], longer.seen)


def test_a_resume_knows_the_last_validation(tmp_path: Path) -> None:
    first = quiet_trainer(tmp_path, all_callbacks(), max_epochs=1)
    run(first)
    again = quiet_trainer(tmp_path, all_callbacks(), max_epochs=1)
    run(again, resume=True)
    assert "val/loss" in first.callback_metrics
    assert_same(dict(first.callback_metrics), dict(again.callback_metrics))
