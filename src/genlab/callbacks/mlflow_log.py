"""MLflow, in a database of the run folder unless told otherwise."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from genlab.atomic import write_whole
from genlab.callbacks.run_log import RunLog, need_extra, opened, points
from genlab.contracts import RunCard

_MOST_PARAMS = 100
"""How many parameters MLflow takes in one call."""


class MLFlowLog(RunLog, Logger):
    """One MLflow run for each run folder, named like it; a resumed run goes on with it.

    MLflow's plain files are in maintenance mode and refused (seen with 3.18), hence a SQLite database.
    """

    def __init__(self, *, experiment: str = "genlab", tracking_uri: str | None = None) -> None:
        """Starts nothing yet.

        Args:
            experiment: Where MLflow files the run.
            tracking_uri: A server, as `http://host:5000`, or a database, as `sqlite:///logs/mlflow.db`;
                None for `mlflow.db` in the run folder.

        Raises:
            UserError: mlflow is not installed.
        """
        super().__init__()
        need_extra("mlflow")
        self.experiment_name, self.tracking_uri = experiment, tracking_uri
        self._client: Any = None
        self._run_id = ""

    @property
    def name(self) -> str:
        return "mlflow"

    @property
    def version(self) -> str:
        return self._run_id

    @rank_zero_only
    def open(self, folder: Path, *, step: int) -> None:
        """Starts an MLflow run, or goes on with the one that the folder names."""
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # each table it creates
        logging.getLogger("alembic").setLevel(logging.WARNING)
        from mlflow.tracking import MlflowClient

        folder = folder.resolve()
        local = self.tracking_uri is None
        self._client = MlflowClient(self.tracking_uri or f"sqlite:///{folder / 'mlflow.db'}")
        remembered = folder / "mlflow_run_id"
        if remembered.exists():
            self._run_id = remembered.read_text().strip()
            self._client.update_run(self._run_id, status="RUNNING")
            return
        known = self._client.get_experiment_by_name(self.experiment_name)
        where = (folder / "mlflow").as_uri() if local else None
        experiment = (
            known.experiment_id
            if known
            else self._client.create_experiment(self.experiment_name, artifact_location=where)
        )
        self._run_id = self._client.create_run(experiment, run_name=folder.name).info.run_id
        write_whole(remembered, lambda file: file.write(self._run_id.encode()))

    @rank_zero_only
    def describe(self, card: RunCard, tags: list[str]) -> None:
        """Notes the settings that the run was told as parameters, config and command beside them."""
        from mlflow.entities import Param

        params = [Param(name, str(value)) for name, value in card.settings.items()]
        for first in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self._run_id, params=params[first : first + _MOST_PARAMS])
        self._client.set_tag(self._run_id, "command", card.command)
        self._client.log_text(self._run_id, card.config, "config.yaml")

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Adds a point to each curve, at a step counted from zero as Lightning does."""
        from mlflow.entities import Metric

        now, at = int(time.time() * 1000), 0 if step is None else step + 1
        row = [Metric(name, value, now, at) for name, value in points(metrics).items()]
        if row:
            opened(self._client, self).log_batch(self._run_id, metrics=row)

    @rank_zero_only
    def log_picture(self, name: str, picture: Tensor, step: int) -> None:
        """Adds a picture to the run's images."""
        pixels = picture.detach().cpu().mul(255).round().byte().permute(1, 2, 0).numpy()  # [h, w, 1 or 3]
        self._client.log_image(self._run_id, pixels, key=name, step=step)

    @rank_zero_only
    def log_text(self, name: str, text: str, step: int) -> None:
        """Adds a text to the run's artifacts."""
        self._client.log_text(self._run_id, text, f"{name}/step_{step:08d}.txt")

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: see `describe`."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Ends the MLflow run, as failed where the training failed."""
        if self._client is not None:
            self._client.set_terminated(self._run_id, "FINISHED" if status == "success" else "FAILED")
            self._client = None
