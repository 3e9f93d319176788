"""Weights & Biases, offline in the run folder unless told otherwise."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from genlab.callbacks.run_log import RunLog, need_extra, opened, points
from genlab.contracts import RunCard


class WandbLog(RunLog, Logger):
    """One wandb run for each run folder, named like it; a resumed run goes on with it.

    What is written offline lies in `wandb/` of the run folder until `wandb sync` sends it. Lightning's own
    logger switches the whole process to offline, and joins whatever wandb run is open: in a sweep those of
    earlier jobs.
    """

    def __init__(self, *, project: str = "genlab", entity: str | None = None, offline: bool = True) -> None:
        """Starts nothing yet.

        Args:
            project: Where the service files the run.
            entity: User or team it belongs to; None for the account's default.
            offline: Keep it in the run folder; otherwise send it while the run goes on.

        Raises:
            UserError: wandb is not installed.
        """
        super().__init__()
        need_extra("wandb")
        self.project, self.entity, self.offline = project, entity, offline
        self._run: Any = None

    @property
    def name(self) -> str:
        return "wandb"

    @property
    def version(self) -> str:
        return "" if self._run is None else str(self._run.id)

    @rank_zero_only
    def open(self, folder: Path, *, step: int) -> None:
        """Starts a wandb run, or goes on with the one that the folder holds."""
        import wandb

        earlier = sorted((folder / "wandb").glob("*run-*-*"))
        self._run = wandb.init(
            project=self.project,
            entity=self.entity,
            name=folder.resolve().name,
            id=earlier[-1].name.rpartition("-")[2] if earlier else None,
            resume="allow" if earlier and not self.offline else None,
            dir=str(folder),
            mode="offline" if self.offline else "online",
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    @rank_zero_only
    def describe(self, card: RunCard, tags: list[str]) -> None:
        """Fills the run's config with the settings it was told."""
        self._run.config.update({**card.settings, "command": card.command}, allow_val_change=True)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Adds a point to each curve, at a step counted from zero as Lightning does."""
        row = points(metrics)
        if row:
            opened(self._run, self).log(row if step is None else {**row, "step": step + 1})

    @rank_zero_only
    def log_picture(self, name: str, picture: Tensor, step: int) -> None:
        """Adds a picture to the run's media."""
        import wandb

        pixels = picture.detach().cpu().mul(255).round().byte().permute(1, 2, 0).numpy()  # [h, w, 1 or 3]
        self._run.log({name: wandb.Image(pixels), "step": step})

    @rank_zero_only
    def log_text(self, name: str, text: str, step: int) -> None:
        """Adds a text to the run's media."""
        import wandb

        self._run.log({name: wandb.Html(f"<pre>{html.escape(text)}</pre>"), "step": step})

    @rank_zero_only
    def log_histogram(self, name: str, values: Tensor, step: int) -> None:
        """Adds a histogram to the run's charts."""
        import wandb

        self._run.log({name: wandb.Histogram(values.tolist()), "step": step})

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: see `describe`."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Ends the wandb run, as failed where the training failed."""
        if self._run is not None:
            self._run.finish(exit_code=0 if status == "success" else 1)
            self._run = None
