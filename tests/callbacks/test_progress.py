import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from callback_stubs import quiet_trainer, run

from genlab.callbacks.meter import Meter
from genlab.callbacks.progress import Progress, share_done
from genlab.callbacks.throughput import Throughput
from genlab.errors import UserError


def fit(folder: Path, progress: Progress, **settings: Any) -> Any:
    callbacks = [Meter(), Throughput(warm_up=1), progress]
    trainer = quiet_trainer(folder, callbacks, logger=False, enable_progress_bar=True, **settings)
    run(trainer)
    return trainer


LINE = r"epoch {}  objective 0\.\d+  size \d+\.\d+  val/loss 0\.\d+  [\d,]+ images/s  \d+ s left"


def test_elsewhere_than_on_a_terminal_an_epoch_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path, Progress(every_seconds=0))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for epoch, line in enumerate(lines, start=1):
        assert re.fullmatch(LINE.format(f"{epoch}/3"), line), line


def test_lines_keep_their_distance_and_the_last_one_always_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path, Progress(every_seconds=1000))
    out = capsys.readouterr()
    assert [line[:9] for line in out.out.splitlines()] == ["epoch 1/3", "epoch 3/3"]
    assert "epoch" not in out.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    fit(tmp_path, Progress(refresh_seconds=1e-9))
    text = terminal.getvalue()
    assert text.count("\n") == 1 and text.count("\r") > 20
    last = text.rstrip("\n").split("\r")[-1]
    bar, facts = last.split("  ", 1)
    assert re.match(r"epoch 3/3 [#█]{16}$", bar)
    assert re.fullmatch(LINE.format(""), f"epoch   {facts.rstrip()}"), last


def test_a_disabled_bar_is_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(every_seconds=0)
    progress.disable()
    fit(tmp_path, progress)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({"max_epochs": 2}, [1 / 14, 13 / 14]),
        ({"max_steps": 20}, [1 / 20, 13 / 20]),
        ({"max_epochs": 4, "max_steps": 20}, [1 / 20, 13 / 20]),
    ],
)
def test_the_share_of_the_run_follows_its_nearest_limit(
    settings: dict[str, Any], shares: list[float], tmp_path: Path
) -> None:
    seen = []

    class Look(Progress):
        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            seen.append(share_done(trainer))

    fit(tmp_path, Look(), **settings)
    assert [seen[0], seen[12]] == pytest.approx(shares, rel=1e-12)


def test_impossible_intervals_are_told() -> None:
    with pytest.raises(UserError, match=r"^callbacks.progress.refresh_seconds must be above 0, got 0$"):
        Progress(refresh_seconds=0)
    with pytest.raises(UserError, match=r"^callbacks.progress.every_seconds must be at least 0, got -1$"):
        Progress(every_seconds=-1)
