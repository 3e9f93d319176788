import sys

import pytest

from genlab import invocation


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("-m --config-dir theirs seed=1", ["--config-dir", "theirs"]),
        ("--multirun -cd=theirs -cn my a=--config-dir", ["-cd", "theirs", "-cn", "my"]),
        ("--config-name=x -cp y=z -p pkg --cfg job", ["--config-name", "x", "-cp", "y=z"]),
        ("-m seed=1,2 +x=-cd", []),
    ],
)
def test_jobs_of_a_sweep_find_their_configs_where_it_does(typed, kept):
    assert invocation.config_flags(typed.split()) == kept


def test_a_command_is_ready_for_a_shell_as_it_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(sys, "argv", ["train.py", "name=a b", "seed=1"])
    monkeypatch.setattr(invocation, "_typed", [])
    assert invocation.command() == "python3 train.py 'name=a b' seed=1"
    invocation.note()
    sys.argv[1:] = ["name='a b'", "made=ready"]
    assert invocation.command() == "python3 train.py 'name=a b' seed=1"


@pytest.mark.parametrize(
    ("script", "sample", "again"),
    [
        ("train.py", "python sample.py", "python3 train.py seed=1"),
        ("../a b/train.py", "python '{home}/a b/sample.py'", "python3 '../a b/train.py' seed=1"),
        ("/venv/bin/genlab-train", "genlab-sample", "genlab-train seed=1"),
        ("/usr/bin/pytest", "python sample.py", "python3 /usr/bin/pytest seed=1"),
        (
            invocation.__file__.replace("invocation", "train"),
            "python sample.py",
            None,
        ),  # python -m genlab.train
    ],
)
def test_what_to_type_next_is_there_to_be_typed(tmp_path, monkeypatch, script, sample, again):
    for folder in ("here", "a b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sample.py").touch()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(invocation, "_typed", [script, "seed=1"])
    assert invocation.verb("sample") == sample.format(home=tmp_path)
    assert again is None or invocation.command() == again
