"""Sweeps that are killed and repeated end bit for bit where undisturbed ones end; real processes, real kills."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import ROOT, environment
from genlab.run_folder import read_result
from genlab.sweeps import jobs
from test_resume import KILL, SETTINGS, assert_same_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals end a process on Windows"),
    pytest.mark.xdist_group("sweeps_killed"),  # one worker, one undisturbed sweep to compare with
]

TESTS = str(Path(__file__).parent)
CONF = f"{TESTS}/stub_conf"
SWEEP = ("train.py", "-m", *SETTINGS, "seed=0,1", "hydra.sweep.dir=sweep")
FAST = ("model/network=mlp", "debug=fast", "logger=none", "hydra.sweep.dir=sweep")


def folders(sweep: Path) -> list[Path]:
    """The folders of the jobs, in the order of their numbers."""
    return sorted(
        (path.parent for path in sweep.glob("*/job.json")), key=lambda path: path.name.partition("_")[2]
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    command = [sys.executable, str(ROOT / SWEEP[0]), *SWEEP[1:]]
    subprocess.run(command, cwd=folder, env=environment(PYTHONPATH=TESTS), check=True, capture_output=True)
    assert len(folders(folder / "sweep")) == 2
    return folder / "sweep"


def wait_until_free(folder: Path) -> None:
    """Waits until the job that lives there has saved and ended."""
    until = time.monotonic() + 60
    while (read_result(folder) or {}).get("ended") not in ("interrupted", "failed"):
        assert time.monotonic() < until, "the job did not end with its sweep"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("whom", "number", "exit_code", "states"),
    [
        ("job", KILL, 1, ["begun", "begun"]),
        ("sweep", KILL, -KILL, ["begun"]),
        ("sweep", signal.SIGINT, 130, ["begun"]),
        ("sweep", signal.SIGTERM, 143, ["begun"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_killed_sweep_that_is_repeated_ends_as_if_nothing_had_happened(
    run, tmp_path, undisturbed, whom, number, exit_code, states
):
    env = {"PYTHONPATH": TESTS, "KILL_WITH": str(int(number)), "KILL_WHOM": whom}
    killed = run(*SWEEP, **env)
    assert killed.returncode == exit_code, killed.stderr
    there = folders(tmp_path / "sweep")
    if whom == "sweep":
        wait_until_free(there[0])
    assert [jobs.state(folder) for folder in there] == states
    errors = {json.loads((folder / "job.json").read_text())["error"] for folder in there}
    assert errors == ({"killed by SIGKILL"} if whom == "job" else {None})
    assert (tmp_path / "sweep" / "sweep.csv").exists() or number == KILL

    again = run(*SWEEP, PYTHONPATH=TESTS)
    assert (again.returncode, again.stderr) == (0, "")
    assert "[1/2] seed=0: goes on" in again.stdout
    ours, theirs = folders(tmp_path / "sweep"), folders(undisturbed)
    assert [folder.name for folder in ours] == [folder.name for folder in theirs]
    for folder, other in zip(ours, theirs, strict=True):
        assert_same_run(folder, other)
    assert not any(jobs.has_failed(folder) for folder in ours)


def test_two_sweeps_into_one_folder_at_once_are_refused(start, run, tmp_path):
    slow = (
        "-m",
        "seed=0,1",
        "model/network=mlp",
        "trainer=cpu",
        "trainer.max_epochs=500",
        "hydra.sweep.dir=sweep",
    )
    first = start("train.py", *slow)
    try:
        until = time.monotonic() + 60
        while not list(tmp_path.glob("sweep/*/checkpoints/last.ckpt")):
            assert time.monotonic() < until and first.poll() is None
            time.sleep(0.1)
        second = run("train.py", *slow)
        assert (second.returncode, second.stdout) == (2, "")
        sentence = "sweep: another sweep is running there now; wait for it, or choose another folder"
        assert second.stderr.strip() == sentence
        (job,) = folders(tmp_path / "sweep")
        single = run("train.py", f"resume={job}")
        assert single.returncode == 2 and "another process is training there now" in single.stderr
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    assert first.returncode == 130


def test_a_rank_that_fails_fails_its_job_alone(run, tmp_path):
    fault = (
        "+callbacks.fault._target_=stand_ins.Fault",
        "+callbacks.fault.says=boom",
        "+callbacks.fault.rank=1",
    )
    done = run("train.py", "-m", "trainer=ddp_cpu,cpu", *FAST, *fault, PYTHONPATH=TESTS)
    assert done.returncode == 1
    two, one = folders(tmp_path / "sweep")[::-1]
    assert (two.name[9:], one.name[9:]) == ("trainer-ddp_cpu", "trainer-cpu")
    assert jobs.state(one) == "finished" and jobs.has_failed(two)
    assert "RuntimeError: boom" in (two / "console.log").read_text()
    assert "RuntimeError" not in (one / "console.log").read_text()
    record = jobs.read_record(two)
    assert record is not None and record.error


def test_hardware_is_swept_like_anything_else(run, tmp_path):
    done = run("train.py", "-m", "trainer=ddp_cpu,cpu", "trainer.precision=32-true,bf16-mixed", *FAST)
    assert (done.returncode, done.stderr) == (0, "")
    results = [json.loads((folder / "result.json").read_text()) for folder in folders(tmp_path / "sweep")]
    told = {(result["processes"], result["precision"]) for result in results}
    assert told == {(n, precision) for n in (1, 2) for precision in ("32-true", "bf16-mixed")}


def test_jobs_find_options_of_other_folders_and_two_run_at_once(run, tmp_path):
    options = ("--config-dir", CONF, "model=vae,stubgan", "trainer=cpu", "hydra.launcher.n_jobs=2")
    done = run("train.py", "-m", *options, *FAST, PYTHONPATH=TESTS)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line[:5] for line in done.stdout.splitlines()[1:3]] == ["[1/2]", "[2/2]"]
    results = [json.loads((folder / "result.json").read_text()) for folder in folders(tmp_path / "sweep")]
    assert {result["name"] for result in results} == {"vae_digits", "stubgan_digits"}


def test_a_job_of_a_sweep_goes_on_by_itself_with_the_options_it_was_started_with(run, tmp_path):
    options = ("--config-dir", CONF, "model=stubgan", "trainer=cpu", "seed=1")
    assert run("train.py", "-m", *options, *FAST, PYTHONPATH=TESTS).returncode == 0
    (job,) = folders(tmp_path / "sweep")
    longer = run("train.py", f"resume={job}", "trainer.max_epochs=3", PYTHONPATH=TESTS)
    assert (longer.returncode, longer.stderr) == (0, "")
    assert json.loads((job / "result.json").read_text())["epochs"] == 3
