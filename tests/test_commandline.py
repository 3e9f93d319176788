import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from genlab import commandline
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
