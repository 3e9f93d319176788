"""Grids of codes: drawn code after code, and checked.

Letters in shapes: B batch, N codes of a codebook, h and w the sides of the grid.
"""

import torch
from torch import Tensor

from genlab.code_contracts import CodePrior
from genlab.errors import UserError
from genlab.models.precision import full


def draw_codes(prior: CodePrior, uniform: Tensor) -> Tensor:
    """Draws grids code after code, row by row, each given the codes before it.

    Args:
        prior: of the codes.
        uniform: `[B, h, w]` in 0 .. 1, each place's own: where it falls among the cumulated
            probabilities says which code is taken.

    Returns:
        `[B, h, w]` int64.
    """
    codes = torch.zeros(uniform.shape, dtype=torch.int64, device=uniform.device)
    for row in range(uniform.shape[1]):
        for column in range(uniform.shape[2]):
            # rows below are of no use; not through __call__, which is compiled anew for each new shape
            logits = full(prior.forward(codes[:, : row + 1]))[:, :, row, column]  # [B, N]
            cumulated = logits.softmax(1).cumsum(1)
            reached = uniform[:, row, column, None] * cumulated[:, -1:]  # the last is 1 but for rounding
            codes[:, row, column] = (cumulated <= reached).sum(1).clamp_(max=logits.shape[1] - 1)
    return codes


def check_codes(codes: Tensor, grid: tuple[int, int], num_codes: int) -> None:
    """Refuses what is no batch of grids of codes.

    Raises:
        UserError: another shape or type, or a code that there is not.
    """
    if codes.shape[1:] != grid or codes.dtype != torch.int64:
        raise UserError(
            f"codes must be int64 [B, {grid[0]}, {grid[1]}], got {codes.dtype} {list(codes.shape)}"
        )
    wrong = codes[(codes < 0) | (codes >= num_codes)]
    if len(wrong):
        raise UserError(f"codes must be from 0 to {num_codes - 1}, got {int(wrong[0])}")
