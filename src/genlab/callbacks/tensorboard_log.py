"""TensorBoard events in the run folder itself, so that `tensorboard --logdir logs` lists runs by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loggers.logger import DummyExperiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from genlab.callbacks.run_log import Charts, RunLog, opened, points
from genlab.callbacks.tensorboard_pages import hparams, hparams_columns, write_projector
from genlab.contracts import RunCard


class TensorBoardLog(RunLog, TensorBoardLogger):
    """Writes events into the run folder, opened by the callback `Dashboard`.

    Points stand at the number of steps made.
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
        """Begins to write into `folder`; of an earlier part of the run, points after `step` are purged."""
        self._folder = folder
        if step == 0:
            for first_attempt in folder.glob("events.out.tfevents.*"):
                first_attempt.unlink()
        self._kwargs = {"flush_secs": 10, **({"purge_step": step + 1} if step > 0 else {})}

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Adds a point to each curve, at a step counted from zero as Lightning does."""
        opened(self._folder, self)
        for name, value in points(metrics).items():
            self.experiment.add_scalar(name, value, None if step is None else step + 1)

    @rank_zero_only
    def lay_out(self, title: str, charts: Charts) -> None:
        """Lays out the page `custom scalars`: one chart for each title, several tags in each."""
        layout = {chart: ["Multiline", [f"^{tag}$" for tag in tags]] for chart, tags in charts.items()}
        self.experiment.add_custom_scalars({title: layout})

    @rank_zero_only
    def describe(self, card: RunCard, tags: list[str]) -> None:
        """Fills the page `text` with config and command, and adds the run to the page `hparams`."""
        self.experiment.add_text("config", f"```yaml\n{card.config}\n```", 0)
        self.experiment.add_text("command", f"```sh\n{card.command}\n```", 0)
        writer = self.experiment._get_file_writer()
        writer.add_summary(hparams(card.settings), 0)
        if card.swept:
            writer.add_summary(hparams_columns(card.settings, tags), 0)
        self.experiment.flush()

    @rank_zero_only
    def log_picture(self, name: str, picture: Tensor, step: int) -> None:
        """Adds to the page `images`."""
        self.experiment.add_image(name, picture, step)

    @rank_zero_only
    def log_text(self, name: str, text: str, step: int) -> None:
        """Adds to the page `text`, which reads Markdown: indented, so that it is shown as it is."""
        self.experiment.add_text(name, "\n".join(f"    {line}" for line in text.split("\n")), step)

    @rank_zero_only
    def log_histogram(self, name: str, values: Tensor, step: int) -> None:
        """Adds to the pages `distributions` and `histograms`."""
        self.experiment.add_histogram(name, values, step)

    @rank_zero_only
    def log_latents(self, name: str, latents: Tensor, labels: list[str], thumbnails: Tensor) -> None:
        """Fills the page `projector`, with the thumbnails as sprites."""
        assert self._folder is not None
        write_projector(self._folder, name, latents, labels, thumbnails)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: see `describe`."""

    @rank_zero_only
    def save(self) -> None:
        """Flushes; unlike Lightning's writes no hparams.yaml, for the run folder holds the config."""
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Flushes and closes the file."""
        if self._experiment is not None:
            self.experiment.close()
