"""What a sweep does with signals, and its jobs when it is killed: a real sweep process and real jobs of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sweep_folders import diary, record, wait_for, wait_for_end

from conftest import environment
from genlab.sweeps import jobs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

DRIVER = Path(__file__).with_name("drive_pool.py")
Sweep = Callable[..., subprocess.Popen]


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Sweep]:
    """Starts a sweep with as many slots as jobs, but at most two, and waits until those are at work."""
    started = []

    def begin(*lines: str) -> subprocess.Popen:
        slots = min(2, len(lines))
        command = [sys.executable, str(DRIVER), str(tmp_path), str(slots), *lines]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=environment(), **pipes))  # type: ignore[call-overload]
        for name in range(1, slots + 1):
            wait_for(tmp_path / str(name) / "seen.json")
        return started[0]

    yield begin
    for process in started:
        process.kill()
        process.communicate()
    for folder in tmp_path.glob("[0-9]"):  # jobs that a failing test has left behind
        if (folder / "seen.json").exists() and not (folder / "result.json").exists():
            with suppress(ProcessLookupError):
                os.kill(pid_of(folder), signal.SIGKILL)


def signals(folder: Path) -> list[int]:
    """The signals that a job has received."""
    file = folder / "signals"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def wait_for_signals(folder: Path, count: int) -> None:
    until = time.monotonic() + 20
    while len(signals(folder)) < count:
        assert time.monotonic() < until
        time.sleep(0.01)


def pid_of(folder: Path) -> int:
    return json.loads((folder / "seen.json").read_text())["pid"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_reaches_each_running_job_once_and_no_other_is_started(sweep, tmp_path, number, code):
    process = sweep("do=hang", "do=hang", "x=3")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err == "\nstopping the jobs after their batches; once more to leave at once without saving\n"
    for name in "12":
        assert signals(tmp_path / name) == [number]
        assert (record(tmp_path / name).exit_code, record(tmp_path / name).error) == (code, None)
        assert f"[{name}/3] do=hang: stopped after 0 s" in out.splitlines()
        assert not jobs.has_failed(tmp_path / name) and jobs.state(tmp_path / name) == "begun"
    assert not (tmp_path / "3").exists()
    assert len(diary(tmp_path)) == 4


def test_what_a_job_has_started_does_not_see_the_signal(sweep, tmp_path):
    """Ranks are told by their job, and a worker that died of it would take the job along."""
    process = sweep("do=hang until=go patience=2 worker=yes")
    process.send_signal(signal.SIGTERM)
    wait_for(tmp_path / "1" / "signals")
    time.sleep(0.1)
    (tmp_path / "go").touch()
    process.communicate(timeout=30)
    assert not (tmp_path / "1" / "worker_saw_it").exists()


def test_a_job_that_ends_well_all_the_same_is_finished(sweep, tmp_path):
    process = sweep("do=deaf until=go", "do=hang", "x=3")
    process.send_signal(signal.SIGTERM)
    wait_for(tmp_path / "2" / "result.json")
    time.sleep(0.2)  # there is a free slot now, which nobody may take
    (tmp_path / "go").touch()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 143
    assert jobs.state(tmp_path / "1") == "finished" and "[1/3] do=deaf until=go: val/loss 0.5 in 0 s" in out
    assert not (tmp_path / "3").exists()


def test_a_job_that_fails_while_the_sweep_is_stopped_has_failed(sweep, tmp_path):
    process = sweep("do=hang until=go then=fail patience=9")
    process.send_signal(signal.SIGTERM)
    wait_for(tmp_path / "1" / "signals")
    (tmp_path / "go").touch()
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert record(tmp_path / "1").error == "the reason of the failure"


def test_a_second_signal_is_handed_on_too(sweep, tmp_path):
    process = sweep("do=deaf")
    for sent in (1, 2):
        process.send_signal(signal.SIGINT)
        wait_for_signals(tmp_path / "1", sent)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, signals(tmp_path / "1")) == (130, [2, 2])
    assert err.count("stopping the jobs") == 1


def test_a_third_signal_kills_what_does_not_listen(sweep, tmp_path):
    process = sweep("do=deaf until=x patience=9")
    for sent in (1, 2, 3):
        process.send_signal(signal.SIGTERM)
        if sent < 3:
            wait_for_signals(tmp_path / "1", sent)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert (record(tmp_path / "1").exit_code, record(tmp_path / "1").error) == (-signal.SIGKILL, None)


def test_a_job_that_somebody_kills_fails_alone(sweep, tmp_path):
    process = sweep("do=hang until=go", "do=hang until=go")
    pid = pid_of(tmp_path / "1")
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    (tmp_path / "go").touch()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0  # the pool tells of it; the exit code is that of the whole sweep
    assert "[1/2] do=hang until=go: failed after 0 s: killed by SIGKILL" in out.splitlines()
    assert (record(tmp_path / "1").exit_code, jobs.state(tmp_path / "2")) == (-signal.SIGKILL, "finished")


def test_jobs_of_a_sweep_that_is_killed_save_and_end(sweep, tmp_path):
    process = sweep("do=hang ends=with_the_sweep", "do=hang ends=with_the_sweep")
    process.kill()
    process.communicate()
    for name in "12":
        wait_for(tmp_path / name / "result.json")
        assert signals(tmp_path / name) == [signal.SIGTERM]
        assert record(tmp_path / name).exit_code is None and jobs.state(tmp_path / name) == "begun"


def test_a_rank_that_waits_for_rank_0_ends_with_it(tmp_path):
    rank_1 = (
        "import time, pathlib, os; from genlab.sweeps.processes import end_with_rank_0; end_with_rank_0(0.1);"
        "pathlib.Path('made').write_text(str(os.getpid())); os.rename('made', 'pid'); time.sleep(60)"
    )
    rank_0 = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {rank_1!r}])"
    process = subprocess.Popen([sys.executable, "-c", rank_0], cwd=tmp_path)
    wait_for(tmp_path / "pid")
    process.kill()
    process.wait()
    wait_for_end(int((tmp_path / "pid").read_text()), 10)
