from pathlib import Path

from callback_stubs import TinyModel, all_callbacks, quiet_trainer, run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from genlab.callbacks.dashboard import flatten, live_tags
from genlab.callbacks.tensorboard_log import TensorBoardLog


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def steps(accumulator: EventAccumulator, tag: str) -> list[int]:
    return [event.step for event in accumulator.Scalars(tag)]


def fit(folder: Path, *, epochs: int = 2, resume: bool = False) -> None:
    model = TinyModel()
    model.run_config = {"seed": 0, "model": {"width": [4, 4], "beta": None}, "callbacks": {"ema": {"x": 1}}}
    run(
        quiet_trainer(folder, all_callbacks(), logger=[TensorBoardLog()], max_epochs=epochs),
        model,
        resume=resume,
    )


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


def test_charts_and_hparams_are_laid_out(tmp_path: Path) -> None:
    fit(tmp_path)
    metadata = events(tmp_path).summary_metadata
    assert "custom_scalars__config__" in metadata
    content = metadata["_hparams_/session_start_info"].plugin_data.content
    shown = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert {name: value.string_value or value.number_value for name, value in shown.items()} == {
        "seed": 0.0,
        "model.width": "[4, 4]",
        "model.beta": "None",
    }
    content = metadata["_hparams_/experiment"].plugin_data.content
    infos = plugin_data_pb2.HParamsPluginData.FromString(content).experiment.metric_infos
    assert [info.name.tag for info in infos] == ["val/loss"]


def test_a_resume_purges_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    fit(tmp_path, epochs=2)
    checkpoint = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    fit(tmp_path, epochs=3, resume=True)
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(checkpoint)
    fit(tmp_path, epochs=3, resume=True)  # makes the third epoch a second time
    read = events(tmp_path)
    assert steps(read, "val/loss") == [7, 14, 21]
    assert steps(read, "train/objective") == [3, 6, 9, 12, 15, 18, 21]


def test_nested_settings_have_dotted_names() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "d": [2]}) == {"a.b.c": 1, "d": [2]}


def test_runs_are_compared_by_what_validation_logs() -> None:
    assert live_tags({"x": ["train/a", "val/b"], "y": ["val/b", "val/c"]}) == ["val/b", "val/c"]
    assert live_tags({"x": ["train/a"]}) == ["train/a"]
    assert live_tags({}) == ["val/loss"]
