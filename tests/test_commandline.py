import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from genlab import commandline, job_progress
from genlab.errors import UserError
from genlab.resuming import quoted


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "a,b",
        "it's",
        "a=b",
        "(late)=1",
        "中文 字",
        "two\nlines",
        "${seed}",
        "end\\",
        "x\\'y",
        "[1,2]",
        "{a: b}",
        "\\${x}",
        '"',
        " a ",
    ],
)
def test_a_quoted_value_arrives_in_the_config_as_it_was_typed(text):
    from omegaconf import OmegaConf

    (parsed,) = OverridesParser.create().parse_overrides([f"key={quoted(text)}"])
    cfg = OmegaConf.create({"key": parsed.value()})
    assert cfg.key == text


def test_only_verbatim_settings_are_quoted():
    got = commandline.prepare(["data.path=a, b", "model.latent_dim=3", "data.path=null", "-m", "name=x=y"])
    assert got == ["-m", "data.path='a, b'", "model.latent_dim=3", "data.path=null", "name='x=y'"]


def test_flags_may_stand_anywhere():
    assert commandline.prepare(["seed=1", "-m", "model.latent_dim=4,5"]) == [
        "-m",
        "seed=1",
        "model.latent_dim=4,5",
    ]


def test_resume_null_is_no_resume():
    assert commandline.prepare(["resume=null", "seed=1"]) == ["seed=1"]


def test_a_flag_keeps_its_value_beside_resume(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("[seed=1]")
    got = commandline.prepare(["--config-dir", "theirs", f"resume={tmp_path}", "logger=none"])
    assert got[:4] == ["--config-dir", "theirs", "seed=1", "logger=none"]


def test_resume_finds_the_runs_own_options_again(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("[model=theirs]")
    found = "{hydra: {runtime: {config_sources: [{path: /theirs, provider: command-line}]}}}"
    (tmp_path / ".hydra" / "hydra.yaml").write_text(found)
    got = commandline.prepare([f"resume={tmp_path}"])
    assert got[:3] == ["--config-dir", "/theirs", "model=theirs"]


def test_a_jobs_command_line_is_ready_made(monkeypatch):
    """It is quoted already, and has resume= beside settings that the user may not give there."""
    seen = []
    for name in ("HYDRA_FULL_ERROR", "GENLAB_ERRORS"):
        monkeypatch.setenv(name, "1")  # to be put back
    monkeypatch.setattr(job_progress, "_folder", [])
    monkeypatch.setenv("GENLAB_JOB", "sweep/job")
    monkeypatch.setattr(commandline, "end_with_the_sweep", lambda: seen.append("ends with the sweep"))
    monkeypatch.setattr(commandline, "prepare", lambda arguments: pytest.fail("was made ready again"))
    monkeypatch.setattr(commandline.hydra, "main", lambda **_: lambda task: lambda: seen.append("runs"))
    commandline.run_verb(lambda cfg: None, config="train")
    assert seen == ["ends with the sweep", "runs"]
    seen.clear()
    job_progress._folder.clear()
    monkeypatch.setenv("LOCAL_RANK", "1")  # a further rank: the job has started it, and tells it when to end
    commandline.run_verb(lambda cfg: None, config="train")
    assert seen == ["runs"]


def test_a_sweep_cannot_be_resumed_as_a_run():
    with pytest.raises(
        UserError, match="resume= goes on with one run; to go on with a sweep repeat its command"
    ):
        commandline.prepare(["-m", "resume=logs/x"])


def test_a_disk_that_cannot_be_written_to_is_the_users_to_mend_and_other_errors_are_ours():
    full = OSError(28, "No space left on device", "logs/run/config.yaml")
    assert commandline._sentence(full) == (
        "logs/run/config.yaml: cannot be written to (No space left on device); make room, or choose another place"
    )
    assert commandline._sentence(UserError("seed: wrong")) == "seed: wrong"
    assert commandline._sentence(ValueError("bug")) is None and commandline._sentence(OSError("odd")) is None
