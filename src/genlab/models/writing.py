"""Drawing sequences step by step, and writing text with them.

Letters in shapes: n samples, T steps, D values of a step.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from genlab.errors import UserError
from genlab.models.choosing import Choice
from genlab.models.input_checks import at_least_one
from genlab.models.reading import Reader
from genlab.models.row_noise import RowNoise
from genlab.models.step_ends import StepHead
from genlab.models.text_pieces import Pieces
from genlab.objectives.outputs import Output
from genlab.sequence_contracts import Codec, TextCodec

Drawing = Callable[..., Iterator[Tensor]]
"""Called as `drawing(before, label, seed=..., choice=...)`: steps without end, as `draws` gives them."""


class Writer(Protocol):
    """What the functions below want of a family that writes."""

    codec: Codec | None
    end_token: int | None

    def classes_of(self, n: int, label: Tensor | int | None = None) -> Tensor | None: ...

    def beginning(self, n: int) -> Tensor: ...


class StepModel(Protocol):
    """What `draws` wants of a family."""

    network: Any
    head: StepHead
    output: Output
    end_token: int | None

    def input(self, x: Tensor, label: Tensor | None) -> Tensor: ...


def draws(
    model: StepModel,
    before: Tensor,
    label: Tensor | None,
    *,
    seed: int | None,
    choice: Choice = Choice(),  # noqa: B008
) -> Iterator[Tensor]:
    """Steps `[n]` or `[n, D]` without end, each from all before it; behind an end token only such.

    Args:
        model: whose network reads and whose output draws.
        before: what is read first, `[n, T]` or `[n, T, D]`, T at least 1.
        label: `[n]` of a conditional model.
        seed: of the noise; None takes one from the global random state.
        choice: of tokens.
    """
    reader, noise = Reader(model.network), RowNoise(seed, len(before), model.output.noise_per_step)
    x, end = before, Ends(model.end_token)
    while True:
        with torch.no_grad():  # not around the yield: the caller's own mode is none of ours
            features = reader.read(model.input(x, label))[:, -1]
            params = model.head(features)
            params = params if x.is_floating_point() else choice.of(params)
            drawn = end.keep(model.output.draw(params, noise.next().to(params.device)))
        yield drawn
        x = drawn[:, None]


class Ends:
    """Keeps rows at an end token, of data that are items; else it does nothing."""

    def __init__(self, end_token: int | None) -> None:
        self._token = end_token
        self._ended: Tensor | None = None

    def keep(self, drawn: Tensor) -> Tensor:
        """Tokens `[n]` of the next step, the end token where a row has had one."""
        if self._token is None:
            return drawn
        if self._ended is not None:
            drawn = drawn.masked_fill(self._ended, self._token)
        self._ended = drawn == self._token
        return drawn


def write(
    model: Writer,
    drawing: Drawing,
    prompt: str,
    *,
    length: int,
    n: int,
    choice: Choice,
    seed: int | None,
    label: int | None,
) -> list[str]:
    """`n` continuations of a prompt, of `length` tokens each."""
    codec = text_codec(model)
    at_least_one(n=n, length=length)
    before = _prompt(model, codec, prompt, n)
    drawn = drawing(before, model.classes_of(n, label), seed=seed, choice=choice)
    tokens = torch.stack(list(_to_the_end(drawn, length, model.end_token)), dim=1).tolist()
    return [
        codec.decode(list(itertools.takewhile(lambda token: token != model.end_token, row))) for row in tokens
    ]


def pieces(
    model: Writer,
    drawing: Drawing,
    prompt: str,
    *,
    length: int,
    choice: Choice,
    seed: int | None,
    label: int | None,
) -> Iterator[str]:
    """One continuation, piece by piece; what is wrong is told at once."""
    codec = text_codec(model)
    at_least_one(length=length)
    before = _prompt(model, codec, prompt, 1)
    drawn = drawing(before, model.classes_of(1, label), seed=seed, choice=choice)
    return _pieces(
        codec, (step for step in _to_the_end(drawn, length, model.end_token) if int(step) != model.end_token)
    )


def _to_the_end(drawn: Iterator[Tensor], length: int, end: int | None) -> Iterator[Tensor]:
    """At most `length` steps, none behind the one at which all rows have ended."""
    for step in itertools.islice(drawn, length):
        yield step
        if end is not None and bool((step == end).all()):
            return


def _pieces(codec: TextCodec, drawn: Iterator[Tensor]) -> Iterator[str]:
    text = Pieces(codec)
    for token in drawn:
        if piece := text.add(int(token)):
            yield piece
    if piece := text.rest():
        yield piece


def text_codec(model: Writer) -> TextCodec:
    """The tokenizer of a model of text.

    Raises:
        UserError: it has none.
    """
    if not isinstance(model.codec, TextCodec):
        raise UserError(
            "this model has no tokenizer to write text with: use sample(n), or load a model of text by load_model"
        )
    return model.codec


def first_token(codec: Codec | None) -> int:
    """What stands before an empty beginning: the end of a line, else a space, else the vocabulary's first token."""
    if not isinstance(codec, TextCodec):
        return 0
    for text in ("\n", " "):
        try:
            tokens = codec.encode(text)
        except UserError:
            continue
        if tokens:
            return tokens[-1]
    return 0


class Preceded(Protocol):
    """What `preceding` wants of a family."""

    num_features: int | None
    end_token: int | None
    codec: Codec | None

    @property
    def device(self) -> torch.device: ...


def preceding(model: Preceded, n: int) -> Tensor:
    """What precedes the first step, `[n, 1]` or `[n, 1, D]`: the end of an item or line, zeros before a series."""
    if model.num_features is not None:
        return torch.zeros(n, 1, model.num_features, device=model.device)
    first = first_token(model.codec) if model.end_token is None else model.end_token
    return torch.full((n, 1), first, device=model.device)


def rolled_out(steps: Iterator[Tensor], length: int) -> Tensor:
    """The first `length` steps as sequences `[n, T]` or `[n, T, D]`.

    Raises:
        UserError: there are fewer, or none is asked for.
    """
    at_least_one(length=length)
    first = list(itertools.islice(steps, length))
    if len(first) < length:
        raise UserError(
            f"length={length}: these latents are of {len(first)} steps, and each step needs its own: "
            "give latents of more steps, or leave length out"
        )
    return torch.stack(first, dim=1)


def sampled(
    model: Writer, drawing: Drawing, n: int, length: int, *, seed: int | None, label: Tensor | int | None
) -> Tensor:
    """`n` sequences of `length` steps, from their beginning on."""
    at_least_one(n=n)
    return rolled_out(drawing(model.beginning(n), model.classes_of(n, label), seed=seed), length)


def _prompt(model: Writer, codec: TextCodec, prompt: str, n: int) -> Tensor:
    """What is read before the first token, `[n, T]`; of an item the end of the one before, too.

    Raises:
        UserError: the prompt of an item goes beyond its end.
    """
    if model.end_token is not None and "\n" in prompt:
        raise UserError(
            "the prompt has a line break, and this model was trained on lines, which a line break ends: "
            "give the beginning of one line, without a line break behind it"
        )
    begun, tokens = model.beginning(n), codec.encode(prompt)
    if not tokens:
        return begun
    read = torch.tensor(tokens, device=begun.device).expand(n, -1)
    return read if model.end_token is None else torch.cat([begun, read], dim=1)
