"""A seed for one block of code that leaves no trace in the random numbers drawn after it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int | None, device: torch.device | str | None = None) -> Iterator[None]:
    """Runs its block under `seed`, then puts torch's global random state back as it was.

    The CPU's generator is seeded always; the one of `device` too, where that is a GPU. Those of other
    devices, of Python and of NumPy are left alone. With `seed=None` nothing happens: the block draws
    from the global state and moves it on.

    Args:
        seed: Any integer that `torch.manual_seed` takes, or None.
        device: Where the block draws its numbers besides the CPU, e.g. the device of a model.
    """
    if seed is None:
        yield
        return
    generators = _generators(torch.device("cpu" if device is None else device))
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def _generators(device: torch.device) -> list[torch.Generator]:
    if device.type == "cuda":
        torch.cuda.init()  # the generators exist only afterwards
        index = torch.cuda.current_device() if device.index is None else device.index
        return [torch.default_generator, torch.cuda.default_generators[index]]
    if device.type == "mps":
        return [torch.default_generator, torch.mps._get_default_mps_generator()]
    return [torch.default_generator]
