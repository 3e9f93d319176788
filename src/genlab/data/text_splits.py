"""Which part of a text is trained on, and which are held back: by position, by file, or by lot."""

import hashlib
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from genlab.data.text_sources import Document
from genlab.errors import UserError

SplitBy = Literal["position", "file", "random"]
Size = int | float


class Part(NamedTuple):
    """The texts of a split.

    Attributes:
        texts: of a stream one, of lines each of them.
        labels: the number of the file that each comes from; of a stream zeros.
    """

    texts: list[str]
    labels: list[int]


class Sizes(NamedTuple):
    """How much is held back: a number of characters or lines, or a part between 0 and 1."""

    val: Size
    test: Size


def split_stream(documents: Sequence[Document], by: SplitBy, sizes: Sizes) -> dict[str, Part]:
    """The three parts of documents that are read as one text.

    Args:
        documents: in their order.
        by: `position`: the text ends with the part for testing, before it stands that for validation; `file`:
            each document belongs to a part by its name.
        sizes: of what is held back; by file parts, and about that many.

    Raises:
        UserError: the sizes leave nothing to train on, or no document falls to a part.
    """
    if by == "file":
        dealt = _deal_files(documents, sizes)
        return {split: Part([_joined(chosen)], [0]) for split, chosen in dealt.items()}
    text = _joined(documents)
    val, test = _bounds(len(text), sizes, "characters")
    return {
        split: Part([part], [0])
        for split, part in (("train", text[:val]), ("val", text[val:test]), ("test", text[test:]))
    }


def split_lines(documents: Sequence[Document], by: SplitBy, sizes: Sizes, seed: int) -> dict[str, Part]:
    """The three parts of documents of which each line is an item by itself; blank lines are none.

    Args:
        documents: in their order.
        by: `random`: by lot; else as `split_stream`.
        sizes: of what is held back, in lines.
        seed: of the lot.

    Raises:
        UserError: there are no lines, the sizes leave none to train on, or no document falls to a part.
    """
    numbered = [(number, line) for number, document in enumerate(documents) for line in _lines(document.text)]
    if by == "file":
        names = {document.name: number for number, document in enumerate(documents)}
        dealt = _deal_files(documents, sizes)
        whose = {split: {names[d.name] for d in chosen} for split, chosen in dealt.items()}
        chosen = {s: [item for item in numbered if item[0] in numbers] for s, numbers in whose.items()}
    else:
        val, test = _bounds(len(numbered), sizes, "lines")
        order = list(range(len(numbered)))
        if by == "random":
            order = np.random.RandomState(seed).permutation(len(numbered)).tolist()
        rows = {"train": sorted(order[:val]), "val": sorted(order[val:test]), "test": sorted(order[test:])}
        chosen = {split: [numbered[row] for row in rows[split]] for split in rows}
    return {
        split: Part([line for _, line in items], [number for number, _ in items])
        for split, items in chosen.items()
    }


def _joined(documents: Sequence[Document]) -> str:
    """One text; a document begins on a line of its own."""
    ended = [d.text if d.text.endswith("\n") or not d.text else d.text + "\n" for d in documents[:-1]]
    return "".join([*ended, *[d.text for d in documents[-1:]]])


def _lines(text: str) -> list[str]:
    """The lines of a text that are not blank, without their ends, line feeds or those after carriage returns."""
    return [line.removesuffix("\r") for line in text.split("\n") if line.strip()]


def _bounds(total: int, sizes: Sizes, what: str) -> tuple[int, int]:
    """Where validation and testing begin among so many characters or lines."""
    val, test = (_count(size, total) for size in sizes)
    if val < 1 or test < 0 or val + test >= total:
        raise UserError(
            f"data.val_size={sizes.val} and data.test_size={sizes.test} of {total:,} {what} hold back {val:,} and"
            f" {test:,}: give at least 1 for validation and leave some to train on"
        )
    return total - test - val, total - test


def _count(size: Size, total: int) -> int:
    # rounded first: .07 of 100 is 7.000000000000001
    return math.ceil(round(size * total, 6)) if isinstance(size, float) else size


def _deal_files(documents: Sequence[Document], sizes: Sizes) -> dict[str, list[Document]]:
    """The documents of each part; where one belongs does not depend on which others there are."""
    for name, size in sizes._asdict().items():
        if size != 0 and not (isinstance(size, float) and 0 < size < 1):
            raise UserError(
                f"data.split_by=file needs data.{name}_size as a part between 0 and 1, got {size}; or give"
                " data.split_by=position"
            )
    dealt: dict[str, list[Document]] = {"train": [], "val": [], "test": []}
    for document in documents:
        place = int.from_bytes(hashlib.sha256(document.name.encode()).digest()[:4], "big") / 2**32
        held = "test" if place < sizes.test else "val" if place < sizes.test + sizes.val else "train"
        dealt[held].append(document)
    empty = [split for split in ("train", "val") if not any(d.text for d in dealt[split])]
    if sizes.test > 0 and not any(d.text for d in dealt["test"]):
        empty.append("test")
    if empty:
        raise UserError(
            f"of {len(documents)} file{'s' * (len(documents) > 1)} none falls to the part {empty[0]}; give"
            " data.split_by=position, or other sizes"
        )
    return dealt
