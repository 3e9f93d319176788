"""Opens the run's logs and tells them what the run is."""

from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from genlab.callbacks.run_log import Charts, run_logs
from genlab.contracts import Charted, RunCard


class Dashboard(Callback):
    """Tells every `RunLog` the run folder and where in the run it begins.

    A fresh run is described by the model's attribute `run_card`, a `RunCard`, where it has one; charts are
    those of a `Charted` model.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        card = getattr(pl_module, "run_card", None)
        charts = pl_module.charts if isinstance(pl_module, Charted) else {}
        for log in run_logs(trainer):
            log.open(Path(trainer.default_root_dir), step=trainer.global_step)
            if charts:
                log.lay_out(type(pl_module).__name__, charts)
            if isinstance(card, RunCard) and trainer.global_step == 0:
                log.describe(card, live_tags(charts))

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # what lies before the checkpoint will not be logged again
        for logger in trainer.loggers:
            logger.save()


def live_tags(charts: Charts) -> list[str]:
    """The scalars worth comparing runs by: in the charts those of validation, else of training; and speed."""
    tags = list(dict.fromkeys(tag for chart in charts.values() for tag in chart))
    val, train, rate = ([tag for tag in tags if tag.startswith(part)] for part in ("val/", "train/", "rate/"))
    return (val or train) + rate
