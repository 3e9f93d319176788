"""What a person watching a run sees."""

import math
import sys
import time
from typing import Any, TypeVar

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar, Timer
from tqdm import tqdm

from genlab.callbacks.meter import Meter
from genlab.callbacks.throughput import Throughput
from genlab.errors import UserError
from genlab.job_progress import is_job, tell
from genlab.tables import duration

T = TypeVar("T")

_TELL_EVERY = 0.5
"""Seconds between two words to the sweep."""

_STEPS = 1000
"""Resolution of the bar, which shows the share of the whole run."""


class Progress(ProgressBar):
    """One line that is renewed on a terminal; elsewhere a line of text for an epoch.

    It shows the epoch, the running means of `Meter`, the last `val/loss`, the rate of `Throughput` and the
    time left of the whole run, where the trainer's limits tell.
    """

    def __init__(self, *, refresh_seconds: float = 0.2, every_seconds: float = 5.0) -> None:
        """Creates the callback.

        Args:
            refresh_seconds: Time between two looks of the bar on a terminal, above 0.
            every_seconds: Time at least between two lines where the output is no terminal; the last epoch
                has a line always.

        Raises:
            UserError: If `refresh_seconds` is not above 0 or `every_seconds` is negative.
        """
        super().__init__()
        if refresh_seconds <= 0:
            raise UserError(f"callbacks.progress.refresh_seconds must be above 0, got {refresh_seconds}")
        if every_seconds < 0:
            raise UserError(f"callbacks.progress.every_seconds must be at least 0, got {every_seconds}")
        self.refresh_seconds = refresh_seconds
        self.every_seconds = every_seconds
        self._enabled = True
        self._bar: Any = None
        self._shown_at = -math.inf
        self._tells = False
        self._told_at = -math.inf
        self._began = 0.0
        self._share_at_start = 0.0

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def print(self, *args: Any) -> None:
        """Prints above the bar, for `LightningModule.print`."""
        text = " ".join(map(str, args))
        if self._bar is not None:
            self._bar.write(text, file=sys.stdout)
        else:
            print(text, flush=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.monotonic()
        self._shown_at = -math.inf
        self._share_at_start = share_done(trainer) or 0.0
        self._tells = self._enabled and is_job()
        if self._enabled and sys.stdout.isatty():
            self._bar = tqdm(total=_STEPS, file=sys.stdout, dynamic_ncols=True, bar_format="{bar:16}")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None and time.monotonic() - self._shown_at >= self.refresh_seconds:
            self._draw(trainer)
        elif self._tells and time.monotonic() - self._told_at >= _TELL_EVERY:
            self._tell(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._tells:
            self._tell(trainer)
        means = _epoch_means(trainer)  # on every rank: what is read here is first reduced over them
        if self._bar is not None:
            self._draw(trainer)
        elif self._enabled:
            recent = time.monotonic() - self._shown_at < self.every_seconds
            if not recent or _is_last(trainer):
                self._shown_at = time.monotonic()
                print("  ".join([_epoch(trainer), *self._facts(trainer, means)]), flush=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, trainer: Trainer) -> None:
        meter = _find(trainer, Meter)
        means = (meter.recent() if meter else {}) or _epoch_means(trainer)
        self._bar.n = round(_STEPS * (share_done(trainer) or 0.0))
        self._bar.bar_format = "  ".join([f"{_epoch(trainer)} {{bar:16}}", *self._facts(trainer, means)])
        self._bar.refresh()
        self._shown_at = time.monotonic()

    def _tell(self, trainer: Trainer) -> None:
        """Tells the sweep that this run is a job of."""
        self._told_at = time.monotonic()
        tell(share_done(trainer), "  ".join([_epoch(trainer), *_rate(trainer)]))

    def _facts(self, trainer: Trainer, means: dict[str, float]) -> list[str]:
        facts = [f"{name} {value:.4g}" for name, value in means.items()]
        if "val/loss" in trainer.callback_metrics:
            facts.append(f"val/loss {float(trainer.callback_metrics['val/loss']):.4g}")
        facts += _rate(trainer)
        left = self._seconds_left(trainer)
        return facts if left is None else [*facts, f"{duration(left)} left"]

    def _seconds_left(self, trainer: Trainer) -> float | None:
        done = share_done(trainer)
        if done is None or done <= self._share_at_start:
            return None
        pace = (time.monotonic() - self._began) / (done - self._share_at_start)
        return pace * max(0.0, 1 - done)


def share_done(trainer: Trainer) -> float | None:
    """How much of the whole run is done, in [0, 1], by the limit that is nearest; None without a limit."""
    shares = []
    if trainer.max_steps > 0:
        shares.append(trainer.global_step / trainer.max_steps)
    if trainer.max_epochs and trainer.max_epochs > 0 and math.isfinite(trainer.num_training_batches):
        batches = trainer.fit_loop.total_batch_idx + 1
        shares.append(batches / (trainer.max_epochs * max(1, trainer.num_training_batches)))
    timer = _find(trainer, Timer)
    if timer is not None and timer._duration:
        shares.append(timer.time_elapsed() / timer._duration)
    return min(1.0, max(shares)) if shares else None


def _rate(trainer: Trainer) -> list[str]:
    speed = _find(trainer, Throughput)
    rate = speed.images_per_second if speed else None
    return [] if speed is None or rate is None else [f"{rate:,.0f} {speed.of}/s"]


def _find(trainer: Trainer, kind: type[T]) -> T | None:
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, kind)), None)


def _epoch(trainer: Trainer) -> str:
    of = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
    return f"epoch {trainer.current_epoch + 1}{of}"


def _is_last(trainer: Trainer) -> bool:
    done = share_done(trainer)
    return trainer.should_stop or (done is not None and done >= 1)


def _epoch_means(trainer: Trainer) -> dict[str, float]:
    """The last epoch's means as `Meter` logged them."""
    metrics = trainer.callback_metrics
    return {n.removeprefix("train/"): float(v) for n, v in metrics.items() if n.startswith("train/")}
