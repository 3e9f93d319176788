"""Where the output of a decoder starts.

Letters in shapes: B batch, P parameters per value, C channels, H height, W width.
"""

import torch
from torch import Tensor, nn


class OutputBias(nn.Module):
    """Adds a number of its own to each parameter of each value, so that any decoder starts at the data's mean."""

    def __init__(self, params_per_value: int, image_shape: list[int]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(params_per_value, *image_shape))

    def forward(self, params: Tensor) -> Tensor:
        """Maps `[B, P, C, H, W]` to the same shape."""
        return params + self.bias
