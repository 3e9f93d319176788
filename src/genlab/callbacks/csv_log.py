"""metrics.csv: one row for each epoch and validation."""

import csv
import io
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from genlab.atomic import write_whole
from genlab.callbacks.run_log import RunLog

Row = dict[str, str]


class CSVLog(RunLog, Logger):
    """Writes `metrics.csv` into the run folder, opened by the callback `Dashboard`.

    A row tells what was known after `step` steps, in the `epoch`-th epoch, both counted from one. Only
    dicts that carry `epoch` make rows: what Lightning aggregates over an epoch or a validation, and the
    epoch means of `Meter`. Those of one step share a row. A column is added when its first value comes.

    The file is written whole each time, so it is never half a file, and nothing in it depends on the
    clock: a resumed run leaves the same bytes as one that was never interrupted.
    """

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self._rows: dict[int, Row] = {}

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def open(self, folder: Path, *, step: int) -> None:
        """Begins to write into `folder`, keeping the rows of an earlier part of the run.

        Args:
            folder: The run folder.
            step: Steps the run has made so far; later rows come from after the checkpoint and go.
        """
        self._path = folder / "metrics.csv"
        self._rows = {}
        if step > 0 and self._path.exists():
            with open(self._path, newline="", encoding="utf-8") as file:
                rows = [{name: text for name, text in row.items() if text} for row in csv.DictReader(file)]
            self._rows = {int(row["step"]): row for row in rows if int(row["step"]) <= step}
        if self._path.exists():
            self._save()

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Adds to the row of a step, counted from zero as Lightning does."""
        if "epoch" not in metrics or step is None:
            return
        row = self._rows.setdefault(step + 1, {})
        row |= {"epoch": str(int(metrics["epoch"]) + 1), "step": str(step + 1)}
        row |= {name: _text(value) for name, value in metrics.items() if name not in ("epoch", "step")}
        self._save()

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run folder holds the config."""

    def _save(self) -> None:
        if self._path is None:
            raise RuntimeError("CSVLog has no folder yet: the Trainer lacks the callback Dashboard")
        rows = [self._rows[step] for step in sorted(self._rows)]
        text = io.StringIO()
        columns = list(dict.fromkeys(["epoch", "step", *(name for row in rows for name in row)]))
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_whole(self._path, lambda file: file.write(text.getvalue().encode()))


def _text(value: Any) -> str:
    return f"{float(value):.8g}"
