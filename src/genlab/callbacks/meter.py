"""Running averages of what `training_step` returns.

`self.log` costs a third of a millisecond a call. Here a step costs a list append; numbers are read from
the device only when they are written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from genlab.callbacks.ranks import gather, pick

_MANY = 4096
"""Values held at most before they are read, where nothing is written for long."""


@dataclass
class Averages:
    """Sums and counts by name.

    Values are added one by one in double precision, so the sums do not depend on when they were read.
    """

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + value
        self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        return {name: total / self.counts[name] for name, total in self.sums.items()}

    def clear(self) -> None:
        self.sums.clear()
        self.counts.clear()


class Meter(Callback):
    """Averages and logs the scalars that `training_step` returns beside `loss`.

    - Every `trainer.log_every_n_steps` steps the means since the last time go to the loggers as
      `train/<name>`, with `train/lr` (of several optimizers `train/lr_0`, `train/lr_1`, ...): those of
      rank 0.
    - At the end of an epoch its means, over all ranks, go to `trainer.callback_metrics` and, with
      `epoch`, to the loggers.

    A resume also finds `trainer.callback_metrics` as they were, e.g. the last `val/loss`.

    Steps and epochs are handed to loggers as Lightning does: counted from zero.
    """

    def __init__(self) -> None:
        self._unread: list[tuple[str, Tensor]] = []
        self._recent = Averages()
        self._epoch = Averages()
        self._rates: list[Any] = []
        self._written = 0
        self._metrics: dict[str, float] = {}

    def recent(self) -> dict[str, float]:
        """Means since the last write, e.g. for a progress bar; waits for the device."""
        self._read()
        return self._recent.means()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        known = trainer._logger_connector._callback_metrics
        known.update({name: torch.tensor(value) for name, value in self._metrics.items()})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._written = trainer.global_step

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._rates = [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if isinstance(outputs, Mapping):
            self._take(outputs)
        step, every = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and step % every == 0 and step != self._written:
            self._read()
            self._write(trainer, self._recent.means())
            self._recent.clear()
            self._written = step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._read()
        means = _over_ranks(trainer, self._epoch)
        self._epoch.clear()
        named = {f"train/{name}": value for name, value in means.items()}
        pl_module.log_dict(named, logger=False, batch_size=1, sync_dist=trainer.world_size > 1)
        self._write(trainer, means, epoch=trainer.current_epoch)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._read()
        state = {"recent": asdict(self._recent), "epoch": asdict(self._epoch)}
        checkpoint["meter"] = gather(trainer, state)
        checkpoint["metrics"] = {name: float(value) for name, value in trainer.callback_metrics.items()}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = pick(trainer, checkpoint.get("meter"))
        self._unread.clear()
        self._recent = Averages(**state["recent"]) if state else Averages()
        self._epoch = Averages(**state["epoch"]) if state else Averages()
        self._metrics = checkpoint.get("metrics", {})

    def _take(self, outputs: Mapping[str, Any]) -> None:
        for name, value in outputs.items():
            if name == "loss":
                continue
            if isinstance(value, Tensor):
                self._unread.append((name, value.detach()))
            else:
                self._recent.add(name, float(value))
                self._epoch.add(name, float(value))
        if len(self._unread) > _MANY:
            self._read()

    def _read(self) -> None:
        for name, value in _values(self._unread):
            self._recent.add(name, value)
            self._epoch.add(name, value)
        self._unread.clear()

    def _write(self, trainer: Trainer, means: dict[str, float], *, epoch: int | None = None) -> None:
        if not trainer.is_global_zero:
            return
        row: dict[str, float] = {} if epoch is None else {"epoch": epoch}
        row |= {f"train/{name}": value for name, value in means.items()}
        row |= _named_rates(self._rates, getattr(trainer.lightning_module, "optimizer_names", None))
        for logger in trainer.loggers:
            logger.log_metrics(row, step=trainer.global_step - 1)


def _values(named: list[tuple[str, Tensor]]) -> Iterator[tuple[str, float]]:
    """Names with numbers, read from the device in one go."""
    if not named:
        return iter(())
    names, tensors = zip(*named, strict=True)
    return zip(names, torch.stack([tensor.float() for tensor in tensors]).tolist(), strict=True)


def _named_rates(rates: list[Any], names: Sequence[str] | None) -> dict[str, float]:
    if len(rates) == 1:
        return {"train/lr": float(rates[0])}
    if names is None:
        return {f"train/lr_{index}": float(rate) for index, rate in enumerate(rates)}
    return {f"train/{name}_lr": float(rate) for name, rate in zip(names, rates, strict=False)}


def _over_ranks(trainer: Trainer, averages: Averages) -> dict[str, float]:
    """The means over all values of all ranks."""
    if trainer.world_size == 1:
        return averages.means()
    names = sorted(averages.sums)
    pairs = [[averages.sums[name], averages.counts[name]] for name in names]
    here = torch.tensor(pairs, dtype=torch.float64, device=trainer.strategy.root_device)
    total = trainer.strategy.reduce(here, reduce_op="sum")
    return {name: float(total[row, 0] / total[row, 1]) for row, name in enumerate(names)}
