"""A loss: the KL is held at a capacity that grows.

Letters in shapes: B batch, L latent dimensions.
"""

import torch
from torch import Tensor, nn

from genlab.errors import UserError
from genlab.objectives.bounds import VariationalLoss


class Capacity(nn.Module, VariationalLoss):
    """-log p(x|z) + gamma |KL(q(z|x) || p(z)) - capacity| (Burgess et al. 2018, arXiv:1804.03599, eq. 8).

    The capacity grows in a straight line from 0, so that the latent learns one factor of the images after
    another. How far it has grown is a buffer: it stands in every checkpoint, and a resumed run goes on from it.
    """

    seen: Tensor

    def __init__(self, gamma: float = 10.0, capacity: float = 20.0, batches: int = 2000):
        """Sets how strictly the KL is held, and where.

        Args:
            gamma: nats of loss for each nat that the KL is off, at least 0.
            capacity: nats of KL per image in the end, at least 0.
            batches: training batches until then, at least 1.

        Raises:
            UserError: a number is out of its range.
        """
        super().__init__()
        if gamma < 0 or capacity < 0 or batches < 1:
            raise UserError(
                "gamma and capacity must be at least 0 and batches at least 1, "
                f"got gamma={gamma}, capacity={capacity}, batches={batches}"
            )
        self.gamma, self.capacity, self.batches = gamma, capacity, batches
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, log_px: Tensor, kl: Tensor) -> Tensor:
        """The objective of log p(x|z) `[B]` and the KL `[B, L]`: a scalar, the mean over the batch."""
        capacity = self.capacity * (self.seen / self.batches).clamp(max=1)
        if self.training:
            self.seen += 1
        return (self.gamma * (kl.sum(1) - capacity).abs() - log_px).mean()
