"""Which tokens may be drawn.

Letters in shapes: n rows, V entries of a vocabulary.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genlab.errors import UserError


@dataclass(frozen=True)
class Choice:
    """What is done to logits before a token is drawn.

    Args:
        temperature: logits are divided by it; 0 takes the likeliest.
        top_k: only so many of the likeliest tokens (Fan 2018), at least 1; None: all.
        top_p: only the likeliest tokens that together have this probability (Holtzman 2020), above 0, 1 at
            most; None: all.

    Raises:
        UserError: a number is out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature must be at least 0, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"top_k must be at least 1, or null for all tokens, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, or null for all tokens, got {self.top_p}")

    def of(self, logits: Tensor) -> Tensor:
        """Logits `[n, V]` of the tokens that may be drawn, minus infinity for the others."""
        if self.temperature == 0:
            return self._likeliest(logits, 1)
        logits = (logits - logits.amax(-1, keepdim=True)) / self.temperature
        if self.top_k is not None:
            logits = self._likeliest(logits, min(self.top_k, logits.shape[-1]))
        if self.top_p is not None:
            ordered, index = logits.sort(dim=-1, descending=True, stable=True)
            probability = ordered.softmax(-1)
            beyond = probability.cumsum(-1) - probability >= self.top_p  # what stands before suffices
            logits = logits.masked_fill(torch.zeros_like(beyond).scatter(-1, index, beyond), -math.inf)
        return logits

    @staticmethod
    def _likeliest(logits: Tensor, k: int) -> Tensor:
        kept = logits.topk(k, dim=-1).indices
        return torch.full_like(logits, -math.inf).scatter(-1, kept, logits.gather(-1, kept))
