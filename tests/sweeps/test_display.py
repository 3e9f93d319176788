import json
import os

import pytest

from genlab import job_progress
from genlab.job_progress import Look
from genlab.sweeps import display
from genlab.sweeps.display import Display, Estimate, status


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(display.time, "monotonic", lambda: Clock.now)
    return Clock


def test_nothing_is_estimated_before_anything_is_done(clock):
    estimate = Estimate(3)
    clock.now += 10
    assert estimate.seconds_left() is None
    estimate.see(1, 0.0)
    assert estimate.seconds_left() is None


def test_the_rest_takes_as_long_as_the_same_amount_before(clock):
    estimate = Estimate(4)
    estimate.see(1, 0.0)
    clock.now += 30
    estimate.see(1, 0.5)
    assert estimate.seconds_left() == pytest.approx(30 / 0.5 * 3.5)
    clock.now += 30
    estimate.end(1, well=True)
    assert estimate.seconds_left() == pytest.approx(60 * 3)
    clock.now += 180
    for job in (2, 3, 4):
        estimate.see(job, 0.0)
        estimate.end(job, well=True)
    assert estimate.seconds_left() == 0.0


def test_jobs_side_by_side_share_the_time(clock):
    estimate = Estimate(4)
    for job in (1, 2):
        estimate.see(job, 0.0)
    clock.now += 60
    for job in (1, 2):
        estimate.see(job, 1.0)
        estimate.end(job, well=True)
    assert estimate.seconds_left() == pytest.approx(60)  # two in a minute, two are left


def test_what_a_resumed_job_had_done_before_does_not_count(clock):
    estimate = Estimate(2)
    estimate.see(1, 0.5)
    clock.now += 10
    estimate.see(1, 0.75)
    assert estimate.seconds_left() == pytest.approx(10 / 0.25 * 1.25)
    estimate.end(1, well=True)
    assert estimate.seconds_left() == pytest.approx(10 / 0.5 * 1)


def test_what_a_resumed_job_had_done_is_unknown_until_it_tells(clock):
    estimate = Estimate(2)
    estimate.see(1, Look().share)  # it is starting
    clock.now += 10
    estimate.see(1, 0.5)
    assert estimate.seconds_left() is None
    clock.now += 10
    estimate.see(1, 0.75)
    assert estimate.seconds_left() == pytest.approx(20 / 0.25 * 1.25)


def test_of_a_failed_job_only_what_it_did_counts(clock):
    estimate = Estimate(3)
    estimate.see(1, 0.0)
    clock.now += 10
    estimate.see(1, 0.25)
    estimate.end(1, well=False)
    assert estimate.seconds_left() == pytest.approx(10 / 0.25 * 2)


def test_a_job_that_somebody_else_has_done_is_left_out(clock):
    estimate = Estimate(3)
    estimate.drop()
    estimate.see(2, 0.0)
    clock.now += 10
    estimate.end(2, well=True)
    assert estimate.seconds_left() == pytest.approx(10)


def test_a_job_that_failed_before_it_told_anything_estimates_nothing(clock):
    estimate = Estimate(2)
    estimate.end(1, well=False)
    clock.now += 10
    assert estimate.seconds_left() is None


def test_the_line_has_each_running_job_and_the_time_left():
    looks = {"2/4": Look(0.5, "epoch 3/6  900 images/s"), "3/4": Look()}
    assert status(looks, None) == ["[2/4] epoch 3/6  900 images/s", "[3/4] starting"]
    assert status(looks, 200.0)[-1] == "3 min 20 s left for the sweep"


def test_on_a_terminal_one_line_is_renewed_beneath_those_that_stay(clock, monkeypatch, capsys):
    monkeypatch.setattr(display.sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(display.shutil, "get_terminal_size", lambda: os.terminal_size((12, 24)))
    shown = Display()
    shown.show(["[1/2] epoch 1", "5 s left"])
    shown.show(["too soon"])
    clock.now += display.REFRESH
    shown.show(["x"])
    shown.say("done")
    shown.show(["y"])  # the line that stays has wiped it out
    assert capsys.readouterr().out == "\r\033[K[1/2] epoch\r\033[Kx\r\033[Kdone\n\r\033[Ky"


def test_where_the_output_is_no_terminal_lines_are_plain_and_rare(clock, capsys):
    shown = Display()
    shown.say("begins")
    shown.show(["[1/2] too", "soon"])
    clock.now += display.EVERY / 2
    shown.show(["[1/2] too", "soon"])
    clock.now += display.EVERY / 2
    shown.show(["[1/2] a", "b"])
    shown.show(["too soon"])
    assert capsys.readouterr().out == "begins\n[1/2] a  b\n"


def test_a_job_tells_and_the_sweep_looks(tmp_path, monkeypatch):
    monkeypatch.setattr(job_progress, "_folder", [])
    monkeypatch.setenv(job_progress.JOB, str(tmp_path))
    assert job_progress.take_over() and job_progress.is_job()
    assert job_progress.JOB not in os.environ  # what a job starts is none
    job_progress.tell(0.25, "epoch 1/4")
    assert job_progress.look(tmp_path) == Look(0.25, "epoch 1/4")
    job_progress.tell(None, "epoch 7")  # a run without a limit
    assert job_progress.look(tmp_path) == Look(None, "epoch 7")
    job_progress.forget(tmp_path)
    job_progress.forget(tmp_path)
    assert job_progress.look(tmp_path) == Look()


def test_a_process_that_no_sweep_started_is_no_job(monkeypatch):
    monkeypatch.delenv(job_progress.JOB, raising=False)
    assert not job_progress.take_over() and not job_progress.is_job()


@pytest.mark.parametrize("cut", range(0, 38, 4))
def test_a_half_written_word_tells_nothing(tmp_path, cut):
    whole = json.dumps({"share": 0.5, "text": "epoch 中文"})
    (tmp_path / "progress.json").write_text(whole[:cut], encoding="utf-8")
    assert job_progress.look(tmp_path) == Look() and len(whole) > cut


@pytest.mark.parametrize("content", ["[]", "null", "3", '{"share": "x", "text": ""}', '{"share": 1}'])
def test_a_word_that_is_none_tells_nothing(tmp_path, content):
    (tmp_path / "progress.json").write_text(content)
    assert job_progress.look(tmp_path) == Look()


def test_a_full_disk_does_not_stop_the_job(tmp_path, monkeypatch):
    monkeypatch.setattr(job_progress, "_folder", [str(tmp_path / "gone")])
    job_progress.tell(0.5, "epoch 1")
