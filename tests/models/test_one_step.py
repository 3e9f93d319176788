"""Steps counted in batches, and an exact resume, under manual optimization."""

import pytest
import torch

from gan_stubs import fit, gan  # isort: skip (it finds the stubs of the callbacks)
from callback_stubs import Kill, Killed
from pytorch_lightning.loops.optimization.manual import _ManualOptimization

from comparisons import assert_same
from genlab.models.one_step import OneStepPerBatch
from genlab.objectives.constraints import LeCam
from genlab.objectives.penalties import R1
from genlab.schedules import Cosine

SETTINGS = {
    "plain": dict,
    "critic steps and a lazy penalty": lambda: {"critic_steps": 2, "penalty": R1(1.0, interval=3)},
    "averages in the penalty": lambda: {"penalty": LeCam()},
    "accumulated": lambda: {"accumulate": 2},
    "scheduled": lambda: dict(
        generator_scheduler=Cosine(), discriminator_scheduler=Cosine(), instance_noise=0.5
    ),
}


def test_lightning_still_has_the_loop_that_this_builds_on():
    assert {"advance", "on_run_start", "on_run_end"} <= vars(_ManualOptimization).keys()
    assert issubclass(OneStepPerBatch, _ManualOptimization)


def test_checkpoints_come_at_the_steps_that_were_asked_for(tmp_path):
    trainer = fit(tmp_path, gan(critic_steps=3), every=4, max_steps=5)
    assert trainer.global_step == 5
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 5 and saved["critic_updates"] == 5


@pytest.mark.parametrize("batches", [4, 5, 10])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, name, batches):
    settings = {"max_epochs": 2}
    fit(tmp_path / "whole", gan(**SETTINGS[name]()), every=1, **settings)
    with pytest.raises(Killed):
        fit(tmp_path / "killed", gan(**SETTINGS[name]()), Kill(batches), every=1, **settings)
    fit(tmp_path / "killed", gan(**SETTINGS[name]()), every=1, resume=True, **settings)
    whole, killed = (
        torch.load(tmp_path / side / "checkpoints" / "last.ckpt", weights_only=True)
        for side in ("whole", "killed")
    )
    assert_same(whole, killed)
    rows = [(tmp_path / side / "metrics.csv").read_bytes() for side in ("whole", "killed")]
    assert rows[0] == rows[1]
