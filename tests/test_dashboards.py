"""A finished sweep, read back from a real TensorBoard server, and what docs/dashboards.md promises."""

import csv
import io
import json
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import numpy as np
import pytest
import yaml
from PIL import Image

from conftest import LAUNCHER, ROOT, environment
from genlab.config import compose
from genlab.models.vae import VAE
from genlab.validation import validate

DOC = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
SWEEP = ("-m", "model.latent_dim=2,3", "model/network=mlp", "debug=fast", "trainer=cpu")
LAUNCH = ("hydra/launcher=basic", "hydra.sweep.dir=sweep")


class Server:
    """The HTTP interface of a TensorBoard."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/data/"
        self.open = build_opener(ProxyHandler({})).open

    def read(self, path: str, body: Any = None, **query: str) -> bytes:
        request = Request(
            f"{self.url}{path}?{urlencode(query)}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with self.open(request, timeout=20) as answer:
            return answer.read()

    def get(self, path: str, body: Any = None, **query: str) -> Any:
        return json.loads(self.read(path, body, **query))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep of two jobs that differ in latent_dim."""
    from hydra.core.global_hydra import GlobalHydra

    from genlab.train import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("sweeps"))
        patch.setattr(sys, "argv", [str(ROOT / "train.py"), *SWEEP, *LAUNCH])
        for name in ("HYDRA_FULL_ERROR", "GENLAB_ERRORS", "GENLAB_DATA", *LAUNCHER):
            patch.delenv(name, raising=False)
        GlobalHydra.instance().clear()
        main()
        return Path("sweep").resolve()


