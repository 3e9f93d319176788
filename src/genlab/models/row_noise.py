"""The noise of samples that are drawn step by step, row by row.

Letters in shapes: n rows, R uniform numbers that a step takes.
"""

import torch
from torch import Tensor

_BLOCK = 256
"""Steps drawn for at once, at most."""

_NUMBERS = 2**22
"""Drawn at once at most, 16 MB, unless a single step takes more."""


class RowNoise:
    """Uniform numbers for each row of a sample, the same whatever the number of rows.

    Each row has a generator of its own, on the CPU, seeded by the seed and the row's number. All are in single
    precision, whatever torch's default is while a model trains: half would know 256 numbers.
    """

    def __init__(self, seed: int | None, rows: int, per_step: int) -> None:
        """Seeds the rows; None takes a seed from the global random state."""
        source = torch.Generator()
        source.manual_seed(int(torch.randint(2**62, ())) if seed is None else seed)
        seeds = torch.randint(2**62, (rows,), generator=source).tolist()
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._per_step, self._used = per_step, 0
        # in blocks of any size a generator gives the same numbers
        self._at_once = min(_BLOCK, max(1, _NUMBERS // (rows * per_step)))
        self._block = torch.empty(rows, 0, per_step, dtype=torch.float32)

    def next(self) -> Tensor:
        """`[n, R]`, between 0 and 1 and some steps of single precision away from both."""
        if self._used == self._block.shape[1]:
            shape = self._at_once, self._per_step
            drawn = [torch.rand(shape, generator=g, dtype=torch.float32) for g in self._generators]
            self._block, self._used = torch.stack(drawn).clamp_(1e-6, 1 - 1e-6), 0
        self._used += 1
        return self._block[:, self._used - 1]
