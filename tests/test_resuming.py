from pathlib import Path

import pytest
from omegaconf import OmegaConf

from genlab import resuming
from genlab.errors import UserError


def make_run(folder: Path, overrides: list[str]) -> Path:
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(overrides), folder / ".hydra" / "overrides.yaml")
    return folder


def test_resume_repeats_the_stored_overrides_before_the_new_ones(tmp_path):
    run = make_run(tmp_path / "run", ["model=vae", "seed=3"])
    got = resuming.resume_arguments(str(run), ["trainer.max_epochs=9"])
    assert got == [
        "model=vae", "seed=3", "trainer.max_epochs=9",
        f"resume='{run}'", f"hydra.run.dir='{run}'", "hydra.output_subdir=null",
    ]  # fmt: skip


def test_a_second_resume_remembers_what_the_first_one_changed(tmp_path):
    run = make_run(tmp_path / "run", ["model=vae"])
    resuming.resume_arguments(str(run), ["trainer.max_epochs=9"])
    resuming.remember(run)
    resuming.resume_arguments(str(run), ["logger=none"])
    resuming.remember(run)
    got = resuming.resume_arguments(str(run), [])
    assert got[:3] == ["model=vae", "trainer.max_epochs=9", "logger=none"]


@pytest.mark.parametrize(
    "override", ["model.latent_dim=3", "seed=1", "data=mnist", "+x=1", "hydra.run.dir=elsewhere"]
)
def test_resume_refuses_by_name_what_would_change_the_run(tmp_path, override):
    run = make_run(tmp_path / "run", [])
    with pytest.raises(UserError) as error:
        resuming.resume_arguments(str(run), ["trainer.max_epochs=2", override])
    assert str(error.value) == (
        f"resume={run}: {override} would change what the run is; beside resume only trainer.*, logger and "
        f"callbacks may be given; for a new run from its weights use init_from={run}"
    )


@pytest.mark.parametrize(
    "override", ["trainer=cpu", "trainer.precision=bf16-mixed", "logger=csv", "callbacks.ema.half_life=9"]
)
def test_resume_lets_hardware_length_and_watching_change(tmp_path, override):
    run = make_run(tmp_path / "run", [])
    assert override in resuming.resume_arguments(str(run), [override])


def test_resume_of_what_is_no_run_says_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="is no folder; give the folder of a run"):
        resuming.resume_arguments(str(tmp_path / "nowhere"), [])
    with pytest.raises(UserError, match=r"holds no run \(.hydra/overrides.yaml is missing\)"):
        resuming.resume_arguments(str(tmp_path), [])


def test_what_turned_out_wrong_is_not_remembered(tmp_path):
    run = make_run(tmp_path / "run", ["model=vae"])
    resuming.resume_arguments(str(run), ["trainer.max_epoch=9"])  # a typo: the run ends before it remembers
    got = resuming.resume_arguments(str(run), ["trainer.max_epochs=9"])
    assert "trainer.max_epoch=9" not in got and "trainer.max_epochs=9" in got


def test_a_run_that_reached_its_limits_is_not_begun_again(tmp_path):
    (tmp_path / "result.json").write_text('{"ended": "finished", "epochs": 4, "steps": 80}')
    resuming.refuse_finished(tmp_path, max_epochs=4, max_steps=-1)  # its last checkpoint was not written
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(
        UserError, match="has made its 4 epochs already; give trainer.max_epochs=N with a larger N"
    ):
        resuming.refuse_finished(tmp_path, max_epochs=4, max_steps=-1)
    with pytest.raises(
        UserError, match="has made its 80 steps already; give trainer.max_steps=N with a larger N"
    ):
        resuming.refuse_finished(tmp_path, max_epochs=9, max_steps=80)
    resuming.refuse_finished(tmp_path, max_epochs=5, max_steps=-1)
    (tmp_path / "result.json").write_text('{"ended": "interrupted", "epochs": 4, "steps": 80}')
    resuming.refuse_finished(tmp_path, max_epochs=4, max_steps=-1)


def test_a_run_that_used_its_time_asks_for_more_of_it(tmp_path):
    run = make_run(tmp_path / "run", [])
    (run / "result.json").write_text('{"ended": "max_time", "epochs": 4, "steps": 80}')
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").touch()
    resuming.resume_arguments(str(run), [])
    with pytest.raises(
        UserError, match="has used its time already; give trainer.max_time=DD:HH:MM:SS, longer"
    ):
        resuming.refuse_finished(run, max_epochs=-1, max_steps=-1)
    resuming.resume_arguments(str(run), ["trainer.max_time=00:01:00:00"])
    resuming.refuse_finished(run, max_epochs=-1, max_steps=-1)


@pytest.mark.parametrize("content", ["a: [", "scalar"])
def test_damaged_overrides_are_one_sentence(tmp_path, content):
    run = make_run(tmp_path / "run", [])
    (run / ".hydra" / "overrides.yaml").write_text(content)
    with pytest.raises(UserError, match="overrides.yaml: is damaged"):
        resuming.resume_arguments(str(run), [])


def sources(*lines: str) -> str:
    return "hydra:\n  runtime:\n    config_sources:\n" + "".join(f"    - {line}\n" for line in lines)


def test_a_run_goes_on_with_the_folder_of_options_it_was_started_with(tmp_path):
    run = make_run(tmp_path / "run", [])
    stored = run / ".hydra" / "hydra.yaml"
    assert resuming.where_configs_lie(str(run), []) == []  # an older run, or a python call
    stored.write_text(
        sources(
            "{path: hydra.conf, provider: hydra, schema: pkg}",
            "{path: /repo/conf, provider: main, schema: file}",
            "{path: '/their conf, 1', provider: command-line, schema: file}",
        )
    )
    assert resuming.where_configs_lie(str(run), []) == ["--config-dir", "/their conf, 1"]
    assert resuming.where_configs_lie(str(run), ["--cfg", "job"]) == ["--config-dir", "/their conf, 1"]
    for flags in (["--config-dir", "mine"], ["--config-dir=mine"], ["-cd", "mine"]):
        assert resuming.where_configs_lie(str(run), flags) == []
    stored.write_text(sources("{path: /repo/conf, provider: main, schema: file}"))
    assert resuming.where_configs_lie(str(run), []) == []


def test_a_damaged_memory_of_where_configs_lie_is_one_sentence(tmp_path):
    run = make_run(tmp_path / "run", [])
    (run / ".hydra" / "hydra.yaml").write_text("a: [")
    with pytest.raises(UserError, match="hydra.yaml: is damaged"):
        resuming.where_configs_lie(str(run), [])
