"""A causal Transformer decoder over sequences (Vaswani 2017; pre-norm and initialisation after GPT-2).

Letters in shapes: B batch, T new steps, S steps held from before, E input features, F output features (the
width), H heads, D features of a head.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.errors import UserError
from genlab.sequence_contracts import SequenceNetwork, State

Positions = Literal["rotary", "learned"]
Turn = tuple[Tensor, Tensor]
"""Cosine and sine of the angles by which features of each step turn, `[B or 1, 1, T, D / 2]`."""


class Transformer(SequenceNetwork):
    """Blocks of causal self-attention and a two-layer network, each on normalised features and added to them.

    Each step attends to itself and to the `reach - 1` steps before it. Of steps read earlier the state holds
    keys and values, `[1, B, H, S, D]` for each layer, and how many steps each row has read, `[1, B]`. With
    rotary positions (Su 2021, arXiv:2104.09864) the oldest are dropped where they are out of reach, and reading
    goes on for ever. Learned positions end after `reach` steps: `context` says so.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        dropout: float = 0.0,
        positions: Positions = "rotary",
        reach: int | None = None,
        *,
        in_features: int,
    ):
        """Builds the blocks.

        Args:
            width: F, a multiple of `heads`; with rotary positions of twice that.
            layers: blocks, at least 1.
            heads: H, at least 1.
            dropout: of the inputs, of attention and of what each part adds, 0 up to 1.
            positions: rotary or learned.
            reach: steps that a step attends to, itself included, at least 1; None: all there are.
            in_features: E.

        Raises:
            UserError: if a number is out of range, or learned positions are without an end.
        """
        super().__init__()
        for name, value in (("width", width), ("layers", layers), ("heads", heads), ("reach", reach)):
            if value is not None and value < 1:
                raise UserError(f"model.network.{name} must be at least 1, got {value}")
        if not 0 <= dropout < 1:
            raise UserError(f"model.network.dropout must be at least 0 and below 1, got {dropout}")
        if positions not in get_args(Positions):
            raise UserError(f"model.network.positions must be rotary or learned, got {positions}")
        even = 2 if positions == "rotary" else 1
        if width % (even * heads):
            raise UserError(
                f"model.network.width must be a multiple of {even * heads} with {heads} heads and {positions} "
                f"positions, got {width}"
            )
        if positions == "learned" and reach is None:
            raise UserError("model.network.positions=learned needs an end: give model.network.reach=N")
        self.num_features, self.reach = width, reach
        self.context = reach if positions == "learned" else None
        self.bounded = reach is not None
        self.entry = nn.Linear(in_features, width, bias=False) if in_features != width else nn.Identity()
        self.places = nn.Embedding(reach, width) if positions == "learned" and reach else None
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.turned = width // heads // 2  # pairs of features
        self._initialise(layers)

    def _initialise(self, layers: int) -> None:
        """N(0, 0.02), what is added to the residual stream narrower by the root of how many add to it."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                added = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * layers) ** 0.5 if added else 0.02)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        batch, steps = x.shape[:2]
        held = 0 if state is None else state[0].shape[3]
        if self.context is not None and held + steps > self.context:
            raise UserError(
                f"learned positions end after model.network.reach={self.context} steps, and this sequence has "
                f"{held + steps}: give a longer reach, a shorter data.sequence_length, or positions=rotary"
            )
        seen = torch.zeros(1, batch, dtype=torch.int64, device=x.device) if state is None else state[-1]
        known = seen[:, :1] if state is None else seen  # all rows alike
        place = known.transpose(0, 1) + torch.arange(steps, device=x.device)  # [B or 1, T]
        x = self.entry(x)
        if self.places is not None:
            x = x + self.places(place)
        x, turn = self.dropout(x), None if self.places is not None else self._turn(place)
        mask = self._mask(steps, held, None if state is None else seen[0], x.device)
        after: list[Tensor] = []
        for k, block in enumerate(self.blocks):
            cache = None if state is None else (state[2 * k], state[2 * k + 1])
            x, keys, values = block(x, cache, turn, mask)
            after += [self._within_reach(keys), self._within_reach(values)]
        return self.norm(x), (*after, seen + steps)

    def _turn(self, place: Tensor) -> Turn:
        # made anew in single precision: in half of it, which a module's buffers may become, 257 is 256
        pair = torch.arange(self.turned, device=place.device, dtype=torch.float32)
        angle = (place[..., None] * 10000.0 ** (-pair / self.turned))[:, None]  # [B or 1, 1, T, D / 2]
        return angle.cos(), angle.sin()

    def _mask(self, steps: int, held: int, seen: Tensor | None, device: torch.device) -> Tensor | None:
        """What each step may look at, `[B or 1, 1, T, S + T]`; None: all before it and itself."""
        if seen is None and (self.reach is None or steps <= self.reach):
            return None
        query = torch.arange(held, held + steps, device=device)[:, None]
        key = torch.arange(held + steps, device=device)
        mask = key <= query
        if self.reach is not None:
            mask = mask & (key > query - self.reach)
        if seen is None:
            return mask[None, None]
        return (mask & (key >= held - seen[:, None, None]))[:, None]  # rows that began later hold less

    def _within_reach(self, cache: Tensor) -> Tensor:
        """What the next step can still attend to."""
        surplus = 0 if self.reach is None or self.context else cache.shape[3] - (self.reach - 1)
        return cache[:, :, :, surplus:] if surplus > 0 else cache


class _Block(nn.Module):
    """Attention, then a two-layer network of four times the width."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.attention_norm, self.network_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, cache: tuple[Tensor, Tensor] | None, turn: Turn | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Maps `[B, T, F]` to the same; with it all keys and values, `[1, B, H, S + T, D]` each."""
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, H, T, D]
            for part in self.qkv(self.attention_norm(x)).chunk(3, dim=2)
        )
        if turn is not None:
            query, key = _turned(query, turn), _turned(key, turn)
        if cache is not None:
            key, value = torch.cat([cache[0][0], key], dim=2), torch.cat([cache[1][0], value], dim=2)
        rate = self.rate if self.training else 0.0
        seen = F.scaled_dot_product_attention(query, key, value, mask, rate, is_causal=mask is None)
        x = x + self.dropout(self.out(seen.transpose(1, 2).flatten(2)))
        x = x + self.dropout(self.down(F.gelu(self.up(self.network_norm(x)))))
        return x, key[None], value[None]


def _turned(x: Tensor, turn: Turn) -> Tensor:
    """Turns pairs of features of queries or keys `[B, H, T, D]` by the angles of their steps."""
    (cos, sin), (a, b) = turn, x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)
