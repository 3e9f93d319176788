import json
import os
import subprocess
import sys

import pytest

from genlab import run_folder
from genlab.errors import UserError


def test_a_folder_with_a_trained_run_is_not_claimed_unasked(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(UserError) as error:
        run_folder.claim(tmp_path, resuming=False)
    assert str(error.value) == (
        f"{tmp_path}: already holds a run; go on with it by resume={tmp_path}, or choose another hydra.run.dir"
    )
    run_folder.claim(tmp_path, resuming=True).release()


def test_a_folder_with_the_users_own_files_is_not_claimed(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"holds files that are no run's \(thesis.tex, ...\)"):
        run_folder.claim(tmp_path, resuming=False)


def test_a_run_that_failed_before_it_trained_leaves_its_folder_free(tmp_path):
    run_folder.claim(tmp_path / "run", resuming=False).release()
    (tmp_path / "run" / ".hydra").mkdir()
    (tmp_path / "run" / "run.log").touch()
    run_folder.claim(tmp_path / "run", resuming=False).release()


@pytest.mark.parametrize("name", ["config.yaml", "run.log", "samples", ".hydra"])
def test_files_named_like_a_runs_are_not_taken_for_one(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"holds files that are no run's"):
        run_folder.claim(tmp_path, resuming=False)


def test_two_processes_cannot_claim_one_folder(tmp_path):
    held = run_folder.claim(tmp_path / "run", resuming=False)
    code = (
        "import sys; from pathlib import Path; from genlab import run_folder; from genlab.errors import UserError\n"
        "try: run_folder.claim(Path(sys.argv[1]), resuming=True)\n"
        "except UserError as error: print(error)"
    )

    def other() -> str:
        command = [sys.executable, "-c", code, str(tmp_path / "run")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "another process is training there now" in other()
    held.release()
    assert other() == ""


def test_a_folder_that_is_busy_is_told_from_one_that_cannot_be_made(tmp_path):
    held = run_folder.FolderLock(tmp_path / "run")
    with pytest.raises(run_folder.Busy, match="run: somebody else sits here"):
        run_folder.FolderLock(tmp_path / "run", "somebody else sits here")
    held.release()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: cannot be written to \(File exists\)") as error:
        run_folder.FolderLock(tmp_path / "file")
    assert not isinstance(error.value, run_folder.Busy)


def test_what_this_process_has_claimed_it_keeps(tmp_path):
    held = run_folder.claim(tmp_path / "run", resuming=False)
    assert run_folder.claim(tmp_path / "run", resuming=False) is held
    held.release()
    again = run_folder.claim(tmp_path / "run", resuming=False)
    assert again is not held
    again.release()


def test_a_jobs_folder_may_hold_what_the_sweep_and_hydra_have_written(tmp_path):
    for name in ("job.json", "console.log", ".lock"):
        (tmp_path / name).touch()
    run_folder.claim(tmp_path, resuming=False).release()
    (tmp_path / ".lock").unlink()
    (tmp_path / ".hydra").mkdir()
    with pytest.raises(UserError, match="holds files that are no run's"):
        run_folder.claim(tmp_path, resuming=False)
    run_folder.claim(tmp_path, resuming=False, begun=True).release()
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"holds files that are no run's \(thesis.tex, ...\)"):
        run_folder.claim(tmp_path, resuming=False, begun=True)


def test_names_of_folders_hold_only_harmless_characters():
    assert run_folder.run_name(None, "vae", "digits") == "vae_digits"
    assert run_folder.run_name("my run/é: 1,2", "vae", "digits") == "my-run-1-2"
    assert run_folder.run_name("///", "vae", "digits") == "run"


def test_stamps_of_two_processes_differ_within_one_second():
    code = "from genlab import run_folder; print(run_folder.stamp())"
    pair = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in "ab"]
    stamps = [process.communicate()[0].strip() for process in pair]
    assert stamps[0] != stamps[1]


def test_a_child_process_gets_a_stamp_of_its_own():
    from genlab import run_folder

    code = "from genlab import run_folder; print(run_folder.stamp())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() != run_folder.stamp()


def test_numbers_that_json_does_not_have_are_null(tmp_path):
    run_folder.write_json(tmp_path / "x.json", {"a": [float("nan"), 1.5], "b": {"c": float("inf")}})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [None, 1.5], "b": {"c": None}}


def test_ranks_of_one_torchrun_share_a_stamp():
    code = "from genlab import run_folder; print(run_folder.stamp())"
    env = dict(os.environ, TORCHELASTIC_RUN_ID="x")
    pair = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env)
        for _ in "ab"
    ]
    stamps = {process.communicate()[0].strip() for process in pair}
    assert len(stamps) == 1


def test_json_is_replaced_whole(tmp_path):
    run_folder.write_json(tmp_path / "result.json", {"a": 1})
    run_folder.write_json(tmp_path / "result.json", {"a": 2})
    assert run_folder.read_result(tmp_path) == {"a": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
