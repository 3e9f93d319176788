"""Weights & Biases and MLflow, really, where they are installed; offline."""

import os
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from callback_stubs import TinyModel, quiet_trainer, run
from pytorch_lightning import LightningModule

from genlab.callbacks import run_log
from genlab.callbacks.checkpoints import Checkpoints
from genlab.callbacks.dashboard import Dashboard
from genlab.callbacks.meter import Meter
from genlab.callbacks.mlflow_log import MLFlowLog
from genlab.callbacks.pictures import SampleGrid
from genlab.callbacks.run_log import RunLog, need_extra, points
from genlab.callbacks.wandb_log import WandbLog
from genlab.contracts import RunCard
from genlab.errors import UserError

CARD = RunCard(config="seed: 0\n", settings={"model.width": 4, "note": None}, command="python train.py a=b")


def fit(folder: Path, log: Any, *, epochs: int = 2, resume: bool = False) -> LightningModule:
    model = TinyModel()
    model.run_card = CARD
    callbacks = [Dashboard(), Meter(), Checkpoints(), SampleGrid(n=4)]
    return run(quiet_trainer(folder, callbacks, logger=[log], max_epochs=epochs), model, resume=resume)


@pytest.mark.parametrize("make", [WandbLog, MLFlowLog])
def test_a_missing_extra_is_one_line_of_pip(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log.importlib.util, "find_spec", lambda name: None)
    name = "wandb" if make is WandbLog else "mlflow"
    with pytest.raises(UserError) as error:
        make()
    assert str(error.value) == (
        f"logger.{name} needs the package {name}, which is not installed: pip install 'genlab[{name}]'"
    )


def test_a_folder_named_like_a_package_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "surely_no_package").mkdir()  # as wandb/ in the folder a run was started from
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match="surely_no_package, which is not installed"):
        need_extra("surely_no_package")


def test_curves_leave_epoch_means_of_training_out() -> None:
    assert points({"epoch": 1, "train/kl": 2.0, "val/loss": 3}) == {"val/loss": 3.0}
    assert points({"train/kl": 2.0, "rate/x": 1.0}) == {"train/kl": 2.0, "rate/x": 1.0}


def test_a_log_of_ones_own_gets_what_it_has_a_place_for(tmp_path: Path) -> None:
    from pytorch_lightning.loggers.logger import DummyLogger

    class Mine(RunLog, DummyLogger):
        got: list[Any] = []

        def open(self, folder: Path, *, step: int) -> None:
            self.got.append((folder, step))

        def log_picture(self, name: str, picture: Any, step: int) -> None:
            self.got.append((name, picture.shape[0], step))

    fit(tmp_path, Mine(), epochs=1)
    assert Mine.got == [(tmp_path, 0), ("samples", 1, 7)]


def test_wandb_goes_on_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs pip install 'genlab[wandb]'")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    fit(tmp_path, WandbLog(project="p"))
    fit(tmp_path, WandbLog(project="p"), epochs=3, resume=True)
    folders = sorted((tmp_path / "wandb").glob("offline-run-*"))
    ids = {folder.name.rpartition("-")[2] for folder in folders}
    assert len(folders) == 2 and len(ids) == 1
    written = b"".join(next(folder.glob("*.wandb")).read_bytes() for folder in folders)
    for word in (
        b"model.width",
        b"python train.py a=b",
        b"val/loss",
        b"train/objective",
        b"media/images/samples",
    ):
        assert word in written, word
    assert len(list((tmp_path / "wandb").rglob("samples_*.png"))) == 3
    assert "WANDB_MODE" not in os.environ  # of the next run in this process


def test_mlflow_goes_on_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("mlflow", reason="needs pip install 'genlab[mlflow]'")
        pytest.importorskip("sqlalchemy", reason="mlflow-skinny has no database")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    fit(folder, MLFlowLog())
    fit(folder, MLFlowLog(), epochs=3, resume=True)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "genlab"]
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    assert found.data.params == {"model.width": "4", "note": "None"}
    assert found.data.tags["command"] == "python train.py a=b"
    assert [m.step for m in client.get_metric_history(found.info.run_id, "val/loss")] == [7, 14, 21]
    steps = [m.step for m in client.get_metric_history(found.info.run_id, "train/objective")]
    assert steps == [3, 6, 9, 12, 15, 18, 21]
    assert (
        len([a for a in client.list_artifacts(found.info.run_id, "images") if a.path.endswith(".png")]) == 3
    )
    assert (folder / "mlflow" / found.info.run_id / "artifacts" / "config.yaml").read_text() == "seed: 0\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]  # no mlruns beside it


def test_a_text_goes_to_the_service_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for both services, so that it is tested where neither is installed."""
    got: list[Any] = []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Html=lambda page: ("page", page)))
    for module in ("wandb_log", "mlflow_log"):
        monkeypatch.setattr(f"genlab.callbacks.{module}.need_extra", lambda name: None)
    wandb_log, mlflow_log = WandbLog(), MLFlowLog()
    wandb_log._run = SimpleNamespace(log=got.append)
    mlflow_log._client, mlflow_log._run_id = SimpleNamespace(log_text=lambda *a: got.append(a)), "abc"
    for log in (wandb_log, mlflow_log):
        log.log_text("samples", "if a < b:\n  天", 7)
    assert got == [
        {"samples": ("page", "<pre>if a &lt; b:\n  天</pre>"), "step": 7},
        ("abc", "if a < b:\n  天", "samples/step_00000007.txt"),
    ]
