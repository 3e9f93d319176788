"""What a model must know of a text: declared in the config, held against the text; and what settings have to be."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from genlab.errors import UserError


class TextFacts(NamedTuple):
    """Facts of a text; None where only the text can tell, or where there is no such thing.

    Attributes:
        sha256: of its parts, one behind the other, in UTF-8.
        vocab_size: V.
        token: what a token is: `character`, `byte`, or `token`.
        sequence_length: T.
        num_classes: number of labels.
        class_names: a name for each.
        end_token: behind each line, and before it.
        characters_per_token: of the validation part.
    """

    sha256: str | None
    vocab_size: int | None
    token: str | None
    sequence_length: int | None = None
    num_classes: int | None = None
    class_names: list[str] | None = None
    end_token: int | None = None
    characters_per_token: float | None = None


def digest(texts: Iterable[str]) -> str:
    """The SHA-256 of texts, one behind the other, in UTF-8."""
    hashed = hashlib.sha256()
    for text in texts:
        hashed.update(text.encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()


def check_facts(declared: TextFacts, found: Mapping[str, Any]) -> None:
    """Holds what is declared against what is found.

    Raises:
        UserError: a fact is another than declared.
    """
    for name, value in declared._asdict().items():
        if value is None or name not in found or value == found[name]:
            continue
        if name == "sha256":
            raise UserError(
                f"the text is not the one that data.sha256 names ({value[:12]}...), but {found[name][:12]}...: its file"
                " was changed, or it is the library of another Python; take the same text, or give data.sha256=null"
            )
        raise UserError(
            f"data.{name} says {value} but the text has {found[name]}; give data.{name}={found[name]}, or null to"
            " take that"
        )


def check_settings(given: Mapping[str, Any]) -> None:
    """Refuses settings out of their range, and those that do not go together.

    Args:
        given: the arguments of the datamodule.

    Raises:
        UserError: the first of them.
    """
    if given["unit"] not in ("stream", "line"):
        raise UserError(f"data.unit must be stream or line, got {given['unit']}")
    if given["windows"] not in ("contiguous", "random", "apart"):
        raise UserError(f"data.windows must be contiguous, random or apart, got {given['windows']}")
    if given["split_by"] not in (None, "position", "file", "random"):
        raise UserError(f"data.split_by must be position, file, random or null, got {given['split_by']}")
    if given["labels"] not in (None, "file"):
        raise UserError(f"data.labels must be file or null, got {given['labels']}")
    least = {"batch_size": 1, "sequence_length": 1, "stride": 1, "warmup": 0}
    for name, bound in least.items():
        if given[name] is not None and given[name] < bound:
            raise UserError(f"data.{name} must be at least {bound}, got {given[name]}")
    if given["unit"] == "stream" and given["split_by"] == "random":
        raise UserError(
            "data.split_by=random is for data.unit=line; a stream is split by position or by file"
        )
    if given["unit"] == "stream" and given["labels"] is not None:
        raise UserError("data.labels=file is for data.unit=line, give that too; a stream has no labels")


def check_windows(num_tokens: Mapping[str, int], length: int) -> None:
    """Refuses parts of a stream that do not hold one window and what it starts from.

    Raises:
        UserError: the first of them.
    """
    for split, count in num_tokens.items():
        if count < length + 1:
            larger = "" if split == "train" else f", a larger data.{split}_size"
            raise UserError(
                f"the part {split} of the text has {count:,} tokens, and a window of data.sequence_length={length} needs"
                f" {length + 1:,}: give a longer text{larger} or a smaller data.sequence_length"
            )
