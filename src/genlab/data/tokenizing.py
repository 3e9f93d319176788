"""How a text becomes tokens: each option makes its codec of the training part alone."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from genlab.codecs.byte_pairs import NUM_BYTES, BPECodec
from genlab.codecs.characters import ByteCodec, CharCodec, named
from genlab.errors import UserError
from genlab.sequence_contracts import TextCodec

PIECE = 2**20
"""Characters that are encoded at once."""
SHOWN = 5
"""Characters that a note names."""


class Tokens(TextCodec, Protocol):
    """A codec that a datamodule can use: of whole texts, and one that says what its tokens are.

    Attributes:
        token: what a token is: `character`, `byte`, or `token` where it is neither.
        unknown: the token of characters that have none; None where there are no such.
    """

    token: str
    unknown: int | None

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]: ...


class Tokenizer:
    """Interface: makes a codec."""

    def fit(self, train: Sequence[str], held_back: Sequence[str], *, end: bool) -> tuple[Tokens, list[str]]:
        """The codec of a text.

        Args:
            train: the texts of the training part, from which alone it is made.
            held_back: those of the others: looked through for what the codec does not know.
            end: whether a line feed, the end of an item, has to be among the tokens.

        Returns:
            The codec, and what the user has to know of it.
        """
        raise NotImplementedError


class Characters(Tokenizer):
    """Each character of the training part a token."""

    def fit(
        self, train: Sequence[str], held_back: Sequence[str], *, end: bool
    ) -> tuple[CharCodec, list[str]]:
        codec = CharCodec("".join(sorted(set().union(*train, "\n" if end else ""))))
        missing = codec.missing("".join(sorted(set().union(*held_back))))
        if not missing:
            return codec, []
        count = sum(text.count(character) for character in missing for text in held_back)
        names = ", ".join(named(character) for character in missing[:SHOWN])
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        note = (
            f"{len(missing)} character{'s' * (len(missing) > 1)} of the text that is held back"
            f" {'are' if len(missing) > 1 else 'is'} not in the training text, {names}{more}: {count:,} in all, each"
            " judged as one token for the unknown, which no training text holds"
        )
        return CharCodec(codec.characters, unknown=True), [note]


class Bytes(Tokenizer):
    """Each byte of UTF-8 a token."""

    def fit(
        self, train: Sequence[str], held_back: Sequence[str], *, end: bool
    ) -> tuple[ByteCodec, list[str]]:
        return ByteCodec(), []


class BytePairs(Tokenizer):
    """Frequent sequences of bytes as tokens, learned from the training part."""

    def __init__(self, vocab_size: int = 1024) -> None:
        """Learns nothing yet.

        Args:
            vocab_size: tokens, at least 257: the 256 bytes are among them.

        Raises:
            UserError: there are too few.
        """
        if vocab_size <= NUM_BYTES:
            raise UserError(
                f"data.tokenizer.vocab_size must be at least {NUM_BYTES + 1}, since each of the {NUM_BYTES} bytes has a"
                f" token, got {vocab_size}"
            )
        self.vocab_size = vocab_size

    def fit(self, train: Sequence[str], held_back: Sequence[str], *, end: bool) -> tuple[BPECodec, list[str]]:
        codec = BPECodec.train(pieces(train), vocab_size=self.vocab_size)
        fewer = f"no more than {codec.vocab_size} tokens occur twice in the training text"
        return codec, [fewer] if codec.vocab_size < self.vocab_size else []


def pieces(texts: Sequence[str]) -> Iterator[str]:
    """The texts, long ones cut at line ends."""
    for text in texts:
        start = 0
        while len(text) - start > PIECE:
            cut = text.rfind("\n", start, start + PIECE) + 1 or start + PIECE
            yield text[start:cut]
            start = cut
        yield text[start:]


def encoded(codec: Tokens, text: str) -> np.ndarray:
    """The tokens `[n]` of a long text."""
    return np.concatenate(codec.encode_all(list(pieces([text]))))
