"""Opens the run's logs and lays out TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from genlab.callbacks.csv_log import CSVLog
from genlab.callbacks.tensorboard_log import TensorBoardLog
from genlab.contracts import Charted

_NOT_OF_THE_MODEL = ("hydra", "callbacks", "logger")


class Dashboard(Callback):
    """Tells `CSVLog` and `TensorBoardLog` the run folder, and where in the run they begin.

    Settings shown as hparams are those in the model's attribute `run_config`, a plain dict, where there
    is one; charts are those of a `Charted` model.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if isinstance(logger, (CSVLog, TensorBoardLog)):
                logger.open(Path(trainer.default_root_dir), step=trainer.global_step)
            if isinstance(logger, TensorBoardLog):
                _lay_out(logger, pl_module, fresh=trainer.global_step == 0)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # what lies before the checkpoint will not be logged again
        for logger in trainer.loggers:
            logger.save()


def _lay_out(logger: TensorBoardLog, model: LightningModule, *, fresh: bool) -> None:
    charts = model.charts if isinstance(model, Charted) else {}
    if charts:
        logger.log_charts(type(model).__name__, charts)
    config = getattr(model, "run_config", None)
    if fresh and isinstance(config, Mapping):
        settings = {k: v for k, v in config.items() if k not in _NOT_OF_THE_MODEL}
        logger.log_settings(flatten(settings), live_tags(charts))


def live_tags(charts: Mapping[str, list[str]]) -> list[str]:
    """The scalars worth comparing runs by: the validation's in the charts, else all, else `val/loss`."""
    tags = list(dict.fromkeys(tag for chart in charts.values() for tag in chart))
    return [tag for tag in tags if tag.startswith("val/")] or tags or ["val/loss"]


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one dict with dotted names: `{"a": {"b": 1}}` becomes `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
