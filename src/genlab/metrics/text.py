"""What texts tell by themselves and beside the text that was trained on: variety, repetition, copies.

Letters: n words that follow each other, an n-gram.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from genlab.errors import UserError
from genlab.metrics.copies import longest_copy

_HAN = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_HAN}]|[^\W{_HAN}]+|[^\w\s]")
"""Letters and digits beside each other; a Chinese or Japanese character by itself, and every other sign."""

_GRAM = 4
"""Words of the n-grams whose repetition is told."""


class TextStatistics:
    """Distinct n-grams (Li 2016, arXiv:1510.03055), repeated ones (Welleck 2020, arXiv:1908.04319), copied runs.

    It is handed texts; it knows neither models nor datasets.
    """

    def __init__(
        self,
        *,
        n: int | None = None,
        length: int = 1000,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        """Sets the protocol.

        Args:
            n: texts of the model, at least 1; None: 20, of lines 1000.
            length: tokens of each, at least 1; lines end by themselves.
            temperature: of their writing, like the next two; 1 is the model's own distribution.
            top_k: only so many of the likeliest tokens.
            top_p: only the likeliest that together have this probability.

        Raises:
            UserError: a number out of its range.
        """
        for name, value in (("n", n), ("length", length)):
            if value is not None and value < 1:
                raise UserError(f"metrics.text.{name} must be at least 1, got {value}")
        self.n, self.length = n, length
        self.choice: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p}

    def count(self, *, lines: bool) -> int:
        """How many texts are wanted."""
        return self.n or (1000 if lines else 20)

    def compute(self, texts: Sequence[str], train: Sequence[str], *, lines: bool) -> dict[str, float]:
        """Its numbers by name; those for which the texts are too short are left out.

        Args:
            texts: without prompts.
            train: the training text, or all its lines.
            lines: whether each text is a line.

        Returns:
            `distinct_1` to `distinct_3`: different n-grams of words, of all n-grams of all texts;
            `repeated_4`: 4-grams that a text already had, of all of it, mean over texts;
            `longest_copy`: characters of the longest run that one has from the training text;
            of lines `copied_lines`: those that are lines of the training text.
        """
        words = [_WORD.findall(text) for text in texts]
        numbers = {}
        for n in (1, 2, 3):
            grams = [gram for own in words for gram in _grams(own, n)]
            if grams:
                numbers[f"distinct_{n}"] = len(set(grams)) / len(grams)
        repeated = [
            1 - len(set(_grams(own, _GRAM))) / (len(own) - _GRAM + 1) for own in words if len(own) >= _GRAM
        ]
        if repeated:
            numbers[f"repeated_{_GRAM}"] = sum(repeated) / len(repeated)
        numbers["longest_copy"] = float(longest_copy(texts, "\n".join(train)))
        if lines:
            known = set(train)
            numbers["copied_lines"] = sum(text in known for text in texts) / len(texts)
        return numbers

    def stamp(self, *, lines: bool) -> dict[str, Any]:
        """The protocol, plain data: results with unlike stamps are not to be compared."""
        unit = {"unit": "lines"} if lines else {"unit": "texts", "tokens_of_each": self.length}
        return {
            "texts": self.count(lines=lines),
            **unit,
            **self.choice,
            "words": "letters and digits, or one sign",
        }


def _grams(words: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[k:] for k in range(n)), strict=False)
