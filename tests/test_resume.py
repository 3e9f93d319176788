"""Runs that are killed and go on end bit for bit where an uninterrupted run ends."""

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from comparisons import assert_same

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals end a process on Windows"),
    pytest.mark.xdist_group("resume"),  # one worker, one uninterrupted run to compare with
]

SETTINGS = (
    "model/network=mlp", "model.latent_dim=4", "trainer=cpu", "trainer.max_epochs=3", "model/scheduler=cosine",
    "callbacks.ema.half_life=500", "callbacks.checkpoints.every_n_steps=4", "trainer.log_every_n_steps=5",
    "+callbacks.kill._target_=stand_ins.KillAt", "+callbacks.kill.step=30",
)  # fmt: skip
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has none, and skips this file
TESTS = str(Path(__file__).parent)
STEPS_PER_EPOCH = 1350 // 64


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import subprocess

    from conftest import ROOT, environment

    folder = tmp_path_factory.mktemp("uninterrupted")
    command = [sys.executable, str(ROOT / "train.py"), *SETTINGS, "hydra.run.dir=run"]
    subprocess.run(command, cwd=folder, env=environment(PYTHONPATH=TESTS), check=True, capture_output=True)
    return folder / "run"


def state(folder: Path, name: str = "last.ckpt") -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / name, weights_only=True)


def assert_same_run(folder: Path, other: Path) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        ours, theirs = state(folder, name), state(other, name)
        for part in (
            "state_dict",
            "ema",
            "optimizer_states",
            "lr_schedulers",
            "random_streams",
            "meter",
            "global_step",
        ):
            assert_same(ours[part], theirs[part], f"{name} {part}")
    assert (folder / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()


@pytest.mark.parametrize(
    ("number", "exit_code", "saved_at"),
    [(KILL, -KILL, 28), (signal.SIGTERM, 143, 30), (signal.SIGINT, 130, 30)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    run, tmp_path, uninterrupted, number, exit_code, saved_at
):
    assert STEPS_PER_EPOCH < saved_at < 2 * STEPS_PER_EPOCH  # in the middle of an epoch
    killed = run("train.py", *SETTINGS, "hydra.run.dir=run", PYTHONPATH=TESTS, KILL_WITH=str(int(number)))
    folder = tmp_path / "run"
    assert killed.returncode == exit_code, killed.stderr
    assert state(folder)["global_step"] == saved_at
    if number != KILL:
        assert "stopping after this batch; once more to leave at once without saving" in killed.stderr
        stopped = json.loads((folder / "result.json").read_text())
        assert (stopped["ended"], stopped["error"], stopped["steps"]) == ("interrupted", number.name, 30)
    overrides = (folder / ".hydra" / "overrides.yaml").read_bytes()
    resumed = run("train.py", "resume=run", PYTHONPATH=TESTS)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert "going on from run/checkpoints/last.ckpt" in resumed.stdout
    assert_same_run(folder, uninterrupted)
    assert (folder / ".hydra" / "overrides.yaml").read_bytes() == overrides
    assert json.loads((folder / "result.json").read_text())["resumed"] is True


def test_a_finished_run_goes_on_for_longer_in_the_same_folder(command, tmp_path, uninterrupted):
    import shutil

    shutil.copytree(uninterrupted, tmp_path / "run", ignore=shutil.ignore_patterns(".lock"))
    code, out, err = command("train", "resume=run", "trainer.max_epochs=4", "~callbacks.kill")
    assert (code, err) == (0, "")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["epochs"] == 4
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert rows[:4] == (uninterrupted / "metrics.csv").read_text().splitlines()
    assert len(rows) == 5
    code, _, err = command("train", "resume=run")
    assert code == 2
    assert (
        err.strip()
        == "run: has made its 4 epochs already; give trainer.max_epochs=N with a larger N to go on"
    )


def test_a_damaged_checkpoint_is_one_sentence(command, tmp_path, uninterrupted):
    import shutil

    shutil.copytree(uninterrupted, tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:2000])
    code, _, err = command("train", "resume=run", "trainer.max_epochs=5", "~callbacks.kill")
    assert code == 2
    assert err.strip() == (
        "run/checkpoints/last.ckpt: is damaged, or no checkpoint at all; it was not loaded; "
        "init_from=run/checkpoints/best.ckpt begins a new run from the best weights"
    )
    assert json.loads((tmp_path / "run" / "result.json").read_text())["ended"] == "finished"  # untouched


def test_a_resumed_run_is_the_run_it_was_though_its_options_have_changed(command, tmp_path, uninterrupted):
    import shutil

    shutil.copytree(uninterrupted, tmp_path / "run")
    overrides = tmp_path / "run" / ".hydra" / "overrides.yaml"
    overrides.write_text(overrides.read_text().replace("model.latent_dim=4", "model.latent_dim=9"))
    code, _, err = command("train", "resume=run", "trainer.max_epochs=4", "~callbacks.kill")
    assert (code, err) == (0, "")
    assert state(tmp_path / "run")["genlab"]["config"]["model"]["latent_dim"] == 4


def test_a_full_disk_does_not_end_as_success(command, tmp_path, monkeypatch):
    import errno

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("genlab.checkpoint.write_whole", full)
    code, _, err = command("train", "model/network=mlp", "debug=fast", "trainer=cpu", "hydra.run.dir=run")
    assert code == 2
    assert "run: the end of the run could not be saved, for the disk is full or cannot be written to" in err
    assert json.loads((tmp_path / "run" / "result.json").read_text())["ended"] == "failed"


def test_two_processes_cannot_train_in_one_folder(start, tmp_path):
    slow = ("model/network=mlp", "trainer=cpu", "trainer.max_epochs=500", "hydra.run.dir=run", "logger=none")
    first = start("train.py", *slow)
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
            assert time.monotonic() < until and first.poll() is None
            time.sleep(0.1)
        second = start("train.py", "resume=run")
        _, err = second.communicate(timeout=60)
        assert second.returncode == 2
        assert (
            err.strip() == "run: another process is training there now; wait for it, or choose another folder"
        )
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()
