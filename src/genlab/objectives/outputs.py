"""Distributions of the next step of a sequence, from the numbers that a network gives for it.

Letters in shapes: B batch, V entries of a vocabulary, D values of a step, P parameters of a step, R uniform
numbers that a draw takes; `...` is any number of leading dimensions, such as `[B, T]`.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.objectives.gaussians import log_normal

Learned = Literal["step", "column"]

_PACE = 10.0
"""How many times the learning rate a log sigma moves in a step of Adam, which is too slow for it otherwise."""


class Output(nn.Module):
    """Interface: p(next step | steps before). Built by its family as `factory(vocab_size=V, num_features=D)`.

    One of V and D is None: the data are tokens or real values.

    Attributes:
        params_per_step: P.
        noise_per_step: R.
        unit: what the nats are of.
    """

    params_per_step: int
    noise_per_step: int
    unit: str

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        """The log probability (or density) of each step in nats.

        Args:
            params: `[..., P]`, unbounded.
            target: `[...]` int64 tokens, or `[..., D]` values.

        Returns:
            `[...]`.
        """
        raise NotImplementedError

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """A step from each distribution.

        Args:
            params: `[B, P]`.
            noise: `[B, R]`, uniform between 0 and 1, both excluded: all that is random.

        Returns:
            `[B]` tokens or `[B, D]` values.
        """
        raise NotImplementedError

    def likeliest(self, params: Tensor) -> Tensor:
        """The step at the peak of each distribution `[B, P]`; of a mixture that of its heaviest component.

        Returns:
            `[B]` tokens or `[B, D]` values.
        """
        raise NotImplementedError

    def initial_params(self) -> Tensor:
        """Where the parameters begin, `[P]`."""
        return torch.zeros(self.params_per_step)


class Categorical(Output):
    """A token: a logit for each entry of the vocabulary."""

    noise_per_step = 1
    unit = "nats per token"

    def __init__(self, *, vocab_size: int | None = None, num_features: int | None = None):
        """Takes the vocabulary's size.

        Raises:
            ValueError: if the data has none.
        """
        super().__init__()
        if vocab_size is None:
            raise ValueError(
                "categorical is for tokens, and this data has real values: "
                "use model/output=mixture_density, gaussian or bernoulli"
            )
        self.params_per_step = vocab_size

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        nats = F.cross_entropy(params.flatten(0, -2), target.flatten(), reduction="none")
        return -nats.view(target.shape)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        return choose(params, noise[:, 0])

    def likeliest(self, params: Tensor) -> Tensor:
        return params.argmax(-1)


class Gaussian(Output):
    """Each value is normal by itself, with a mean of its own at each step, and a width.

    As data may repeat a value exactly, the width has a floor: without one its density has no upper limit.
    """

    unit = "nats per step, density of scaled values"

    def __init__(
        self,
        log_scale_floor: float = -5.0,
        learned: Learned = "step",
        *,
        vocab_size: int | None = None,
        num_features: int | None = None,
    ):
        """Takes the number of values.

        Args:
            log_scale_floor: what the logarithm of sigma stays above, in the units of the scaled data.
            learned: step: the network gives a sigma for each value of each step; column: one is learned for each
                of the D, so that it is as small where a network has seen nothing as where it has (sigma-VAE, Rybkin
                et al. 2021, arXiv:2006.13202, there one for all).
            vocab_size: None.
            num_features: D.

        Raises:
            ValueError: if the data are tokens, or `learned` is neither.
        """
        super().__init__()
        if learned not in get_args(Learned):
            raise ValueError(f"learned must be one of {', '.join(get_args(Learned))}; got {learned!r}")
        self.num_features, self.log_scale_floor = wanted(num_features, "gaussian"), log_scale_floor
        self.learned, self.noise_per_step = learned, self.num_features
        self.params_per_step = self.num_features * (2 if learned == "step" else 1)
        if learned == "column":
            self.paced_scale = nn.Parameter(torch.zeros(self.num_features))

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        mean, log_sigma = self._split(params)
        return log_normal(target, mean, 2 * log_sigma).sum(-1)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        mean, log_sigma = self._split(params)
        return mean + log_sigma.exp() * torch.special.ndtri(noise)

    def likeliest(self, params: Tensor) -> Tensor:
        return params[..., : self.num_features]

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Means `[..., D]`, and log sigmas that broadcast to them."""
        mean = params[..., : self.num_features]
        raw = params[..., self.num_features :] if self.learned == "step" else _paced(self.paced_scale)
        return mean, log_scale(raw, self.log_scale_floor)


def _paced(parameter: Tensor) -> Tensor:
    """So many times a parameter, with the gradient of one: a limit of the gradient's norm means what it says."""
    return parameter + (_PACE - 1) * parameter.detach()


class Bernoulli(Output):
    """A row of black and white: each value 0 or 1 by itself; a gray one between counts as its probability of 1."""

    unit = "nats per row of black and white"

    def __init__(self, *, vocab_size: int | None = None, num_features: int | None = None):
        """Takes the number of values.

        Raises:
            ValueError: if the data are tokens.
        """
        super().__init__()
        self.params_per_step = self.noise_per_step = wanted(num_features, "bernoulli")

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        nats = F.binary_cross_entropy_with_logits(params, target, reduction="none")
        return -nats.sum(-1)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        return (noise < params.sigmoid()).to(params.dtype)

    def likeliest(self, params: Tensor) -> Tensor:
        return (params > 0).to(params.dtype)


class ByData(Output):
    """One of three distributions: as the data are tokens, real values, or black and white ones."""

    def __init__(
        self,
        tokens: Callable[..., Output],
        values: Callable[..., Output],
        black_and_white: Callable[..., Output],
        binarize: Literal["sample", "threshold", "none"] = "none",
        *,
        vocab_size: int | None = None,
        num_features: int | None = None,
    ):
        """Makes the one.

        Args:
            tokens: made where there is a vocabulary.
            values: made where there is none.
            black_and_white: made instead where each value is 0 or 1, on which a density would have no upper limit.
            binarize: how the data make their values 0 or 1, or that they do not.
            vocab_size: V or None.
            num_features: D or None.
        """
        super().__init__()
        of_values = values if binarize == "none" else black_and_white
        chosen = of_values if vocab_size is None else tokens
        self.made = chosen(vocab_size=vocab_size, num_features=num_features)
        self.params_per_step, self.noise_per_step = self.made.params_per_step, self.made.noise_per_step
        self.unit = self.made.unit

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        return self.made.log_prob(params, target)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        return self.made.draw(params, noise)

    def likeliest(self, params: Tensor) -> Tensor:
        return self.made.likeliest(params)

    def initial_params(self) -> Tensor:
        return self.made.initial_params()


def wanted(num_features: int | None, name: str) -> int:
    """The number of values of a step.

    Raises:
        ValueError: the data are tokens.
    """
    if num_features is None:
        raise ValueError(f"{name} is for real values, and this data are tokens: use model/output=categorical")
    return num_features


def log_scale(raw: Tensor, floor: float) -> Tensor:
    """The logarithm of sigma: a smooth floor, as below a hard one the gradient vanishes; the shape of `raw`."""
    return floor + F.softplus(raw - floor)


def choose(logits: Tensor, noise: Tensor) -> Tensor:
    """The entry of `[..., V]` at which the summed probabilities pass `noise` `[...]`: `[...]` int64."""
    summed = logits.softmax(-1).cumsum(-1)
    return (summed <= noise[..., None] * summed[..., -1:]).sum(-1)
