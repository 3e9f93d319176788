"""The pool with real processes: the program is `stand_in_job.py`."""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from drive_pool import JOB, make_jobs, run_pool
from sweep_folders import diary, record, wait_for, wait_for_end

from genlab.errors import UserError
from genlab.run_folder import FolderLock
from genlab.sweeps import jobs, processes


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "program", lambda: [sys.executable, str(JOB)])


def seen(folder: Path) -> dict[str, Any]:
    """What a job was given: argv and env."""
    return json.loads((folder / "seen.json").read_text())


def at_once(sweep: Path) -> int:
    """The most jobs that were at work at the same time."""
    running, most = 0, 0
    for line in diary(sweep):
        running += 1 if line.startswith("begins") else -1
        most = max(most, running)
    return most


def test_one_slot_runs_the_jobs_in_their_order(tmp_path, capsys):
    assert run_pool(make_jobs(tmp_path, "x=1", "x=2", "x=3")) == 3
    assert diary(tmp_path) == [f"{word} {k}" for k in (1, 2, 3) for word in ("begins", "ends")]
    assert capsys.readouterr().out.splitlines() == [
        line for k in (1, 2, 3) for line in (f"[{k}/3] x={k}: begins", f"[{k}/3] x={k}: val/loss 0.5 in 0 s")
    ]
    first = record(tmp_path / "1")
    assert (first.overrides, first.varied, first.exit_code, first.error) == (
        ["x=1", "job=1"],
        ["x=1"],
        0,
        None,
    )
    assert not (tmp_path / "1" / "progress.json").exists()  # it has ended


def test_never_more_jobs_than_slots_run_at_once(tmp_path):
    run_pool(make_jobs(tmp_path, *["take=0.15"] * 5), n_jobs=2)
    assert at_once(tmp_path) == 2
    assert sorted(diary(tmp_path)[:2]) == ["begins 1", "begins 2"]
    assert len(diary(tmp_path)) == 10


def test_a_job_is_told_all_it_needs(tmp_path):
    (job, second) = make_jobs(tmp_path / "my sweep's", "x=1", "x=2")
    job.hydra = second.hydra = ["hydra.verbose=true"]
    run_pool([job, second], flags=("--config-dir", "theirs"))
    assert seen(second.folder)["argv"] == [
        "--config-dir", "theirs", "x=2", "job=2", "hydra.verbose=true",
        f"hydra.run.dir='{tmp_path}/my sweep\\'s/2'", "hydra.mode=RUN", "hydra.job.num=1",
    ]  # fmt: skip
    assert seen(second.folder)["env"]["GENLAB_JOB"] == str(second.folder.resolve())


def test_only_a_job_that_was_begun_goes_on(tmp_path, capsys):
    begun, new = make_jobs(tmp_path, "x=1", "x=2")
    (begun.folder / ".hydra").mkdir(parents=True)
    (begun.folder / ".hydra" / "overrides.yaml").write_text("[]")
    run_pool([begun, new])
    resume = [f"resume={begun.folder}", "hydra.output_subdir=null"]
    assert seen(begun.folder)["argv"][-2:] == resume
    assert not {a for a in seen(new.folder)["argv"] if a.startswith(("resume", "hydra.output_subdir"))}
    assert "[1/2] x=1: goes on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("how", "code", "error"),
    [
        ("do=fail", 2, "the reason of the failure"),
        ("do=crash", 1, "ValueError: the reason of the crash"),
        ("do=mute say=sorry", 7, "sorry"),
        ("do=mute say=", 7, "ended with exit code 7 and said nothing"),
        ("do=orphan", -9, "killed by SIGKILL"),
    ],
)
def test_a_job_that_fails_is_recorded_in_one_line_and_the_others_go_on(tmp_path, capsys, how, code, error):
    assert run_pool(make_jobs(tmp_path, how, "x=2")) == 2
    failed = record(tmp_path / "1")
    assert (failed.exit_code, failed.error) == (code, error)
    assert jobs.has_failed(tmp_path / "1") and jobs.state(tmp_path / "2") == "finished"
    name = jobs.describe(how.split())
    assert f"[1/2] {name}: failed after 0 s: {error}" in capsys.readouterr().out.splitlines()


def test_an_error_of_an_earlier_attempt_is_not_told_again(tmp_path):
    (job,) = make_jobs(tmp_path, "do=mute say=new")
    job.folder.mkdir()
    (job.folder / "result.json").write_text('{"ended": "failed", "error": "the old one"}')
    (job.folder / "console.log").write_text("the old one\n")
    run_pool([job])
    assert record(job.folder).error == "new"


