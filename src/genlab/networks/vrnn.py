"""The variational recurrent network (Chung et al. 2015, arXiv:1506.02216): a latent at each step.

Letters in shapes: B batch, T steps, E input features, F output features, H numbers in the hidden state, W width of
the layers around it, L latent dimensions of a step, G gates.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.errors import UserError
from genlab.sequence_contracts import Inferred, LatentNetwork, Normal, State

Cell = Literal["lstm", "gru"]

_GATES: dict[str, int] = {"lstm": 4, "gru": 3}


class VariationalRecurrent(LatentNetwork):
    """h_t = f(phi_x(x_t), phi_z(z_t), h_t-1); p(z_t) of h_t-1, q(z_t) of phi_x(x_t) and h_t-1 (eqs. 5 to 9).

    Features are of phi_z(z_t) and h_t-1, through a layer. Every phi is a linear map and a rectifier, and each normal
    is of one hidden layer. What does not depend on the state is computed for all steps at once, and what only
    the state decides (the prior, the features) after the last step: the loop is left with four products.
    The state begins at zero, with what precedes the sequence read and no latent.
    """

    def __init__(
        self, hidden_size: int, width: int, cell: Cell = "gru", *, in_features: int, latent_dim: int
    ):
        """Builds the layers.

        Args:
            hidden_size: H, at least 1.
            width: W, also the number of features F, at least 1.
            cell: lstm or gru.
            in_features: E.
            latent_dim: L.

        Raises:
            UserError: if a number is out of range, or there is no such cell.
        """
        super().__init__()
        if cell not in _GATES:
            raise UserError(
                f"model.latents.network.cell must be one of {', '.join(get_args(Cell))}, got {cell}"
            )
        for name, value in (("hidden_size", hidden_size), ("width", width)):
            if value < 1:
                raise UserError(f"model.latents.network.{name} must be at least 1, got {value}")
        self.cell, self.hidden_size, self.width, self.num_features = cell, hidden_size, width, width
        self.phi_x, self.phi_z = nn.Linear(in_features, width), nn.Linear(latent_dim, width)
        self.prior_hidden, self.prior_out = nn.Linear(hidden_size, width), nn.Linear(width, 2 * latent_dim)
        self.posterior_x = nn.Linear(width, width)
        self.posterior_h = nn.Linear(hidden_size, width, bias=False)
        self.posterior_out = nn.Linear(width, 2 * latent_dim)
        self.decoder = nn.Linear(width + hidden_size, width)
        gates = _GATES[cell] * hidden_size
        self.gates_x, self.gates_z = nn.Linear(width, gates), nn.Linear(width, gates, bias=False)
        self.gates_h = nn.Linear(hidden_size, gates)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """As He 2015 before rectifiers, so that inputs come through; forget gates of an LSTM open."""
        for layer in (
            self.phi_x,
            self.phi_z,
            self.prior_hidden,
            self.posterior_x,
            self.posterior_h,
            self.decoder,
        ):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        bound = self.hidden_size**-0.5  # as torch's cells begin
        for layer in (self.gates_x, self.gates_z, self.gates_h):
            nn.init.uniform_(layer.weight, -bound, bound)
        if self.cell == "lstm":
            self.gates_x.bias[self.hidden_size : 2 * self.hidden_size] = 1.0
            self.gates_h.bias[self.hidden_size : 2 * self.hidden_size] = 0.0

    # -- step by step ---------------------------------------------------------------------------------

    def begin(self, first: Tensor) -> State:
        parts = 2 if self.cell == "lstm" else 1
        zeros = first.new_zeros(parts, len(first), self.hidden_size, dtype=self.gates_h.weight.dtype)
        state = tuple(zeros.unbind(0))
        return self._next(self.gates_x(F.relu(self.phi_x(first))), self.gates_h(state[0]), state)

    def prior(self, state: State) -> Normal:
        return _normal(self.prior_out(F.relu(self.prior_hidden(state[0]))))

    def posterior(self, state: State, x: Tensor) -> Normal:
        told = self.posterior_x(F.relu(self.phi_x(x)))
        return _normal(self.posterior_out(F.relu(told + self.posterior_h(state[0]))))

    def features(self, state: State, z: Tensor) -> Tensor:
        return self._features(self._told(z), state[0])

    def _told(self, z: Tensor) -> Tensor:
        """phi_z(z) `[..., W]`, of latents in single precision whatever the weights are."""
        return F.relu(self.phi_z(z.to(self.phi_z.weight.dtype)))

    def _features(self, told: Tensor, hidden: Tensor) -> Tensor:
        """Of phi_z(z) `[..., W]` and hidden states `[..., H]`."""
        return F.relu(self.decoder(torch.cat([told, hidden.to(told.dtype)], dim=-1)))

    def after(self, state: State, z: Tensor, x: Tensor) -> State:
        given = self.gates_x(F.relu(self.phi_x(x))) + self.gates_z(self._told(z))
        return self._next(given, self.gates_h(state[0]), state)

    def _next(self, given: Tensor, recurrent: Tensor, state: State) -> State:
        """The state after gates `[B, G H]` of the inputs and of the state before; gates in torch's order."""
        h, size = state[0], self.hidden_size
        if self.cell == "gru":
            r, u = (given[:, : 2 * size] + recurrent[:, : 2 * size]).sigmoid().chunk(2, dim=1)
            n = torch.tanh(given[:, 2 * size :] + r * recurrent[:, 2 * size :])
            return (n + u * (h - n),)
        i, f, g, o = (given + recurrent).chunk(4, dim=1)
        c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    # -- whole sequences ------------------------------------------------------------------------------

    def forward(self, first: Tensor, x: Tensor, noise: Tensor) -> Inferred:
        state = self.begin(first)
        read = F.relu(self.phi_x(x.transpose(0, 1)))  # [T, B, W]
        steps = (self.posterior_x(read), self.gates_x(read), noise.transpose(0, 1))
        both = torch.cat([self.posterior_h.weight, self.gates_h.weight])  # [W + G H, H]
        bias = F.pad(self.gates_h.bias, (self.width, 0))
        hidden: list[Tensor] = []
        found: list[tuple[Tensor, ...]] = []
        for posterior_x, gates_x, e in zip(*(part.unbind(0) for part in steps), strict=True):
            hidden.append(state[0])
            posterior_h, gates_h = F.linear(state[0], both, bias).tensor_split([self.width], dim=1)
            mean, log_var = _normal(self.posterior_out(F.relu(posterior_x + posterior_h)))
            z = mean + torch.exp(0.5 * log_var) * e
            told = self._told(z)
            state = self._next(gates_x + self.gates_z(told), gates_h, state)
            found.append((z, mean, log_var, told))
        before = torch.stack(hidden, dim=1)  # [B, T, H]
        z, mean, log_var, told = (torch.stack(parts, dim=1) for parts in zip(*found, strict=True))
        return Inferred(z, mean, log_var, *self.prior((before,)), self._features(told, before))


def _normal(params: Tensor) -> Normal:
    """Mean and log variance out of `[..., 2 L]`, in single precision."""
    half = params.dtype in (torch.bfloat16, torch.float16)
    mean, log_var = (params.float() if half else params).chunk(2, dim=-1)
    return mean, log_var
