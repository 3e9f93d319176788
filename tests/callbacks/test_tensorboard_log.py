from pathlib import Path
from typing import Any

import pytest
import torch
from callback_stubs import TinyModel, all_callbacks, quiet_trainer, run
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer import event_file_writer

from genlab.callbacks.dashboard import live_tags
from genlab.callbacks.tensorboard_log import TensorBoardLog
from genlab.callbacks.tensorboard_pages import hparams, hparams_columns, write_projector
from genlab.contracts import RunCard

CARD = RunCard(config="model:\n  width: 4\n", settings={"model.width": 4}, command="python train.py a=b")


@pytest.fixture(autouse=True)
def files_sort_by_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Event files of one process and second are numbered, and read in the order of text: 10 before 9."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def steps(accumulator: EventAccumulator, tag: str) -> list[int]:
    return [event.step for event in accumulator.Scalars(tag)]


def fit(folder: Path, *, epochs: int = 2, resume: bool = False, card: RunCard | None = CARD) -> None:
    model = TinyModel()
    if card:
        model.run_card = card
    run(
        quiet_trainer(folder, all_callbacks(), logger=[TensorBoardLog()], max_epochs=epochs),
        model,
        resume=resume,
    )


def shown(content: bytes) -> dict[str, Any]:
    """The hparams of a row, by name, as Python values."""
    values = metadata.parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, str(value.WhichOneof("kind"))) for name, value in values.items()}


def test_curves_stand_in_the_run_folder_at_finished_steps(tmp_path: Path) -> None:
    fit(tmp_path)
    assert list(tmp_path.glob("events.out.tfevents.*"))
    assert not (tmp_path / "hparams.yaml").exists()
    read = events(tmp_path)
    assert steps(read, "val/loss") == [7, 14]
    assert steps(read, "train/objective") == [3, 6, 9, 12]  # no epoch means between them
    assert steps(read, "train/lr") == [3, 6, 9, 12]
    assert "epoch" not in read.Tags()["scalars"] and "hp_metric" not in read.Tags()["scalars"]


def test_pictures_are_shown(tmp_path: Path) -> None:
    fit(tmp_path)
    read = events(tmp_path)
    assert [event.step for event in read.Images("samples")] == [7, 14]
    assert [event.step for event in read.Images("reconstructions")] == [7, 14]


def test_a_fresh_run_is_described_once(tmp_path: Path) -> None:
    fit(tmp_path, epochs=1)
    fit(tmp_path, epochs=2, resume=True)
    read = events(tmp_path)
    assert "custom_scalars__config__" in read.summary_metadata
    (config,) = read.Tensors("config/text_summary")
    assert config.tensor_proto.string_val == [b"```yaml\nmodel:\n  width: 4\n\n```"]
    (command,) = read.Tensors("command/text_summary")
    assert command.tensor_proto.string_val == [b"```sh\npython train.py a=b\n```"]
    content = read.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    assert shown(content) == {"model.width": 4.0}
    assert metadata.EXPERIMENT_TAG not in read.summary_metadata  # it would hide other runs' columns


def test_a_run_of_a_sweep_names_the_columns_of_all(tmp_path: Path) -> None:
    fit(tmp_path, epochs=1, card=CARD._replace(swept=True))
    content = events(tmp_path).summary_metadata[metadata.EXPERIMENT_TAG].plugin_data.content
    page = metadata.parse_experiment_plugin_data(content)
    assert [info.name for info in page.hparam_infos] == ["model.width"]
    assert [info.name.tag for info in page.metric_infos] == ["val/loss"]


def test_columns_have_the_types_of_the_settings() -> None:
    (value,) = hparams_columns({"n": 3, "on": False, "list": [1]}, ["val/loss"]).value
    page = metadata.parse_experiment_plugin_data(value.metadata.plugin_data.content)
    kinds = [api_pb2.DataType.Name(info.type) for info in page.hparam_infos]
    assert kinds == ["DATA_TYPE_FLOAT64", "DATA_TYPE_BOOL", "DATA_TYPE_STRING"]


def test_runs_are_compared_by_what_validation_logs_and_by_speed() -> None:
    assert live_tags({"x": ["train/a", "val/b"], "y": ["val/b", "rate/c"]}) == ["val/b", "rate/c"]
    assert live_tags({"x": ["train/a"]}) == ["train/a"]
    assert live_tags({}) == []


def test_a_model_without_a_card_is_not_described(tmp_path: Path) -> None:
    fit(tmp_path, epochs=1, card=None)
    tags = events(tmp_path).summary_metadata
    assert "custom_scalars__config__" in tags
    assert not {"config/text_summary", metadata.SESSION_START_INFO_TAG} & set(tags)


def test_settings_keep_their_types() -> None:
    settings = {"n": 3, "x": 0.5, "on": True, "name": "a", "no": None, "list": [1, 2], "inf": float("inf")}
    (value,) = hparams(settings).value
    assert value.metadata.plugin_data.plugin_name == "hparams"
    row = shown(value.metadata.plugin_data.content)
    assert row == {
        "n": 3.0, "x": 0.5, "on": True, "name": "a", "no": "null", "list": "[1, 2]", "inf": "inf"
    }  # fmt: skip
    assert isinstance(row["on"], bool) and isinstance(row["n"], float)


def test_a_run_that_was_told_nothing_has_a_row(tmp_path: Path) -> None:
    (value,) = hparams({}).value
    content = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
    assert content.HasField("session_start_info") and not shown(value.metadata.plugin_data.content)


def test_a_resume_purges_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    fit(tmp_path, epochs=2)
    checkpoint = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    fit(tmp_path, epochs=3, resume=True)
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(checkpoint)
    fit(tmp_path, epochs=3, resume=True)  # makes the third epoch a second time
    read = events(tmp_path)
    assert steps(read, "val/loss") == [7, 14, 21]
    assert steps(read, "train/objective") == [3, 6, 9, 12, 15, 18, 21]


def test_a_run_that_begins_again_in_its_folder_forgets_its_first_attempt(tmp_path: Path) -> None:
    fit(tmp_path, epochs=2)
    fit(tmp_path, epochs=1)
    assert steps(events(tmp_path), "val/loss") == [7]


@pytest.mark.parametrize("times", [1, 2])
def test_the_projector_has_one_cloud_however_often_it_is_written(tmp_path: Path, times: int) -> None:
    latents = torch.tensor([[0.0, 1.5, 0.0], [-2.0, 1e-7, 0.0], [3.0, 4.0, 0.0]])
    for _ in range(times):
        write_projector(tmp_path, "latents", latents[:, :2], ["a", "b", "a"], torch.zeros(3, 1, 5, 5))
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert config.count("embeddings {") == 1 and config.count("single_image_dim: 5") == 2
    rows = (tmp_path / "projector" / "latents.tsv").read_text().splitlines()
    read = torch.tensor([[float(x) for x in row.split("\t")] for row in rows])
    torch.testing.assert_close(read, latents)  # of two dimensions the projector would show nothing
    assert (tmp_path / "projector" / "labels.tsv").read_text() == "a\nb\na\n"
    assert Image.open(tmp_path / "projector" / "sprites.png").size == (10, 10)
