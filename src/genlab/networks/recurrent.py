"""Recurrent networks over sequences, on torch's fused kernels (oneDNN, cuDNN).

LSTM: Hochreiter & Schmidhuber 1997, with forget gates after Gers 2000; GRU: Cho 2014; RNN: Elman 1990.
Letters in shapes: B batch, T steps, E input features, F output features, here the size of the hidden state.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from genlab.errors import UserError
from genlab.sequence_contracts import SequenceNetwork, State

Cell = Literal["lstm", "gru", "rnn"]

_KERNELS: dict[str, type[nn.LSTM] | type[nn.GRU] | type[nn.RNN]] = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn": nn.RNN,
}


class Recurrent(SequenceNetwork):
    """Layers of one kind of cell, with dropout on all that is not recurrent (Zaremba 2014, arXiv:1409.2329).

    The state is `[layers, B, F]`, of an LSTM two of them. Forget gates of an LSTM begin with a bias of 1
    (Jozefowicz 2015).
    """

    def __init__(
        self,
        cell: Cell,
        hidden_size: int,
        layers: int = 1,
        dropout: float = 0.0,
        layer_norm: bool = False,
        *,
        in_features: int,
    ):
        """Builds the layers.

        Args:
            cell: lstm, gru or rnn (tanh).
            hidden_size: F, numbers in the hidden state of each layer, at least 1.
            layers: at least 1.
            dropout: of the inputs, between layers and of the features, 0 up to 1.
            layer_norm: normalise the features of each layer (Ba 2016, arXiv:1607.06450); one kernel for each
                layer, where otherwise one runs them all.
            in_features: E.

        Raises:
            UserError: if a number is out of range, or there is no such cell.
        """
        super().__init__()
        if cell not in _KERNELS:
            raise UserError(f"model.network.cell must be one of {', '.join(get_args(Cell))}, got {cell}")
        for name, value in (("hidden_size", hidden_size), ("layers", layers)):
            if value < 1:
                raise UserError(f"model.network.{name} must be at least 1, got {value}")
        if not 0 <= dropout < 1:
            raise UserError(f"model.network.dropout must be at least 0 and below 1, got {dropout}")
        self.num_features, self.layers = hidden_size, layers
        kernels, depth = (layers, 1) if layer_norm else (1, layers)
        self.kernels = nn.ModuleList(
            _KERNELS[cell](
                hidden_size if k else in_features,
                hidden_size,
                num_layers=depth,
                dropout=dropout if depth > 1 else 0.0,
                batch_first=True,
            )
            for k in range(kernels)
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(hidden_size) if layer_norm else nn.Identity() for _ in range(kernels)
        )
        self.dropout = nn.Dropout(dropout)
        if cell == "lstm":
            _open_forget_gates(self.kernels)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        x = self.dropout(x)
        size = self.layers // len(self.kernels)
        after: list[State] = []
        for k, (kernel, norm) in enumerate(zip(self.kernels, self.norms, strict=True)):
            before = None if state is None else tuple(part[k * size : (k + 1) * size] for part in state)
            x, part = _run(kernel, x, before)
            x = self.dropout(norm(x))
            after.append(part)
        return x, after[0] if len(after) == 1 else tuple(map(torch.cat, zip(*after, strict=True)))


def _run(kernel: nn.Module, x: Tensor, state: State | None) -> tuple[Tensor, State]:
    """A kernel over `[B, T, E]`, with its states as a tuple whatever the cell."""
    if not isinstance(kernel, nn.LSTM):
        x, hidden = kernel(x, None if state is None else state[0])
        return x, (hidden,)
    if state is not None and x.shape[1] == 1 and _on_cpu_without_gradients(x):
        return _lstm_step(kernel, x, state)
    return kernel(x, state)


def _on_cpu_without_gradients(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")


def _lstm_step(kernel: nn.LSTM, x: Tensor, state: State) -> tuple[Tensor, State]:
    """One step `[B, 1, E]`: oneDNN would put all weights in its own order first, which takes five times as long.

    Dropout between the kernel's layers is that of `kernel.dropout` while it trains.
    """
    h, weights = x[:, 0], kernel.all_weights
    hidden, cells = [], []
    for k, (before, cell) in enumerate(zip(*state, strict=True)):
        if k:
            h = nn.functional.dropout(h, kernel.dropout, kernel.training)
        h, c = torch.lstm_cell(h, (before, cell), *weights[k])
        hidden.append(h)
        cells.append(c)
    return h[:, None], (torch.stack(hidden), torch.stack(cells))


@torch.no_grad()
def _open_forget_gates(kernels: nn.ModuleList) -> None:
    """Each of torch's LSTMs has two biases, ordered as input, forget, cell, output: their sum becomes 1."""
    for name, bias in kernels.named_parameters():
        if "bias" in name:
            quarter = len(bias) // 4
            bias[quarter : 2 * quarter] = 1.0 if "bias_ih" in name else 0.0
