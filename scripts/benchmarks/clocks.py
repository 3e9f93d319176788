"""What both sides of a timed step need: a device that is done, and an optimizer without Lightning's detour."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def as_without_lightning() -> Iterator[None]:
    """Takes back what importing Lightning does to every optimizer's step in this process.

    It sets PYTORCH_NVML_BASED_CUDA_CHECK, and without a GPU each step of a fused optimizer then looks for
    the driver's library on disk. A script in plain PyTorch does not pay for that.
    """
    name = "PYTORCH_NVML_BASED_CUDA_CHECK"
    former = os.environ.pop(name, None)
    try:
        yield
    finally:
        if former is not None:
            os.environ[name] = former


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
