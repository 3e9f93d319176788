"""TensorBoard events in the run folder itself, so that `tensorboard --logdir logs` lists runs by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loggers.logger import DummyExperiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only


class TensorBoardLog(TensorBoardLogger):
    """Writes events into the run folder, opened by the callback `Dashboard`.

    Points stand at the number of steps made. The epoch means of `train/...` are left to metrics.csv, so
    that a curve holds points of one kind.
    """

    def __init__(self) -> None:
        super().__init__(save_dir="", name="", version="", default_hp_metric=False)
        self._folder: Path | None = None

    @property
    def log_dir(self) -> str:
        return str(self._folder or "")

    @property
    def save_dir(self) -> str:
        return self.log_dir

    @property
    def root_dir(self) -> str:
        return self.log_dir

    @property
    def experiment(self) -> Any:
        """The SummaryWriter of an opened log; before that, an object that ignores every call."""
        if self._folder is None:  # which ranks above 0 never open
            return DummyExperiment()
        return super().experiment

    @rank_zero_only
    def open(self, folder: Path, *, step: int) -> None:
        """Begins to write into `folder`; of an earlier part of the run, points after `step` are purged.

        Args:
            folder: The run folder.
            step: Steps the run has made so far.
        """
        self._folder = folder
        self._kwargs = {"flush_secs": 10, **({"purge_step": step + 1} if step > 0 else {})}

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Adds a point to each curve, at a step counted from zero as Lightning does."""
        if self._folder is None:
            raise RuntimeError("TensorBoardLog has no folder yet: the Trainer lacks the callback Dashboard")
        of_epoch = "epoch" in metrics
        for name, value in metrics.items():
            if name != "epoch" and not (of_epoch and name.startswith("train/")):
                self.experiment.add_scalar(name, float(value), None if step is None else step + 1)

    @rank_zero_only
    def log_charts(self, title: str, charts: Mapping[str, list[str]]) -> None:
        """Lays out the page `custom scalars`: one chart for each title, several tags in each."""
        self.experiment.add_custom_scalars(
            {title: {chart: ["Multiline", tags] for chart, tags in charts.items()}}
        )

    @rank_zero_only
    def log_settings(self, settings: Mapping[str, Any], tags: list[str]) -> None:
        """Adds the run to the page `hparams`, whose metrics follow the scalars `tags` while it trains.

        Args:
            settings: Dotted names to plain values; what is neither number nor text is shown as text.
            tags: Names of logged scalars.
        """
        from torch.utils.tensorboard.summary import hparams

        shown = {
            name: v if isinstance(v, (bool, int, float, str)) else str(v) for name, v in settings.items()
        }
        writer = self.experiment._get_file_writer()
        for summary in hparams(shown, dict.fromkeys(tags, float("nan"))):
            writer.add_summary(summary)
        self.experiment.flush()

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: see `log_settings`."""

    @rank_zero_only
    def save(self) -> None:
        """Flushes; unlike Lightning's writes no hparams.yaml, for the run folder holds the config."""
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Flushes and closes the file."""
        if self._experiment is not None:
            self.experiment.close()
