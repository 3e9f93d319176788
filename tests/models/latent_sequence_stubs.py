"""Small models of sequences with latents, and two of which all is known: linear and Gaussian."""

import math
from functools import partial
from typing import Any

import torch
from sequence_stubs import B, T, V, batch, tokens
from torch import Tensor

from genlab.models.latent_sequences import LatentSequences
from genlab.models.one_latent import OneLatent
from genlab.models.step_latents import StepLatents
from genlab.networks.recurrent import Recurrent
from genlab.networks.vrnn import VariationalRecurrent
from genlab.objectives.bounds import ELBO
from genlab.objectives.mixture_density import MixtureDensity
from genlab.objectives.outputs import Bernoulli, ByData, Categorical, Gaussian
from genlab.schedules import Constant
from genlab.sequence_contracts import Inferred, LatentNetwork, Normal, SequenceBatch, SequenceNetwork, State

L = 2
LATENTS = {
    "one": partial(OneLatent, partial(Recurrent, "gru", 8), partial(Recurrent, "lstm", 8)),
    "steps": partial(StepLatents, partial(VariationalRecurrent, 8, 6)),
}
SERIES = {"vocab_size": None, "num_features": 2}


def model(latents: Any = "one", **changes: Any) -> LatentSequences:
    """A model of five tokens, windows of four."""
    torch.manual_seed(0)
    parts: dict[str, Any] = {
        "latents": LATENTS[latents] if isinstance(latents, str) else latents,
        "output": partial(ByData, Categorical, partial(MixtureDensity, 2), Bernoulli),
        "loss": ELBO(),
        "optimizer": partial(torch.optim.AdamW, lr=0.01),
        "scheduler": Constant(),
        "latent_dim": L,
        "embedding": 8,
        "vocab_size": V,
        "sequence_length": T,
    }
    return LatentSequences(**{**parts, **changes})


def excited(latents: Any = "one", **changes: Any) -> LatentSequences:
    """One whose odds are far from equal, and which does not drop out."""
    made = model(latents, **changes)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return made.eval()


def windows(rows: int = B, steps: int = T, seed: int = 1) -> SequenceBatch:
    return batch(tokens(rows * (steps + 1), seed).view(rows, steps + 1), True)


def series(rows: int = B, steps: int = T) -> SequenceBatch:
    generator = torch.Generator().manual_seed(3)
    return batch(torch.randn(rows, steps + 1, 2, generator=generator), True)


# -- linear and Gaussian, one value a step ------------------------------------------------------------

A, C, SIGMA = 0.8, 1.5, 0.5
"""z_t = A z_t-1 + N(0, 1) where there is a latent a step, else z ~ N(0, 1); x_t = C z + N(0, SIGMA^2)."""


class Sums(SequenceNetwork):
    """An encoder that adds up its inputs."""

    num_features = 1

    def __init__(self, in_features: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        return x.cumsum(1), (x[None, :, -1],)


class Echo(SequenceNetwork):
    """A decoder that says what latent it was told, the last of its inputs."""

    num_features = 1

    def __init__(self, in_features: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        return x[..., -1:], (x[None, :, -1, -1:],)


class Chain(LatentNetwork):
    """A latent that drifts; its posterior is right as far as the steps before and the step itself can tell."""

    num_features = 1

    def __init__(self, in_features: int, latent_dim: int) -> None:
        super().__init__()

    def begin(self, first: Tensor) -> State:
        return (torch.zeros_like(first),)

    def prior(self, state: State) -> Normal:
        return A * state[0], torch.zeros_like(state[0])

    def posterior(self, state: State, x: Tensor) -> Normal:
        precision = 1 + C**2 / SIGMA**2
        mean = (A * state[0] + C / SIGMA**2 * x) / precision
        return mean, torch.full_like(mean, -math.log(precision))

    def features(self, state: State, z: Tensor) -> Tensor:
        return z

    def after(self, state: State, z: Tensor, x: Tensor) -> State:
        return (z,)

    def forward(self, first: Tensor, x: Tensor, noise: Tensor) -> Inferred:
        state, found = self.begin(first), []
        for step, e in zip(x.unbind(1), noise.unbind(1), strict=True):
            mean, log_var = self.posterior(state, step)
            z = mean + torch.exp(0.5 * log_var) * e
            found.append((z, mean, log_var, *self.prior(state), self.features(state, z)))
            state = self.after(state, z, step)
        return Inferred(*(torch.stack(parts, dim=1) for parts in zip(*found, strict=True)))


def linear_gaussian(latents: str, steps: int, error: float = 0.0) -> LatentSequences:
    """The exact posterior of one latent is known, and beside it by `error`; of a chain its best causal one."""
    kind = partial(OneLatent, Sums, Echo) if latents == "one" else partial(StepLatents, Chain)
    made = model(
        kind,
        output=Gaussian,
        vocab_size=None,
        num_features=1,
        embedding=1,
        latent_dim=1,
        sequence_length=steps,
    ).double()
    raw = -5 + math.log(math.expm1(math.log(SIGMA) + 5))  # the inverse of `log_scale`
    with torch.no_grad():
        made.latents.input.map.weight.fill_(1)
        made.latents.input.map.bias.zero_()
        made.latents.head.weight.copy_(torch.tensor([[C], [0.0]]))
        made.latents.head.bias.copy_(torch.tensor([0.0, raw]))
        if latents == "one":
            precision = 1 + steps * C**2 / SIGMA**2
            made.latents.to_posterior.weight.copy_(torch.tensor([[C / SIGMA**2 / precision], [0.0]]))
            made.latents.to_posterior.bias.copy_(torch.tensor([error, -math.log(precision)]))
    return made.eval()


def exact(latents: str, values: Tensor) -> Tensor:
    """Log p(x) of `[B, T, 1]`: all is normal, with a covariance that is known."""
    steps = values.shape[1]
    if latents == "one":
        of_z = torch.ones(steps, steps, dtype=torch.float64)
    else:
        mixed = torch.linalg.inv(
            torch.eye(steps).double() - A * torch.diag(torch.ones(steps - 1).double(), -1)
        )
        of_z = mixed @ mixed.T
    covariance = C**2 * of_z + SIGMA**2 * torch.eye(steps).double()
    normal = torch.distributions.MultivariateNormal(torch.zeros(steps).double(), covariance)
    return normal.log_prob(values[..., 0])
