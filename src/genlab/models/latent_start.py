"""How a latent begins what a recurrent decoder tells.

Letters in shapes: B batch, n rows, T steps, E input features of a step, L latent dimensions, P parameters of a step.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from genlab.errors import UserError
from genlab.models.step_ends import StepHead
from genlab.objectives.outputs import Output
from genlab.sequence_contracts import SequenceNetwork, State


class LatentStart(nn.Module):
    """The state that a recurrent network begins with, a linear map of a latent."""

    def __init__(self, latent_dim: int, network: SequenceNetwork, in_features: int) -> None:
        """Builds the map.

        Args:
            latent_dim: L.
            network: whose state it is.
            in_features: of that network.

        Raises:
            UserError: its state is no such thing.
        """
        super().__init__()
        with torch.no_grad():
            state = network(torch.zeros(1, 1, in_features))[1]
        if not all(part.is_floating_point() and part.ndim == 3 for part in state):
            raise UserError(
                f"model.latents.decoder has to be recurrent, so that a latent can be its first state, and "
                f"{type(network).__name__} is not: take genlab.networks.recurrent.Recurrent"
            )
        self.shapes = [(part.shape[0], part.shape[2]) for part in state]  # layers, features
        self.map = nn.Linear(latent_dim, sum(layers * size for layers, size in self.shapes))

    def forward(self, z: Tensor) -> State:
        """The state `[layers, B, ...]` that latents `[B, L]` begin with."""
        parts = self.map(z.to(self.map.weight.dtype)).split(
            [layers * size for layers, size in self.shapes], dim=1
        )
        return tuple(
            part.unflatten(1, shape).transpose(0, 1).contiguous()
            for part, shape in zip(parts, self.shapes, strict=True)
        )


class Telling(Protocol):
    """What `Told` wants: a decoder, with what stands before and behind it."""

    head: StepHead
    output: Output
    end_token: int | None

    def read(self, steps: Tensor, label: Tensor | None) -> Tensor:
        """Inputs `[n, T, E]` of steps and classes."""
        ...

    def tell(self, read: Tensor, z: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Features and state of inputs `[n, T, E]` at latents `[n, L]`, from the beginning or a state on."""
        ...


class Told:
    """A decoder with its latents given, as something that `draws` can draw from."""

    def __init__(self, telling: Telling, z: Tensor, *, likeliest: bool = False) -> None:
        """Takes the decoder and latents `[n, L]`; `likeliest` leaves nothing to chance."""
        self.input, self.head, self.end_token = telling.read, telling.head, telling.end_token
        self.network = _FromLatents(telling, z)
        self.output: Output = Likeliest(telling.output) if likeliest else telling.output


class _FromLatents:
    """A network that begins with the latents."""

    context = None

    def __init__(self, telling: Telling, z: Tensor) -> None:
        self._telling, self._z = telling, z

    def __call__(self, read: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        return self._telling.tell(read, self._z, state)


class Likeliest(Output):
    """An output whose draws are its peaks."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.noise_per_step, self._output = 1, output

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        return self._output.likeliest(params)
