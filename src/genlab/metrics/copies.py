"""The longest run of characters that texts share with the text that was trained on: exact, in linear time and little memory.

Letters in shapes: N characters of the training text, M of the others, P places, L length of a run.
"""

from collections.abc import Sequence

import numpy as np

_BLOCK = 2**20
"""Places looked at at once."""

_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that it has an inverse among numbers of 64 bits."""

_INVERSE = np.uint64(pow(int(_BASE), -1, 2**64))
_BITS = 20
"""Of a hash, by which most places are dismissed at once."""

Places = np.ndarray


def longest_copy(texts: Sequence[str], train: str) -> int:
    """Characters of the longest run that stands in one of the texts and in `train`.

    Runs of one length are compared by their hashes (Karp & Rabin 1987), and those that agree letter by letter. A
    longer run begins where a shorter one does: only the first look is at all places of `train`.
    """
    search = _Search(texts, train)
    places: Places = np.arange(len(train))
    least, length = 0, 8
    while len(found := search.among(places, length)):
        places, least, length = found, length, 2 * length
    while length - least > 1:
        middle = (least + length) // 2
        found = search.among(places, middle)
        if len(found):
            places, least = found, middle
        else:
            length = middle
    return least


class _Search:
    """Where runs of some length of a text stand in others."""

    def __init__(self, texts: Sequence[str], train: str) -> None:
        self.texts, self.train = texts, train
        self._source = _codes(train)  # [N]
        self._own = [_codes(text) for text in texts]

    def among(self, places: Places, length: int) -> Places:
        """Those of ascending places `[P]` in the training text whose run of this length some text has; or none at all."""
        hashes = [_hashes(own, length) for own in self._own if len(own) >= length]
        places = places[places + length <= len(self._source)]
        if not hashes or not len(places):
            return places[:0]
        own = np.unique(np.concatenate(hashes))
        likely = np.zeros(2**_BITS, dtype=bool)
        likely[own >> np.uint64(64 - _BITS)] = True
        kept = []
        for first in range(0, len(self._source), _BLOCK):
            inside = places[np.searchsorted(places, first) : np.searchsorted(places, first + _BLOCK)]
            if not len(inside):
                continue
            there = _hashes(self._source[first : first + _BLOCK + length - 1], length)[inside - first]
            maybe = likely[there >> np.uint64(64 - _BITS)]
            inside, there = inside[maybe], there[maybe]
            at = np.minimum(np.searchsorted(own, there), len(own) - 1)
            kept.append(inside[own[at] == there])
        found = np.concatenate(kept) if kept else places[:0]
        return found if self._is_true(found, length) else places[:0]

    def _is_true(self, places: Places, length: int) -> bool:
        """Whether one of them is more than an accident of hashes."""
        runs = (self.train[place : place + length] for place in places.tolist())
        return any(run in text for run in runs for text in self.texts)


def _codes(text: str) -> np.ndarray:
    """`[N]` code points."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _hashes(codes: np.ndarray, length: int) -> np.ndarray:
    """Of the run of this length at each place, `[N - L + 1]`: sum_j code_j base^j modulo 2^64, from its beginning on."""
    powers = np.cumprod(np.full(len(codes), _BASE))
    back = np.cumprod(np.full(len(codes) - length + 1, _INVERSE))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes * powers)])
    return (sums[length:] - sums[:-length]) * back
