"""The loop of plain PyTorch that a run through the Trainer is held against."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.clocks import as_without_lightning, wait
from benchmarks.images import RandomImages


def milliseconds(
    step: Callable[[Tensor], None], device: torch.device, *, batch_size: int, warm: int, steps: int
) -> float:
    """Of a `step` on images `[B, 1, H, W]` in [-1, 1], after `warm` of them."""
    images = RandomImages("").data[:, None]
    order = torch.randperm(len(images))
    with as_without_lightning():
        for k in range(warm + steps + 1):
            if k == warm + 1:
                wait(device)
                began = time.perf_counter()
            rows = order[k * batch_size : (k + 1) * batch_size]
            step(images.index_select(0, rows).to(device).float() / 127.5 - 1)
        wait(device)
        return 1e3 * (time.perf_counter() - began) / steps
