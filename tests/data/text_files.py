"""What the tests of text need: datamodules over texts that are given, and lines of many lengths."""

from collections.abc import Sequence
from typing import Any

from genlab.data.text import TextData
from genlab.data.text_sources import Document, TextSource
from genlab.data.tokenizing import Characters

PROSE = "".join(f"line {k} of a text that goes on and on, to {k * k}.\n" for k in range(60))
NAMES = [
    f"{a}{b}{'a' * (k % 5)}"
    for k, a in enumerate(("an", "be", "clau", "di", "e"))
    for b in ("na", "tta", "la", "o")
]


class Given(TextSource):
    """Documents that are there already."""

    def __init__(self, *texts: str) -> None:
        self.documents = [Document(f"file{k}.txt", text) for k, text in enumerate(texts)]

    def read(self, place: str) -> list[Document]:
        return self.documents


def ready(*texts: str, stage: str | None = None, **changes: Any) -> TextData:
    """A datamodule over texts, set up; PROSE where none is given."""
    settings: dict[str, Any] = {"batch_size": 4, "sequence_length": 8, "tokenizer": Characters()}
    if changes.get("unit") == "line":
        settings["sequence_length"] = None
    data = TextData(source=Given(*(texts or (PROSE,))), **settings | changes)
    data.prepare_data()
    data.setup(stage)
    return data


def lines(names: Sequence[str] = NAMES, **changes: Any) -> TextData:
    """A datamodule over lines."""
    return ready("\n".join(names), unit="line", **{"val_size": 3, "test_size": 2} | changes)


def texts_of(data: TextData, loader: Any) -> list[str]:
    """The text of the targets that count in each row, row by row."""
    assert data.codec is not None
    found = []
    for batch in loader:
        weight = (batch.target * 0 + 1) if batch.weight is None else batch.weight
        for target, counts in zip(batch.target, weight, strict=True):
            found.append(data.codec.decode(target[counts > 0].tolist()))
    return found
