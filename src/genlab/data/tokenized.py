"""Documents turned into tokens, with all that is known of them.

Letters in shapes: N tokens of a split, V entries of the vocabulary, T steps of a window.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from genlab.data.items import Items, pad
from genlab.data.text_facts import TextFacts, check_facts, check_windows, digest
from genlab.data.text_sources import Document
from genlab.data.text_splits import Part, Sizes, SplitBy, split_lines, split_stream
from genlab.data.tokenizing import Tokenizer, Tokens, encoded
from genlab.errors import UserError

_NAMED = 5
"""Classes that a note names, at most."""


class Reading(NamedTuple):
    """How documents are to be read; see the datamodule."""

    unit: Literal["stream", "line"]
    labels: Literal["file"] | None
    length: int | None
    split_by: SplitBy
    sizes: Sizes
    split_seed: int


class Tokenized(NamedTuple):
    """A text as tokens.

    Attributes:
        codec: the tokenizer.
        facts: of the text.
        notes: what the user has to know of it.
        streams: by split `[N]` tokens of the smallest type that holds them; of lines none. A split that is
            empty is left out.
        items: by split the lines; of a stream none.
    """

    codec: Tokens
    facts: TextFacts
    notes: list[str]
    streams: dict[str, Tensor]
    items: dict[str, Items]


def tokenize(
    documents: Sequence[Document], tokenizer: Tokenizer, reading: Reading, declared: TextFacts
) -> Tokenized:
    """Splits documents, makes the codec of the training part, and encodes all parts.

    Raises:
        UserError: the text is too short, or not the declared one.
    """
    if reading.unit == "stream":
        parts = split_stream(documents, reading.split_by, reading.sizes)
    else:
        parts = split_lines(documents, reading.split_by, reading.sizes, reading.split_seed)
    names = [PurePosixPath(document.name).stem for document in documents]
    untrained = _untrained(parts, names, reading.split_by) if reading.labels else []
    sha256 = digest(text for part in parts.values() for text in part.texts)
    check_facts(declared, {"sha256": sha256})  # the first to tell: what else differs follows from it
    held_back = [*parts["val"].texts, *parts["test"].texts]
    codec, notes = tokenizer.fit(parts["train"].texts, held_back, end=reading.unit == "line")
    known: dict[str, Any] = {"sha256": sha256, "vocab_size": codec.vocab_size, "token": codec.token}
    if reading.unit == "stream":
        streams = _streams(parts, codec)
        check_windows({split: len(tokens) for split, tokens in streams.items()}, reading.length or 1)
        rate = len(parts["val"].texts[0]) / len(streams["val"])
        facts = TextFacts(**known, sequence_length=reading.length, characters_per_token=rate)
        done = Tokenized(codec, facts, notes, streams, {})
    else:
        if reading.labels:
            known |= {"num_classes": len(names), "class_names": names}
        done = _lines(parts, codec, reading, TextFacts(**known))._replace(notes=[*notes, *untrained])
    check_facts(declared, done.facts._asdict())
    return done


def _untrained(parts: dict[str, Part], names: Sequence[str], by: SplitBy) -> list[str]:
    """Notes the classes that no line to train on has.

    Raises:
        UserError: a part that is held back has no others.
    """
    trained = set(parts["train"].labels)
    for split in ("val", "test"):
        if parts[split].labels and not trained & set(parts[split].labels):
            raise UserError(
                f"data.labels=file makes a class of each file, and with data.split_by={by} no class of "
                f"the part {split} is trained on: give data.split_by=random, or data.labels=null"
            )
    missing = [name for number, name in enumerate(names) if number not in trained]
    if not missing:
        return []
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return [f"no line to train on is of the class {', '.join(missing[:_NAMED])}{more}"]


def _streams(parts: dict[str, Part], codec: Tokens) -> dict[str, Tensor]:
    kind = smallest(codec.vocab_size)
    texts = {split: part.texts[0] for split, part in parts.items() if part.texts[0]}
    return {split: torch.tensor(encoded(codec, text), dtype=kind) for split, text in texts.items()}


def _lines(parts: dict[str, Part], codec: Tokens, reading: Reading, facts: TextFacts) -> Tokenized:
    kind, end = smallest(codec.vocab_size), codec.encode("\n")[0]
    items = {
        split: pad(
            codec.encode_all(part.texts),
            part.labels if reading.labels else [0] * len(part.texts),
            end=end,
            dtype=kind,
        )
        for split, part in parts.items()
        if part.texts
    }
    longest = max(int(split.length.max()) for split in items.values())
    if reading.length is not None and longest > reading.length:
        raise UserError(
            f"the longest line has {longest:,} {codec.token}s with its end, data.sequence_length is"
            f" {reading.length:,}; give data.sequence_length={longest}, or null to take that of the longest"
        )
    characters = sum(len(text) + 1 for text in parts["val"].texts)
    facts = facts._replace(
        sequence_length=reading.length or longest,
        end_token=end,
        characters_per_token=characters / int(items["val"].length.sum()),
    )
    return Tokenized(codec, facts, [], {}, items)


def smallest(vocab_size: int) -> torch.dtype:
    """The smallest type of integers that holds every token."""
    return torch.uint8 if vocab_size <= 2**8 else torch.int16 if vocab_size <= 2**15 else torch.int32
