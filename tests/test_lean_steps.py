"""What is left out of Lightning's training step changes no number, and only where nothing needs it."""

import subprocess
import sys

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.loops.optimization.automatic import _AutomaticOptimization

from comparisons import assert_same
from genlab import assembly
from genlab.config import compose
from genlab.lean_steps import LeanOptimization

FAST = ("debug=fast", "model/network=mlp", "trainer=cpu", "logger=csv", "trainer.log_every_n_steps=1")
MORE = (
    "trainer.gradient_clip_val=0.5",
    "model/scheduler=cosine",
    "callbacks.ema.half_life=100",
    "trainer.max_epochs=2",
)


def trained(folder, *overrides):
    parts = assembly.assemble(compose([*FAST, *overrides]), folder)
    assembly.fit(parts, None)
    return parts


def loop_of(parts):
    return parts.trainer.fit_loop.epoch_loop.automatic_optimization


def test_a_short_step_leaves_the_same_numbers_and_the_same_checkpoint(tmp_path, monkeypatch):
    lean = trained(tmp_path / "lean", *MORE)
    monkeypatch.setattr(assembly, "shorten_steps", lambda trainer, model: None)
    whole = trained(tmp_path / "whole", *MORE)
    assert (type(loop_of(lean)), type(loop_of(whole))) == (LeanOptimization, _AutomaticOptimization)
    one, other = (
        torch.load(tmp_path / side / "checkpoints" / "last.ckpt", weights_only=True)
        for side in ("lean", "whole")
    )
    for key in (
        "state_dict",
        "optimizer_states",
        "lr_schedulers",
        "loops",
        "global_step",
        "epoch",
        "ema",
        "meter",
    ):
        assert_same(one[key], other[key])
    rows = [(tmp_path / side / "metrics.csv").read_text() for side in ("lean", "whole")]
    assert rows[0] == rows[1] and len(rows[0].splitlines()) == 3


class Between(Callback):
    def __init__(self):
        self.calls = 0

    def on_after_backward(self, trainer, pl_module):
        self.calls += 1


def test_a_callback_with_a_hook_inside_of_the_step_is_served(tmp_path):
    parts = assembly.assemble(compose([*FAST]), tmp_path)
    between = Between()
    parts.trainer.callbacks.append(between)
    assembly.fit(parts, None)
    assert type(loop_of(parts)) is _AutomaticOptimization
    assert between.calls == parts.trainer.global_step > 0


@pytest.mark.parametrize("setting", ["trainer.precision=bf16-mixed", "trainer.accumulate_grad_batches=2"])
def test_precision_and_accumulation_go_the_whole_way(tmp_path, setting):
    assert type(loop_of(trained(tmp_path, setting))) is _AutomaticOptimization


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
def test_a_step_fetches_no_memory_anew_that_the_last_one_freed():
    script = """
import resource, torch
from genlab.lean_steps import keep_heap
if {keep}: keep_heap()
def step():
    parts = [torch.ones(1 << 20) for _ in range(64)]  # 256 MB in pieces of 4
    return sum(float(part[0]) for part in parts)
step(), step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step(), step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = {}
    for keep in (True, False):
        command = [sys.executable, "-c", script.format(keep=keep)]
        faults[keep] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert faults[True] * 10 < faults[False]


def test_a_run_takes_no_time_over_numbers_that_are_nearly_zero(tmp_path):
    torch.set_flush_denormal(False)
    tiny = torch.tensor([1e-30]) * 1e-10
    assert tiny > 0
    try:
        assembly.assemble(compose(["debug=fast"]), tmp_path)
        assert torch.tensor([1e-30]) * 1e-10 == 0
    finally:
        torch.set_flush_denormal(False)
