"""Sines made from a seed: series that no file is needed for.

The data of TimeGAN (Yoon et al. 2019, section 5) as its code makes it: its paper says frequencies up to 1 and
phases up to pi, its code up to 0.1 both, and every published figure is of the code.
Letters in shapes: N windows, T steps, D channels.
"""

import numpy as np
import torch

from genlab.codecs.scale import Scale
from genlab.data.series import SPLITS, SeriesData, Windows, apart, refuse_labels
from genlab.errors import UserError


class SineData(SeriesData):
    """Windows of D sines, each with a frequency and a phase of its own: (sin(frequency t + phase) + 1) / 2."""

    def __init__(
        self,
        *,
        num_features: int = 5,
        sequence_length: int = 24,
        max_frequency: float = 0.1,
        max_phase: float = 0.1,
        num_train: int = 10_000,
        num_val: int = 1000,
        num_test: int = 2500,
        columns: list[str] | None = None,
        num_classes: int | None = None,
        batch_size: int = 128,
        drop_last: bool = True,
        draw_seed: int = 0,
        seed: int = 0,
    ) -> None:
        """Draws nothing yet.

        Args:
            num_features: D, at least 1.
            sequence_length: T, at least 2.
            max_frequency: in radians a step, above 0; each is drawn evenly below it, as is each phase.
            max_phase: in radians, above 0.
            num_train: training windows, at least 1, as the next two.
            num_val: validation windows.
            num_test: test windows.
            columns: a name for each channel; None numbers them.
            num_classes: None: sines have no labels.
            batch_size: B, on each process.
            drop_last: leave out training windows that do not fill a batch, others each epoch.
            draw_seed: of the sines; not the run's seed, so that all runs see and are judged on the same.
            seed: of the order of training windows.

        Raises:
            UserError: a number out of its range.
        """
        super().__init__(
            sequence_length=sequence_length,
            num_features=num_features,
            columns=columns,
            num_classes=num_classes,
            batch_size=batch_size,
            drop_last=drop_last,
            seed=seed,
        )
        counts = {
            "num_features": num_features,
            "num_train": num_train,
            "num_val": num_val,
            "num_test": num_test,
        }
        for name, count in counts.items():
            if count < 1:
                raise UserError(f"data.{name} must be at least 1, got {count}")
        if max_frequency <= 0 or max_phase <= 0:
            raise UserError(
                f"data.max_frequency and data.max_phase must be above 0, got {max_frequency} and {max_phase}"
            )
        refuse_labels(num_classes)
        if columns is not None and len(columns) != num_features:
            raise UserError(
                f"data.columns lists {len(columns)} names for {num_features} channels; list one for each, or give"
                " data.columns=null"
            )
        self.max_frequency, self.max_phase, self.draw_seed = max_frequency, max_phase, draw_seed
        self.counts = {"train": num_train, "val": num_val, "test": num_test}
        self.codec = Scale.identity(self.names())

    def read(self, split: str) -> Windows:
        assert self.num_features is not None and self.sequence_length is not None
        stream = np.random.default_rng([self.draw_seed, SPLITS.index(split)])
        shape = (self.counts[split], 1, self.num_features)
        frequency, phase = self.max_frequency * stream.random(shape), self.max_phase * stream.random(shape)
        time = np.arange(self.sequence_length)[:, None]  # [T, 1]
        values = (np.sin(frequency * time + phase) + 1) / 2  # [N, T, D]
        return apart(torch.from_numpy(values).float())

    def names(self) -> list[str]:
        return self.columns or [f"sine_{k + 1}" for k in range(self.num_features or 0)]