def test_the_log_of_the_console_has_command_and_output_of_each_attempt(tmp_path):
    jobs_ = make_jobs(tmp_path, "say=it's")
    for _ in range(2):
        run_pool(jobs_)
        (tmp_path / "1" / "result.json").unlink()
    lines = (tmp_path / "1" / "console.log").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["$", "it's", "$", "it's"]
    assert lines[0].startswith(f"$ {sys.executable} {JOB} 'say=it'\"'\"'s' job=1 hydra.run.dir=")


def test_a_job_that_another_process_finished_meanwhile_is_not_run(tmp_path):
    both = make_jobs(tmp_path, "x=1", "x=2")
    both[1].folder.mkdir()
    (both[1].folder / "result.json").write_text('{"ended": "finished"}')
    run_pool(both)
    assert diary(tmp_path) == ["begins 1", "ends 1"]


def test_ranks_that_a_dead_job_left_behind_are_killed(tmp_path):
    run_pool(make_jobs(tmp_path, "do=orphan"))
    orphan = int((tmp_path / "1" / "orphan").read_text())
    wait_for_end(orphan)


def test_a_busy_folder_is_waited_for_and_the_others_run_meanwhile(tmp_path, capsys):
    busy, free = make_jobs(tmp_path, "x=1", "x=2")
    lock = FolderLock(busy.folder)

    def give_back() -> None:
        try:
            wait_for(free.folder / "result.json")
            time.sleep(0.2)  # the pool looks a few times more
        finally:
            lock.release()

    other = threading.Thread(target=give_back)
    other.start()
    run_pool([busy, free])
    other.join()
    assert diary(tmp_path) == ["begins 2", "ends 2", "begins 1", "ends 1"]
    out = capsys.readouterr().out
    assert out.count("[1/2] x=1: waits for another process that is at work in its folder") == 1


def test_a_folder_that_cannot_be_made_is_an_error_and_running_jobs_are_ended(tmp_path):
    good, bad = make_jobs(tmp_path, "do=hang", "x=2")
    bad.folder.write_text("a file is in the way")
    with pytest.raises(UserError, match=r"2: cannot be written to \(File exists\)"):
        run_pool([good, bad], n_jobs=2)
    assert jobs.state(good.folder) != "finished"


def test_jobs_side_by_side_share_out_threads_and_devices(tmp_path, monkeypatch):
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run_pool(make_jobs(tmp_path, "do=hang until=2/seen.json", "x=2"), n_jobs=2, devices=("0", "3", "5"))
    envs = [seen(tmp_path / name)["env"] for name in "12"]
    assert [env["OMP_NUM_THREADS"] for env in envs] == ["4", "4"]
    assert [env["CUDA_VISIBLE_DEVICES"] for env in envs] == ["0", "3,5"]


def test_one_job_at_a_time_has_all_threads_and_devices(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    (job,) = make_jobs(tmp_path, "x=1")
    env = processes.environment(job, 0, 1, [])
    assert (env["OMP_NUM_THREADS"], env["CUDA_VISIBLE_DEVICES"]) == ("7", "4,5")


@pytest.mark.parametrize(
    ("cores", "allowed", "n_jobs", "threads"),
    [(8, None, 2, 4), (8, "3", 2, 3), (8, "9", 4, 2), (2, None, 5, 1)],
)
def test_slots_have_a_part_of_the_cores_but_never_more_than_the_user_allows(
    tmp_path, monkeypatch, cores, allowed, n_jobs, threads
):
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if allowed:
        monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    (job,) = make_jobs(tmp_path, "x=1")
    assert processes.environment(job, 0, n_jobs, [])["OMP_NUM_THREADS"] == str(threads)


@pytest.mark.parametrize("devices", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("n_jobs", [1, 2, 3, 4, 8])
def test_every_slot_has_a_device_and_none_lies_idle(devices, n_jobs):
    names = [str(k) for k in range(devices)]
    shares = [processes.share(names, slot, n_jobs) for slot in range(n_jobs)]
    assert all(shares) and {name for share in shares for name in share} == set(names)
    sizes = {len(share) for share in shares}
    assert max(sizes) - min(sizes) <= 1
    if devices >= n_jobs:
        assert sum(map(len, shares)) == devices  # a part of its own each


def test_a_job_is_no_rank_of_whatever_started_the_sweep(tmp_path, monkeypatch):
    launcher = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "GROUP_RANK")
    for name in (*launcher, "LOCAL_WORLD_SIZE", "KEPT"):
        monkeypatch.setenv(name, "1")
    (job,) = make_jobs(tmp_path, "x=1")
    env = processes.environment(job, 0, 1, [])
    assert env["KEPT"] == "1" and not set(env) & {*launcher, "LOCAL_WORLD_SIZE"}


def test_a_process_is_repeated_as_it_was_started(monkeypatch):
    monkeypatch.undo()  # the real `program`
    monkeypatch.setattr(sys, "argv", ["some/train.py", "x=1"])
    assert processes.program() == [sys.executable, os.path.abspath("some/train.py")]
