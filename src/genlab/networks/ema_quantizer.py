"""A codebook that follows what it quantises by moving averages (van den Oord 2017, arXiv:1711.00937, appendix A.1).

Letters in shapes: B batch, N codes, V features of a code, h and w the sides of a map, M = B h w places of a batch.
"""

import torch
from torch import Tensor, distributed

from genlab.code_contracts import Quantizer
from genlab.errors import UserError

_UNBORN = 2**62
"""Idle steps of a code that has never been set: the first batch sets all of them."""


class EMAQuantizer(Quantizer):
    """Nearest codes, each the mean of the features that took it of late.

    With n_i the number of a batch's features that code i is nearest to, and s_i their sum (eq. 6 to 8):
    `N_i <- decay N_i + (1 - decay) n_i`, `m_i <- decay m_i + (1 - decay) s_i`, `e_i = m_i / N_i`, where
    N_i is smoothed after Laplace: `(N_i + epsilon) / (N + n_codes epsilon) N` with N the sum of all N_i.

    A code that no feature took for `revive_after` batches is put where a random feature of the batch is.
    So is each code at the first batch. Processes of a distributed training sum their n_i and s_i, and
    put up codes in turn: their codebooks stay the same.
    """

    embedding: Tensor
    count: Tensor
    total: Tensor
    idle: Tensor

    def __init__(
        self,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        revive_after: int | None = 100,
        *,
        num_codes: int,
        code_dim: int,
    ):
        """Makes a codebook that the first batch will fill.

        Args:
            decay: of the averages, 0 up to 1; the larger, the slower.
            epsilon: added to each code's count, above 0.
            revive_after: batches in which a code is not taken before it is put elsewhere, at least 1;
                None: never.
            num_codes: N, at least 2.
            code_dim: V, at least 1.

        Raises:
            UserError: if a number is out of range.
        """
        super().__init__()
        if not 0 <= decay < 1:
            raise UserError(f"model.quantizer.decay must be at least 0 and below 1, got {decay}")
        if epsilon <= 0:
            raise UserError(f"model.quantizer.epsilon must be above 0, got {epsilon}")
        if revive_after is not None and revive_after < 1:
            raise UserError(
                f"model.quantizer.revive_after must be at least 1, or null for never, got {revive_after}"
            )
        self.decay, self.epsilon = decay, epsilon
        self.patience = _UNBORN if revive_after is None else revive_after
        self.register_buffer("embedding", torch.randn(num_codes, code_dim))  # [N, V]
        self.register_buffer("count", torch.ones(num_codes))  # [N]
        self.register_buffer("total", self.embedding.clone())  # [N, V]
        self.register_buffer("idle", torch.full((num_codes,), _UNBORN))  # [N] batches since a code was taken

    @torch.no_grad()
    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        places = features.movedim(1, -1)  # [B, h, w, V]
        flat = places.flatten(0, -2).to(self.embedding)  # [M, V]
        with torch.autocast(flat.device.type, enabled=False):  # half precision would confuse near codes
            if self.training:
                self._revive(flat)
            codes = self._nearest(flat)
            vectors = self.embedding[codes]  # [M, V]
            if self.training:
                self._follow(flat, codes)
        return vectors.view(places.shape).movedim(-1, 1), codes.view(places.shape[:-1])

    def vectors(self, codes: Tensor) -> Tensor:
        return self.embedding[codes].movedim(-1, 1)

    def _nearest(self, flat: Tensor) -> Tensor:
        """The nearest code to each place `[M, V]`: `[M]`."""
        # |f - e|^2 = |f|^2 + |e|^2 - 2 f.e, of which the first is the same for all codes
        return torch.addmm(self.embedding.square().sum(1), flat, self.embedding.T, alpha=-2).argmin(1)

    def _revive(self, flat: Tensor) -> None:
        """Puts codes that were idle for too long where random places `[M, V]` of the batch are."""
        chosen = torch.randint(len(flat), (len(self.idle),), device=flat.device)
        offered = flat[chosen]  # [N, V]
        if _processes() > 1:  # code i is put up by process i mod their number
            turn = torch.arange(len(offered), device=flat.device) % _processes() == distributed.get_rank()
            offered = _summed(torch.where(turn[:, None], offered, 0))
        dead = self.idle >= self.patience
        self.embedding.copy_(torch.where(dead[:, None], offered, self.embedding))
        self.total.copy_(torch.where(dead[:, None], offered, self.total))
        self.count.masked_fill_(dead, 1)
        self.idle.masked_fill_(dead, 0)

    def _follow(self, flat: Tensor, codes: Tensor) -> None:
        """Moves the averages towards the places `[M, V]` that took each code, and the codes with them."""
        taken = (codes[:, None] == torch.arange(len(self.idle), device=codes.device)).to(flat)  # [M, N]
        news = torch.cat([taken.sum(0)[:, None], taken.T @ flat], dim=1)  # [N, 1 + V]
        counts, sums = _summed(news).split([1, flat.shape[1]], dim=1)
        counts = counts.squeeze(1)
        self.count.lerp_(counts, 1 - self.decay)
        self.total.lerp_(sums, 1 - self.decay)
        whole = self.count.sum()
        smoothed = (self.count + self.epsilon) / (whole + len(self.count) * self.epsilon) * whole
        self.embedding.copy_(self.total / smoothed[:, None])
        self.idle.add_(1).masked_fill_(counts > 0, 0)


def _processes() -> int:
    """How many train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _summed(x: Tensor) -> Tensor:
    """The sum over all processes, the same on each."""
    if _processes() > 1:
        distributed.all_reduce(x)
    return x
