"""What a log of a run can be given, whoever keeps it: TensorBoard, a table, a service."""

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from torch import Tensor

from genlab.contracts import RunCard
from genlab.errors import UserError

Charts = Mapping[str, list[str]]
"""Chart title to the scalar tags in it."""


class RunLog:
    """Interface of a Lightning logger that writes into the run folder.

    The callback `Dashboard` opens it on rank 0; what a log has no place for it leaves out.
    """

    def open(self, folder: Path, *, step: int) -> None:
        """Begins to write into `folder`, or goes on there.

        Args:
            folder: The run folder.
            step: Steps the run has made so far; 0 is a fresh run.
        """

    def describe(self, card: RunCard, tags: list[str]) -> None:
        """Notes what the run is; once, when it is fresh.

        Args:
            card: What it tells of itself.
            tags: The scalars worth comparing runs by.
        """

    def lay_out(self, title: str, charts: Charts) -> None:
        """Says which scalars belong together; `title` is that of them all."""

    def log_picture(self, name: str, picture: Tensor, step: int) -> None:
        """Adds a picture `[1 or 3, h, w]` in [0, 1]."""

    def log_text(self, name: str, text: str, step: int) -> None:
        """Adds a text, to be shown as it is."""

    def log_histogram(self, name: str, values: Tensor, step: int) -> None:
        """Shows how numbers `[N]` are distributed."""

    def log_latents(self, name: str, latents: Tensor, labels: list[str], thumbnails: Tensor) -> None:
        """Shows points in their space, in place of what was shown under this name.

        Args:
            name: Of the space.
            latents: `[N, L]`.
            labels: N texts.
            thumbnails: `[N, 1 or 3, S, S]` in [0, 1].
        """


def run_logs(trainer: Trainer) -> Iterator[RunLog]:
    """The trainer's loggers that are genlab's, or made like them."""
    return (logger for logger in trainer.loggers if isinstance(logger, RunLog))


def points(row: Mapping[str, Any]) -> dict[str, float]:
    """What of a logged row belongs on curves.

    The epoch means of `train/...` are left to metrics.csv, so that a curve holds points of one kind.
    """
    of_epoch = "epoch" in row
    return {
        name: float(value)
        for name, value in row.items()
        if name != "epoch" and not (of_epoch and name.startswith("train/"))
    }


def opened(part: Any, log: RunLog) -> Any:
    """What a log writes through, once `Dashboard` has opened it."""
    if part is None:
        raise RuntimeError(
            f"{type(log).__name__} has no folder yet: the Trainer lacks the callback Dashboard"
        )
    return part


def need_extra(name: str) -> None:
    """Checks that an optional package is there, without the seconds that its import takes.

    Raises:
        UserError: It is not; the sentence has the line for pip.
    """
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:  # a mere folder of that name is no package
        raise UserError(
            f"logger.{name} needs the package {name}, which is not installed: pip install 'genlab[{name}]'"
        )
