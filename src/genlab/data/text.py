"""The datamodule of every text.

Letters in shapes: B batch, T steps of a window, V entries of the vocabulary, W processes.
"""

import math
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from genlab.data.items import ItemLoader, LengthOrder, judged
from genlab.data.judged_windows import CarriedWindows, StridedWindows
from genlab.data.sequence_loader import SequenceLoader
from genlab.data.text_facts import TextFacts, check_settings
from genlab.data.text_sources import TextSource
from genlab.data.text_splits import Sizes, SplitBy
from genlab.data.tokenized import Reading, Tokenized, tokenize
from genlab.data.tokenizing import Tokenizer, Tokens
from genlab.data.windows import ContiguousWindows, RandomWindows
from genlab.errors import UserError
from genlab.sequence_contracts import SequenceBatch

STREAM_LENGTH = 64
"""T of a stream where nobody says."""


class TextData(pl.LightningDataModule):
    """Text as tokens: one long stream that is cut into windows, or lines that are items by themselves.

    The tokens of a split are one tensor of the smallest type that holds them; a batch is a slice or one gather
    of it, and becomes int64 on the device.

    Attributes:
        codec: the tokenizer; None before `setup`.
        notes: what the user has to know of how the text was read.
    """

    def __init__(
        self,
        *,
        source: TextSource,
        tokenizer: Tokenizer,
        root: str = "data",
        path: str | None = None,
        download: bool = True,
        unit: Literal["stream", "line"] = "stream",
        labels: Literal["file"] | None = None,
        windows: Literal["contiguous", "random", "apart"] = "random",
        sequence_length: int | None = None,
        stride: int | None = None,
        warmup: int | None = None,
        batch_size: int = 64,
        split_by: SplitBy | None = None,
        val_size: int | float = 0.05,
        test_size: int | float = 0.05,
        split_seed: int = 0,
        seed: int = 0,
        vocab_size: int | None = None,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        token: str | None = None,
        end_token: int | None = None,
        characters_per_token: float | None = None,
        sha256: str | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
            source: gives the documents.
            tokenizer: makes the codec of the training part.
            root: folder in which downloaded files are kept.
            path: the user's own files, given to `source` in place of root.
            download: fetch what is not there.
            unit: `stream`: all documents are one text; `line`: each line is an item, with the line feed its end.
            labels: of lines: `file`: the class of a line is the file that it comes from.
            windows: of a stream, in training: `contiguous`: go on from batch to batch; `random`: begin anywhere, as
                with `apart`. Validation and testing follow: with a carried state, overlapping, or side by side, so
                that each window is judged as a whole.
            sequence_length: T; of lines the most tokens that one may have, its end among them. None: 64 of a
                stream, of lines as many as the longest has.
            stride: of windows without a carried state in judging: tokens from one to the next; None: T / 2, of
                windows `apart` T.
            warmup: of rows that carry a state in judging: tokens read before those that are judged; None: T.
            batch_size: B, on each process.
            split_by: `position`: the text ends with what is held back; `file`: by name, each file belongs to one
                part; `random`: of lines, by lot. None: `position` of a stream, `random` of lines.
            val_size: held back for validation: characters (of lines: lines), or a part between 0 and 1.
            test_size: held back for testing, likewise; 0: nothing is, and the validation part is tested on.
            split_seed: of the lot; not the run's seed, so that all runs are judged on the same lines.
            seed: of the order of training windows.
            vocab_size: V, held against the text; None takes what is found, as do the next.
            num_classes: number of labels.
            class_names: a name for each.
            token: what a token is: `character`, `byte`, or `token`.
            end_token: of lines: the token behind each, which also stands before each.
            characters_per_token: of the validation part: what makes nats per token nats per character.
            sha256: of the text, its parts one behind the other: of a single file that is cut by position, its own.

        Raises:
            UserError: a setting out of its range, or two that do not go together.
        """
        super().__init__()
        length = sequence_length or (STREAM_LENGTH if unit == "stream" else None)
        check_settings(
            {
                "unit": unit,
                "labels": labels,
                "windows": windows,
                "sequence_length": sequence_length,
                "stride": stride,
                "warmup": warmup,
                "batch_size": batch_size,
                "split_by": split_by,
            }
        )
        if length is not None and stride is not None and stride > length:
            raise UserError(f"data.stride must be at most data.sequence_length, {length}, got {stride}")
        self.source, self.tokenizer = source, tokenizer
        self.place, self.download = root if path is None else path, download
        by: SplitBy = split_by or ("position" if unit == "stream" else "random")
        self._reading = Reading(unit, labels, length, by, Sizes(val_size, test_size), split_seed)
        self._declared = TextFacts(
            sha256=sha256,
            vocab_size=vocab_size,
            token=token,
            sequence_length=sequence_length,
            num_classes=num_classes,
            class_names=class_names,
            end_token=end_token,
            characters_per_token=characters_per_token,
        )
        self.windows, self.stride, self.warmup = windows, stride, warmup
        self.batch_size, self.seed = batch_size, seed
        self.codec: Tokens | None = None
        self.notes: list[str] = []
        self._text: Tokenized | None = None

    def prepare_data(self) -> None:
        """Downloads what is missing; for one process of a machine.

        Raises:
            UserError: it is missing and cannot be downloaded.
        """
        self.source.prepare(self.place, download=self.download)

    def setup(self, stage: str | None = None) -> None:
        """Reads all parts of the text at the first call.

        Raises:
            UserError: the text cannot be read, is too short, or is not the declared one.
        """
        if self._text is None:
            documents = self.source.read(self.place)
            self._text = tokenize(documents, self.tokenizer, self._reading, self._declared)
            self.codec, self.notes = self._text.codec, self._text.notes

    def facts(self) -> dict[str, Any]:
        """What only the text can tell, as plain lists, numbers and texts; known after `setup`."""
        return self._need().facts._asdict()

    @property
    def counted(self) -> str:
        """What the three numbers below count: `characters`, `bytes`, `tokens` or `lines`."""
        return "lines" if self._reading.unit == "line" else f"{self._need().facts.token}s"

    @property
    def batch_of(self) -> str:
        """What a batch has several of."""
        return "lines" if self._reading.unit == "line" else "windows"

    @property
    def num_train(self) -> int:
        """Tokens, or lines, to train on; known after `setup`, like the next two."""
        return self._count("train")

    @property
    def num_val(self) -> int:
        """Tokens, or lines, for validation."""
        return self._count("val")

    @property
    def num_test(self) -> int:
        """Tokens, or lines, to test on: those for validation where nothing is held back for testing."""
        return self._count(self._tested)

    @property
    def test_split(self) -> str:
        """What `test_dataloader` gives, in words."""
        return "test" if self._tested == "test" else "val (also served for selection)"

    @property
    def _tested(self) -> str:
        text = self._need()
        return "test" if "test" in {**text.streams, **text.items} else "val"

    def texts(self, split: str) -> list[str]:
        """What a split says, as its tokens spell it: one text of a stream, else each line; "test" as `test_split`."""
        text, codec = self._need(), self.codec
        assert codec is not None
        split = self._tested if split == "test" else split
        if not text.items:
            return [codec.decode(text.streams[split].tolist())]
        items = text.items[split]
        ends = items.length.tolist()  # behind the token before an item
        return [codec.decode(row[1:end]) for row, end in zip(items.tokens.tolist(), ends, strict=True)]

    def characters_per_token(self, split: str) -> float:
        """Of a split, the line feed of a line counted; "test" as `test_split`."""
        lines = self.texts(split)
        if not self._need().items:
            return len(lines[0]) / self._count(self._tested if split == "test" else split)
        items = self._need().items[self._tested if split == "test" else split]
        return sum(len(line) + 1 for line in lines) / int(items.length.sum())

    def _count(self, split: str) -> int:
        text = self._need()
        return len(text.items[split].length) if text.items else len(text.streams[split])

    def train_dataloader(self) -> SequenceLoader:
        """Batches in another order each epoch; in one fixed order under Lightning's `overfit_batches`.

        Raises:
            UserError: a stream does not fill one batch of windows.
        """
        text, (rank, world_size) = self._need(), self._world()
        seed = None if getattr(self.trainer, "overfit_batches", 0) > 0 else self.seed
        if text.items:
            items = text.items["train"]
            order = LengthOrder(
                items.length.numpy(), batch_size=self.batch_size, seed=seed, rank=rank, world_size=world_size
            )
            return ItemLoader(items, order)
        tokens, length = text.streams["train"], text.facts.sequence_length or 1
        fitting = (len(tokens) - 1) // (length * world_size)
        if self.batch_size > fitting:
            raise UserError(
                f"data.batch_size {self.batch_size} on {world_size} process{'es' * (world_size > 1)} needs as many"
                f" windows of {length}, and the {len(tokens):,} {self.counted} to train on fill"
                f" {fitting * world_size}; give data.batch_size={max(1, fitting)}, or a smaller data.sequence_length"
            )
        kind = ContiguousWindows if self.windows == "contiguous" else RandomWindows
        return kind(
            tokens, batch_size=self.batch_size, length=length, seed=seed, rank=rank, world_size=world_size
        )

    def val_dataloader(self) -> SequenceLoader:
        """The validation part; every token but the first counts once."""
        return self._judged("val")

    def test_dataloader(self) -> SequenceLoader:
        """The part for testing, or that for validation where there is none; see `test_split`."""
        return self._judged(self._tested)

    def _judged(self, split: str) -> SequenceLoader:
        text, (rank, world_size) = self._need(), self._world()
        if text.items:
            return judged(text.items[split], batch_size=self.batch_size, rank=rank, world_size=world_size)
        tokens, size, length = text.streams[split], self.batch_size, text.facts.sequence_length or 1
        if self.windows == "contiguous":
            warmup = length if self.warmup is None else self.warmup
            return CarriedWindows(
                tokens, batch_size=size, length=length, warmup=warmup, rank=rank, world_size=world_size
            )
        stride = self._stride_of(length)
        return StridedWindows(
            tokens, batch_size=size, length=length, stride=stride, rank=rank, world_size=world_size
        )

    def _stride_of(self, length: int) -> int:
        return self.stride or (length if self.windows == "apart" else math.ceil(length / 2))

    @property
    def windows_overlap(self) -> bool:
        """Whether a window of a stream is judged in part, the rest being told before; where no state is carried."""
        length = self._reading.length
        in_windows = self._reading.unit == "stream" and self.windows != "contiguous" and length is not None
        return in_windows and self._stride_of(length or 1) < (length or 1)

    def _world(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _need(self) -> Tokenized:
        if self._text is None:
            raise UserError("no text is read yet; call prepare_data() and setup() first")
        return self._text

    def transfer_batch_to_device(
        self, batch: SequenceBatch, device: torch.device, dataloader_idx: int
    ) -> SequenceBatch:
        """Moves the tensors, the tokens in their small type."""
        unasked = device.type == "cuda"  # elsewhere a copy that is not waited for may be read too early
        moved = (t if t is None else t.to(device, non_blocking=unasked) for t in batch)
        return SequenceBatch(*moved)  # type: ignore[arg-type]

    def on_after_batch_transfer(self, batch: SequenceBatch, dataloader_idx: int = 0) -> SequenceBatch:
        """Makes the tokens int64, on the device they are on."""
        return batch._replace(input=batch.input.long(), target=batch.target.long())
