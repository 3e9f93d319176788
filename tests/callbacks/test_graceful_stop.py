import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from callback_stubs import TinyModel, all_callbacks, quiet_trainer, run
from pytorch_lightning import Callback, Trainer

from comparisons import assert_same
from genlab.callbacks.graceful_stop import Interrupted

MESSAGE = "stopping after this batch; once more to leave at once without saving"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process on Windows")


class Signal(Callback):
    """Sends this process a signal in the midst of something."""

    def __init__(self, signum: int, *, hook: str, batches: int) -> None:
        self.signum, self.batches, self.sent = signum, batches, False
        setattr(self, hook, self.send)

    def send(self, trainer: Trainer, *args: Any) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == self.batches and not self.sent:
            self.sent = True
            os.kill(os.getpid(), self.signum)


def stopped(folder: Path, signum: int, hook: str, batches: int, **settings: Any) -> Interrupted:
    with pytest.raises(Interrupted) as stop:
        run(quiet_trainer(folder, [*all_callbacks(), Signal(signum, hook=hook, batches=batches)], **settings))
    return stop.value


def saved_step(folder: Path) -> int:
    return torch.load(folder / "checkpoints" / "last.ckpt")["global_step"]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_honoured_at_the_end_of_the_batch(
    signum: int, code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    stop = stopped(tmp_path, signum, "on_train_batch_start", 3)
    assert (stop.exit_code, stop.code, stop.signal_name) == (code, code, signal.Signals(signum).name)
    assert saved_step(tmp_path) == 3
    assert MESSAGE in capfd.readouterr().err
    assert {s: signal.getsignal(s) for s in before} == before

    resumed = run(quiet_trainer(tmp_path, all_callbacks()), resume=True)
    whole = run(quiet_trainer(tmp_path / "whole", all_callbacks()))
    assert_same(whole.state_dict(), resumed.state_dict())
    assert (tmp_path / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


@pytest.mark.parametrize(
    ("hook", "batches", "settings", "saved"),
    [
        ("on_train_batch_start", 7, {}, 7),  # the epoch's last batch: after its validation and its end
        ("on_validation_batch_start", 7, {}, 7),
        ("on_validation_batch_start", 3, {"val_check_interval": 3}, 3),
        ("on_train_batch_start", 3, {"val_check_interval": 3}, 3),
        ("on_train_batch_start", 3, {"accumulate_grad_batches": 4}, 1),  # when the gradients are used
    ],
)
def test_it_waits_for_a_point_to_resume_from(
    hook: str, batches: int, settings: dict[str, Any], saved: int, tmp_path: Path
) -> None:
    stopped(tmp_path, signal.SIGTERM, hook, batches, **settings)
    assert saved_step(tmp_path) == saved
    resumed = run(quiet_trainer(tmp_path, all_callbacks(), **settings), resume=True)
    whole = run(quiet_trainer(tmp_path / "whole", all_callbacks(), **settings))
    assert_same(whole.state_dict(), resumed.state_dict())
    assert (tmp_path / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


def test_a_signal_in_the_last_validation_lets_the_run_finish(tmp_path: Path) -> None:
    callbacks = [*all_callbacks(), Signal(signal.SIGINT, hook="on_validation_batch_start", batches=21)]
    trainer = quiet_trainer(tmp_path, callbacks)
    run(trainer)
    assert trainer.current_epoch == 3 and not trainer.interrupted


def test_in_a_notebook_the_same_callbacks_can_go_on(tmp_path: Path) -> None:
    callbacks = [*all_callbacks(), Signal(signal.SIGINT, hook="on_train_batch_start", batches=3)]
    with pytest.raises(Interrupted):
        run(quiet_trainer(tmp_path, callbacks))
    trainer = quiet_trainer(tmp_path, callbacks)
    run(trainer, resume=True)
    assert trainer.current_epoch == 3


def test_the_live_weights_are_back_after_a_stop_in_validation(tmp_path: Path) -> None:
    model = TinyModel()
    callbacks = [*all_callbacks(), Signal(signal.SIGINT, hook="on_validation_batch_start", batches=7)]
    with pytest.raises(Interrupted):
        run(quiet_trainer(tmp_path, callbacks), model)
    assert_same(torch.load(tmp_path / "checkpoints" / "last.ckpt")["state_dict"], dict(model.state_dict()))


def test_a_second_signal_leaves_at_once_without_saving(tmp_path: Path) -> None:
    script = f"""
        import os, signal, sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from pytorch_lightning import Callback
        from callback_stubs import all_callbacks, quiet_trainer, run

        class Twice(Callback):
            def on_train_batch_start(self, trainer, *args):
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(60)

        run(quiet_trainer(Path({str(tmp_path)!r}), [*all_callbacks(), Twice()]))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == -signal.SIGTERM
    assert done.stderr.count(MESSAGE) == 1
    assert not list(tmp_path.rglob("*.ckpt"))
