"""Pieces of words as tokens: byte-pair encoding (Sennrich 2016, arXiv:1508.07909) over bytes (GPT-2).

Letters in shapes: n tokens, V entries of a vocabulary.
"""

import json
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from genlab.codecs.characters import utf8
from genlab.errors import UserError

NUM_BYTES = 256


class BPECodec:
    """Frequent sequences of bytes as tokens, with all single bytes among them: it knows every character."""

    kind: str = "bpe"
    token: str = "token"
    unknown: int | None = None

    def __init__(self, vocabulary: list[str], merges: list[tuple[str, str]]) -> None:
        """Sets the tokenizer up.

        Args:
            vocabulary: V tokens in the order of their numbers; of each byte its printable stand-in (GPT-2's).
            merges: pairs of tokens to join, the first first.

        Raises:
            UserError: the library `tokenizers` is not installed.
        """
        self.vocabulary, self.merges = vocabulary, merges
        self.vocab_size = len(vocabulary)
        numbers = {token: number for number, token in enumerate(vocabulary)}
        self._tokenizer = _byte_level(_library().models.BPE(vocab=numbers, merges=merges))

    @classmethod
    def train(cls, texts: Iterable[str], *, vocab_size: int) -> "BPECodec":
        """Learns which pairs to join, the most frequent first.

        Args:
            texts: to learn from; no token reaches from one into the next.
            vocab_size: V at most; fewer where no pair is left that occurs twice.

        Raises:
            UserError: the library `tokenizers` is not installed.
        """
        library = _library()
        tokenizer = _byte_level(library.models.BPE())
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        model = json.loads(tokenizer.to_str())["model"]
        vocabulary = sorted(model["vocab"], key=model["vocab"].__getitem__)
        # older versions of the library write a pair as one text
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
        return cls(vocabulary, [(left, right) for left, right in pairs])

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "BPECodec":
        return cls(list(state["vocabulary"]), [(left, right) for left, right in state["merges"]])

    def state(self) -> dict[str, Any]:
        merges = [[left, right] for left, right in self.merges]
        return {"kind": self.kind, "vocabulary": list(self.vocabulary), "merges": merges}

    def encode_all(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The tokens `[n]` of each text."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [np.array(one.ids, dtype=np.int32) for one in encoded]

    def encode(self, text: str) -> list[int]:
        """The tokens of a text.

        Raises:
            UserError: half of a surrogate pair, which is no character.
        """
        return list(self._tokenizer.encode(utf8(text).decode(), add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; the replacement character for bytes that are no UTF-8."""
        return str(self._tokenizer.decode([int(token) for token in tokens], skip_special_tokens=False))


def _library() -> ModuleType:
    try:
        import tokenizers  # a library that other tokenizers do without
    except ImportError as error:
        raise UserError(
            "data/tokenizer=bpe needs the library tokenizers, which is not installed: pip install tokenizers"
        ) from error
    return tokenizers


def _byte_level(model: Any) -> Any:
    """A tokenizer around a model: GPT-2's cut into words, nothing added, nothing normalised."""
    library = _library()
    tokenizer = library.Tokenizer(model)
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    return tokenizer
