"""The way back through an increasing function, element by element."""

from collections.abc import Callable

import torch
from torch import Tensor


def solve(function: Callable[[Tensor], Tensor], value: Tensor, *, low: float, high: float) -> Tensor:
    """The x with `function(x) = value`, by halving the interval from `low` to `high`.

    Args:
        function: increasing, and elementwise: any shape to the same.
        value: what it is to give; where it lies out of reach, an end of the interval is the answer.
        low: where x is at least.
        high: where x is at most.

    Returns:
        The shape and type of `value`.
    """
    wanted = value.double()
    bottom, top = torch.full_like(wanted, low), torch.full_like(wanted, high)
    for _ in range(60):  # 2^-60 of the interval is less than double precision tells apart
        middle = (bottom + top) / 2
        below = function(middle) < wanted
        bottom, top = torch.where(below, middle, bottom), torch.where(below, top, middle)
    return ((bottom + top) / 2).to(value.dtype)