@pytest.fixture(scope="module")
def server(sweep: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={sweep}", f"--port={port}"]
    with open(sweep.parent / "tensorboard.log", "w") as log:
        process = subprocess.Popen(
            [*command, "--load_fast=false"], env=environment(), stdout=log, stderr=subprocess.STDOUT
        )
    server = Server(port)
    try:
        _until(lambda: len(server.get("runs")) == 2, process, sweep.parent / "tensorboard.log")
        _until(lambda: server.get("plugin/projector/runs"), process, sweep.parent / "tensorboard.log")
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


def _until(ready: Any, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if ready():
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.1)
    pytest.fail(f"TensorBoard does not answer:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def runs(sweep: Path) -> dict[str, Path]:
    """The jobs' folders by name."""
    folders = {file.parent.name: file.parent for file in sorted(sweep.glob("*/result.json"))}
    assert len(folders) == 2
    return folders


def _config(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "config.yaml").read_text())


def test_curves_are_those_of_metrics_csv(server: Server, runs: dict[str, Path]) -> None:
    assert sorted(server.get("runs")) == sorted(runs)
    for run, folder in runs.items():
        rows = list(csv.DictReader((folder / "metrics.csv").open()))
        for tag in ("val/loss", "val/kl"):
            shown = server.get("plugin/scalars/scalars", run=run, tag=tag)
            assert [step for _, step, _ in shown] == [int(row["step"]) for row in rows] == [3, 6]
            assert [value for *_, value in shown] == pytest.approx([float(row[tag]) for row in rows])
        steps = [step for _, step, _ in server.get("plugin/scalars/scalars", run=run, tag="train/objective")]
        assert steps == [1, 2, 3, 4, 5, 6]


def test_pictures_are_those_of_the_run_folder(server: Server, runs: dict[str, Path]) -> None:
    drawn = {"samples": [3, 6], "reconstructions": [3, 6]}
    drawn |= {"interpolation": [6], "traversal": [6], "latents": [6], "arithmetic": [6]}
    for run, folder in runs.items():
        assert set(server.get("plugin/images/tags")[run]) == set(drawn)
        for tag, steps in drawn.items():
            found = server.get("plugin/images/images", run=run, tag=tag, sample="0")
            assert [image["step"] for image in found] == steps
            shown = Image.open(
                io.BytesIO(server.read(f"plugin/images/individualImage?{found[-1]['query']}&x"))
            )
            file = Image.open(folder / "samples" / f"{tag}_epoch_0002.png").convert(shown.mode)
            # TensorBoard's writer rounds gray levels down
            assert np.abs(np.asarray(shown, dtype=int) - np.asarray(file, dtype=int)).max() <= 1


def test_config_and_command_are_texts(server: Server, runs: dict[str, Path]) -> None:
    for run in runs:
        assert sorted(server.get("plugin/text/tags")[run]) == ["command/text_summary", "config/text_summary"]
        (config,) = server.get("plugin/text/text", run=run, tag="config/text_summary")
        assert "latent_dim" in config["text"] and "<pre><code" in config["text"]
        (command,) = server.get("plugin/text/text", run=run, tag="command/text_summary")
        assert "train.py" in command["text"] and "model.latent_dim=" in command["text"]


def test_charts_show_lines_that_are_logged(server: Server, runs: dict[str, Path]) -> None:
    (category,) = server.get("plugin/custom_scalars/layout")["category"]
    charts = {chart["title"]: chart["multiline"]["tag"] for chart in category["chart"]}
    assert category["title"] == "VAE" and list(charts) == list(VAE.charts)
    for title, patterns in charts.items():
        for pattern, tag in zip(patterns, VAE.charts[title], strict=True):
            found = server.get("plugin/custom_scalars/scalars", run=next(iter(runs)), tag=pattern)
            # three batches an epoch are too few for a rate
            assert found["regex_valid"] and list(found["tag_to_events"]) == [tag] * (
                not tag.startswith("rate/")
            )


def test_latents_have_labels_and_pictures(server: Server, runs: dict[str, Path]) -> None:
    query = {"name": "latents"}
    assert sorted(server.get("plugin/projector/runs")) == sorted(runs)
    for run, folder in runs.items():
        (shown,) = server.get("plugin/projector/info", run=run)["embeddings"]
        dims = _config(folder)["model"]["latent_dim"]
        points = np.frombuffer(server.read("plugin/projector/tensor", run=run, **query), dtype=np.float32)
        points = points.reshape(-1, 3)  # at least three, or the page stays empty
        assert len(points) == 128  # two validation batches
        assert (np.abs(points).max(0) > 0).sum() == dims
        labels = server.read("plugin/projector/metadata", run=run, **query).decode().splitlines()
        assert len(labels) == 128 and set(labels) == set("0123456789")
        sprites = Image.open(io.BytesIO(server.read("plugin/projector/sprite_image", run=run, **query)))
        side = shown["sprite"]["singleImageDim"][0]
        assert sprites.size == (12 * side, 12 * side)


def test_hparams_are_what_the_sweep_varies_and_the_metrics(server: Server, runs: dict[str, Path]) -> None:
    page = server.get("plugin/hparams/experiment", {})
    (column,) = page["hparamInfos"]
    assert (column["name"], column["type"]) == ("model.latent_dim", "DATA_TYPE_FLOAT64")
    tags = [info["name"]["tag"] for info in page["metricInfos"]]
    names = ("val/loss", "val/reconstruction", "val/kl", "val/active_units", "rate/images_per_second")
    assert tags == list(names)
    asked = {
        "startIndex": 0,
        "sliceSize": 10,
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
        "colParams": [{"hparam": "model.latent_dim"}, {"metric": {"tag": "val/loss"}}],
    }
    rows = server.get("plugin/hparams/session_groups", asked)["sessionGroups"]
    assert sorted(row["name"] for row in rows) == sorted(runs)
    for row in rows:
        folder = runs[row["name"]]
        assert row["hparams"] == {"model.latent_dim": float(_config(folder)["model"]["latent_dim"])}
        metrics = {m["name"]["tag"]: m["value"] for m in row["metricValues"]}
        final = json.loads((folder / "result.json").read_text())["final"]
        assert metrics["val/loss"] == pytest.approx(final["val/loss"])


COMMANDS = re.findall(r"^python train\.py +(.*?)(?: +#.*)?$", DOC, re.M)


@pytest.mark.parametrize("line", sorted(set(COMMANDS)))
def test_every_training_command_of_the_page_is_a_right_config(line: str) -> None:
    words = [word for word in shlex.split(line) if word != "-m" and not word.startswith("resume=")]
    validate(
        compose([re.sub(r"^([\w./]+=[^\[,]*),[^\[]*$", r"\1", word) for word in words]), facts_known=False
    )


def test_every_setting_that_the_page_names_is_there() -> None:
    assert len(COMMANDS) >= 5
    cfg = compose(["logger=[default,wandb,mlflow]"])
    for name in re.findall(r"`((?:callbacks|logger)\.[\w.]+?)(?:=.*?)?`", DOC):
        assert name.split(".")[1] in cfg[name.split(".")[0]], name
