"""Characters and bytes as tokens.

Letters in shapes: n tokens, V entries of a vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genlab.errors import UserError

REPLACEMENT = "\ufffd"
"""What stands for a token without a character of its own."""


class CharCodec:
    """Each character a token: a code point of Unicode, numbered in their order.

    Attributes:
        unknown: the token that stands for all other characters; None where there is none.
    """

    kind: str = "char"
    token: str = "character"

    def __init__(self, characters: str, *, unknown: bool = False) -> None:
        """Numbers the characters.

        Args:
            characters: of the vocabulary, each once.
            unknown: whether one more token stands for all others.

        Raises:
            ValueError: there are none, or one stands there twice.
        """
        if len(set(characters)) < max(1, len(characters)):
            raise ValueError("a vocabulary lists each of its characters once, and at least one")
        self.characters = characters
        self.unknown: int | None = len(characters) if unknown else None
        self.vocab_size = len(characters) + unknown
        codes = _code_points(characters)
        self._numbers = np.full(int(codes.max()) + 2, -1, dtype=np.int32)  # its last entry is nobody's
        self._numbers[codes] = np.arange(len(codes))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "CharCodec":
        return cls(state["characters"], unknown=state["unknown"])

    def state(self) -> dict[str, Any]:
        return {"kind": self.kind, "characters": self.characters, "unknown": self.unknown is not None}

    def missing(self, text: str) -> str:
        """The characters of a text that are not in the vocabulary, each once, in their order."""
        codes = _code_points(text)
        return "".join(map(chr, np.unique(codes[self._look_up(codes) < 0]).tolist()))

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The tokens `[n]` of each text; a character that is not in the vocabulary is `unknown`.

        Raises:
            UserError: there is such a character, and no token for it.
        """
        tokens = self._look_up(_code_points("".join(texts)))
        if self.unknown is None and (tokens < 0).any():
            raise self._refusal("".join(texts))
        tokens[tokens < 0] = self.unknown or 0
        return np.split(tokens, np.cumsum([len(text) for text in texts])[:-1])

    def encode(self, text: str) -> list[int]:
        """The tokens of a text.

        Raises:
            UserError: a character is not in the vocabulary, whether there is a token for such or not.
        """
        tokens = self._look_up(_code_points(text))
        if (tokens < 0).any():
            raise self._refusal(text)
        return [int(token) for token in tokens]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; the replacement character for an unknown one."""
        known = len(self.characters)
        return "".join(self.characters[token] if token < known else REPLACEMENT for token in tokens)

    def _look_up(self, codes: np.ndarray) -> np.ndarray:
        """The numbers `[n]` of code points, -1 for those that have none."""
        return self._numbers[np.minimum(codes, len(self._numbers) - 1)]

    def _refusal(self, text: str) -> UserError:
        missing = self.missing(text)
        where = text.index(missing[0]) + 1
        others = "is one other" if len(missing) == 2 else f"are {len(missing) - 1} others"
        more = f", nor {others} of its characters" if len(missing) > 1 else ""
        return UserError(
            f"{named(missing[0])}, character {where} of the text, is not among the {len(self.characters)} characters"
            f" that the model knows{more}; leave it out, or train with data/tokenizer=byte, which knows all"
        )


def named(character: str) -> str:
    """A character as one reads and finds it, `'é' (U+00E9)`; by its number alone where it cannot be seen."""
    number = f"U+{ord(character):04X}"
    return f"{character!r} ({number})" if character.isprintable() else number


def _code_points(text: str) -> np.ndarray:
    """`[n]` numbers, one for each character; lone surrogates, as a broken shell gives them, too."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


class ByteCodec:
    """Each byte of UTF-8 a token: it knows every character, and needs one to four tokens for it."""

    kind: str = "byte"
    token: str = "byte"
    unknown: int | None = None
    vocab_size: int = 256

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "ByteCodec":
        return cls()

    def state(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The tokens `[n]` of each text.

        Raises:
            UserError: half of a surrogate pair, which is no character.
        """
        return [np.frombuffer(utf8(text), dtype=np.uint8) for text in texts]

    def encode(self, text: str) -> list[int]:
        """The tokens of a text.

        Raises:
            UserError: half of a surrogate pair, which is no character.
        """
        return list(utf8(text))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; the replacement character for bytes that are no UTF-8."""
        return bytes(int(token) for token in tokens).decode("utf-8", errors="replace")


def utf8(text: str) -> bytes:
    """The bytes of a text.

    Raises:
        UserError: half of a surrogate pair, which is no character.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"U+{ord(text[error.start]):04X}, character {error.start + 1} of the text, is half of a pair and no"
            " character; leave it out"
        ) from error
