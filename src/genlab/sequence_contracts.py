"""What passes between the rooms where data are sequences: batches, networks, and what stands for texts and scales.

Letters in shapes: B batch, T steps of a window, D values of a step, V entries of a vocabulary, E input features,
F output features, K classes, L latent dimensions of a step.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

State = tuple[Tensor, ...]
"""What a network knows of the steps before: tensors with the batch as their second dimension, `[layers, B, ...]`.

A row of zeros is the state of a row before its first step, as None is that of all rows.
"""


class SequenceBatch(NamedTuple):
    """A batch of windows, each step with what stands before it.

    Attributes:
        input: `[B, T]` int64 tokens or `[B, T, D]` floats: what precedes each target; zeros precede a series.
        target: `[B, T]` or `[B, T, D]`: what comes next.
        weight: `[B, T]` float: 1 where a target counts, 0 where it is padding or only context; None: all count.
        label: `[B]` int64 class indices; zeros where the data has no labels.
        begins: `[B]` bool: whether the window is the beginning of what is read; where not, it goes on where
            the window before it in the same row ended.
    """

    input: Tensor
    target: Tensor
    weight: Tensor | None
    label: Tensor
    begins: Tensor


class SequenceNetwork(nn.Module):
    """Interface: a causal map of sequences. Built by its family as `factory(in_features=E)`.

    Attributes:
        num_features: F.
        context: steps that it can read from a beginning on; None: however many.
        bounded: whether its state stays of one size, however many steps it has read.
    """

    num_features: int
    context: int | None = None
    bounded: bool = True

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Maps `[B, T, E]` to `[B, T, F]`, where step t has seen steps up to t and what `state` knows.

        Args:
            x: `[B, T, E]`.
            state: from the call before; None at the beginning of the sequences.

        Returns:
            The features, and the state after the last step.
        """
        raise NotImplementedError


Normal = tuple[Tensor, Tensor]
"""Mean and log variance of a normal distribution with a diagonal covariance, `[B, L]` each."""


class Inferred(NamedTuple):
    """Latents drawn step by step for sequences that are known, each `[B, T, L]` but the last.

    Attributes:
        z: the draws.
        mean: of q(z_t | what came before step t, and step t itself).
        log_var: likewise.
        prior_mean: of p(z_t | what came before step t).
        prior_log_var: likewise.
        features: `[B, T, F]`: what tells of a step, from z_t and what came before.
    """

    z: Tensor
    mean: Tensor
    log_var: Tensor
    prior_mean: Tensor
    prior_log_var: Tensor
    features: Tensor


class LatentNetwork(nn.Module):
    """Interface: sequences with a latent at each step. Built as `factory(in_features=E, latent_dim=L)`.

    Its state is what it knows before a step. `forward` does at once what the methods do step by step.

    Attributes:
        num_features: F.
    """

    num_features: int

    def begin(self, first: Tensor) -> State:
        """The state after what precedes a sequence, `[B, E]`."""
        raise NotImplementedError

    def prior(self, state: State) -> Normal:
        """What p(z) of the next step is."""
        raise NotImplementedError

    def posterior(self, state: State, x: Tensor) -> Normal:
        """What q(z) of the next step is, where that step `[B, E]` is known."""
        raise NotImplementedError

    def features(self, state: State, z: Tensor) -> Tensor:
        """What tells of the next step, `[B, F]`, where its latent is `z` `[B, L]`."""
        raise NotImplementedError

    def after(self, state: State, z: Tensor, x: Tensor) -> State:
        """The state after a step `[B, E]` with its latent `[B, L]`."""
        raise NotImplementedError

    def forward(self, first: Tensor, x: Tensor, noise: Tensor) -> Inferred:
        """Reads sequences `[B, T, E]` behind `first` `[B, E]`, and draws each latent by `noise` `[B, T, L]`."""
        raise NotImplementedError


class Codec(Protocol):
    """What stands between the user's own sequences and a model's: a tokenizer, or the scale of a series."""

    def state(self) -> dict[str, Any]:
        """All of it as plain data, with `kind`, the name by which it is found again."""
        ...


@runtime_checkable
class TextCodec(Codec, Protocol):
    """A tokenizer."""

    vocab_size: int
    """V."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text.

        Raises:
            UserError: a character is not in the vocabulary; it is named.
        """
        ...

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens; `decode(encode(text)) == text`."""
        ...


@runtime_checkable
class SeriesCodec(Codec, Protocol):
    """The scale of a series, fitted on its training part."""

    columns: list[str]
    """The D names of its values."""

    def scale(self, values: Tensor) -> Tensor:
        """What a model sees of values `[..., D]` in the user's units."""
        ...

    def unscale(self, values: Tensor) -> Tensor:
        """The user's units back."""
        ...


@runtime_checkable
class TextGenerator(Protocol):
    """A model that writes on from a prompt; `codec` is its tokenizer once `load_model` gave it back."""

    codec: TextCodec

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        n: int = 1,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> list[str]:
        """`n` continuations of `length` tokens, without the prompt."""
        ...
