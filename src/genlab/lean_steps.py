"""A shorter way through Lightning for the common training step; touches private loops of 2.6.

Around forward, backward and step Lightning enters functions, contexts and hooks that mostly have nothing to do:
up to a millisecond a step, a fifth of a small network's on a CPU. What is left out here changes no number and
no count in a checkpoint; tests/test_lean_steps.py holds that.
"""

import ctypes
import os
import sys
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loops.optimization.automatic import ClosureResult, _AutomaticOptimization
from pytorch_lightning.plugins import Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.optim import Optimizer

PER_BATCH_HOOKS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)


def spare_empty_hooks(owners: Sequence[Callback | LightningModule], base: type = Callback) -> None:
    """Lets Lightning skip the per-batch hooks that a callback, or a model, inherits empty from `base`.

    Lightning calls each of the six hooks on each callback in a profiling context, some 4 microseconds
    a call and 0.4 ms a batch with ours; a hook that is not callable it skips.
    """
    for owner in owners:
        for hook in PER_BATCH_HOOKS:
            if getattr(type(owner), hook) is getattr(base, hook):
                setattr(owner, hook, None)


def spare_lookups(trainer: Trainer) -> None:
    """Lets Lightning and torch look up once what they look up at every step: 0.2 ms of it."""
    if not torch.cuda.is_available():
        # Importing Lightning sets it to 1, and without a GPU each step of a fused optimizer then searches
        # the disk for the driver's library. There is nothing that the other way of looking could disturb.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    loop = trainer.fit_loop.epoch_loop
    look, known = loop._build_kwargs, list[str]()

    def arguments(kwargs: OrderedDict, batch: Any, batch_idx: int) -> OrderedDict:
        known[:] = known or look(OrderedDict(), batch, batch_idx)  # reads the signature of training_step
        values = {"batch": batch, "batch_idx": batch_idx}
        kwargs.update({name: values[name] for name in known})
        return kwargs

    vars(loop)["_build_kwargs"] = arguments
    profiler: Any = vars(trainer)["profiler"]
    if isinstance(profiler, PassThroughProfiler):
        nothing = nullcontext()
        vars(profiler)["profile"] = lambda action_name: nothing  # Lightning's own makes a generator a call


def keep_heap() -> None:
    """Lets glibc keep the memory that a step frees for the next one; does nothing where there is no glibc.

    Left alone it gives the top of the heap back to the system after each backward pass and fetches it page by
    page in the next forward pass: 6,000 page faults and a tenth of the time of a step of a small DCGAN on a CPU.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the most that glibc allows, and what it grows to by itself
    mallopt(_M_TRIM_THRESHOLD, 1 << 30)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""

BETWEEN = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
"""Hooks inside of a step; Trainer callbacks that have one are served by Lightning's own loop."""
STEPS = ("backward", "optimizer_step", "optimizer_zero_grad")
"""What a model may do in its own way; then, too, the loop is Lightning's."""


def shorten_steps(trainer: Trainer, model: LightningModule) -> None:
    """Replaces the loop of automatic optimization where its detours would lead nowhere."""
    plain = type(trainer.strategy) is SingleDeviceStrategy and type(trainer.precision_plugin) is Precision
    hooked = any(callable(getattr(part, hook)) for part in _parts(trainer, model) for hook in BETWEEN)
    custom = any(getattr(type(model), step) is not getattr(LightningModule, step) for step in STEPS)
    if plain and not hooked and not custom and trainer.accumulate_grad_batches == 1:
        epoch = trainer.fit_loop.epoch_loop
        lean = LeanOptimization(trainer)
        lean.optim_progress = epoch.automatic_optimization.optim_progress
        epoch.automatic_optimization = lean


def _parts(trainer: Trainer, model: LightningModule) -> list[Any]:
    return [*trainer.callbacks, model]  # type: ignore[attr-defined]


class LeanOptimization(_AutomaticOptimization):
    """Forward, zero_grad, backward, clip and step of one optimizer on one device.

    The same things in the same order as Lightning's own, 0.08 ms sooner.
    """

    def run(self, optimizer: Optimizer, batch_idx: int, kwargs: OrderedDict) -> dict[str, Any]:
        trainer, done = self.trainer, self.optim_progress.optimizer
        model = trainer.lightning_module
        if trainer.accumulate_grad_batches != 1:  # a callback has changed it
            return super().run(optimizer, batch_idx, kwargs)
        results: list[ClosureResult] = []

        def closure() -> Tensor | None:
            model._current_fx_name, before = "training_step", model._current_fx_name
            output = model.training_step(*kwargs.values())
            model._current_fx_name = before
            result = ClosureResult.from_training_step_output(output, 1)
            results[:] = [result]
            done.zero_grad.increment_ready()
            done.zero_grad.increment_started()
            optimizer.zero_grad()
            done.zero_grad.increment_completed()
            if result.closure_loss is not None:
                result.closure_loss.backward()
            model.configure_gradient_clipping(
                optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
            )
            return result.loss

        done.step.increment_ready()
        optimizer.step(closure)  # type: ignore[arg-type]
        done.step.increment_completed()
        return results[0].asdict() if results[0].loss is not None else {}
