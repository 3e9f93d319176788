"""Single precision where digits count, whatever precision the trainer runs a network in."""

import torch
from torch import Tensor


def full(x: Tensor) -> Tensor:
    """Single precision for what mixed precision made half: sums over pixels or a vocabulary need the digits."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
