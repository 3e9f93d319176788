"""The user's own series: windows of a CSV file.

Letters in shapes: L rows, D columns.
"""

import numpy as np
import torch
from torch import Tensor

from genlab.codecs.scale import Scale, Scaling, check_scaling
from genlab.data.csv_table import read_table
from genlab.data.series import SPLITS, SeriesData, Windows, refuse_labels
from genlab.errors import UserError


class CSVData(SeriesData):
    """Windows of one long series, split by time: the first rows train, the next validate, the last test.

    No window lies across a border, so that nothing of a validation or test window was trained on. The scale
    is that of the training rows; later rows may leave its range.
    """

    def __init__(
        self,
        *,
        path: str,
        columns: list[str | int] | None = None,
        header: bool | None = None,
        separator: str | None = None,
        reverse: bool = False,
        sequence_length: int = 24,
        stride: int = 1,
        scaling: Scaling = "minmax",
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        num_features: int | None = None,
        num_classes: int | None = None,
        batch_size: int = 128,
        drop_last: bool = True,
        seed: int = 0,
    ) -> None:
        """Reads nothing yet.

        Args:
            path: the file, UTF-8, a row for each time.
            columns: names or numbers, counted from 1; None takes all.
            header: whether the first line holds names; None finds out, see `read_table`.
            separator: comma, semicolon, tab, bar or a character; None finds out.
            reverse: whether the newest row is the first of the file.
            sequence_length: T, at least 2.
            stride: rows from one window to the next, at least 1.
            scaling: minmax ([0, 1]) | standard (mean 0, deviation 1) | none; fitted on the training rows.
            val_size: rows before the last ones, for validation: an int counts them, a float is a part.
            test_size: the last rows, for testing, likewise.
            num_features: D, held against the chosen columns; None takes what there is.
            num_classes: None: such series have no labels.
            batch_size: B, on each process.
            drop_last: leave out training windows that do not fill a batch, others each epoch.
            seed: of the order of training windows.

        Raises:
            UserError: a setting out of its range.
        """
        super().__init__(
            sequence_length=sequence_length,
            num_features=num_features,
            columns=None,
            num_classes=num_classes,
            batch_size=batch_size,
            drop_last=drop_last,
            seed=seed,
        )
        if stride < 1:
            raise UserError(f"data.stride must be at least 1, got {stride}")
        check_scaling(scaling)
        refuse_labels(num_classes)
        self.path, self.chosen, self.header, self.separator = path, columns, header, separator
        self.reverse, self.stride, self.scaling = reverse, stride, scaling
        self.sizes = {"val": val_size, "test": test_size}
        self._series: Tensor | None = None
        self._bounds: dict[str, tuple[int, int]] = {}

    def read(self, split: str) -> Windows:
        if self._series is None:
            self._open()
        assert self._series is not None and self.sequence_length is not None
        begin, end = self._bounds[split]
        start = torch.arange(0, end - begin - self.sequence_length + 1, self.stride)
        return Windows(self._series[begin:end], start, torch.zeros_like(start))

    def _open(self) -> None:
        """Reads the file, cuts it in three and fits the scale on the first."""
        table = read_table(self.path, columns=self.chosen, header=self.header, separator=self.separator)
        rows = table.values[::-1] if self.reverse else table.values
        values = torch.from_numpy(np.ascontiguousarray(rows))  # [L, D]
        self._bounds = self._split(len(values))
        self.codec = Scale.fit(table.names, self.scaling, values[slice(*self._bounds["train"])])
        self._series = self.codec.scale(values)

    def _split(self, total: int) -> dict[str, tuple[int, int]]:
        """First and last row, exclusive, of each split."""
        num_val, num_test = (self._count(name, total) for name in ("val", "test"))
        borders = [0, total - num_val - num_test, total - num_test, total]
        bounds = dict(zip(SPLITS, zip(borders[:-1], borders[1:], strict=True), strict=True))
        for split, (begin, end) in bounds.items():
            if end - begin < (self.sequence_length or 0):
                raise UserError(
                    f"data.path {self.path} has {total} rows, of which {max(0, end - begin)} are for {split}: too few"
                    f" for one window of data.sequence_length={self.sequence_length}; give a shorter one, or other"
                    " data.val_size and data.test_size"
                )
        return bounds

    def _count(self, split: str, total: int) -> int:
        size = self.sizes[split]
        part = isinstance(size, float)
        if (part and not 0 < size < 1) or (not part and size < 1):
            raise UserError(
                f"data.{split}_size must be a part between 0 and 1 or a number of rows, at least 1, got {size}"
            )
        return round(size * total) if part else int(size)

    def names(self) -> list[str]:
        if self.codec is None:
            raise UserError("no series is read yet; call setup() first")
        return self.codec.columns
