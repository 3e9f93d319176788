"""Ends training when validation no longer improves."""

from typing import Any, Literal

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping
from torch import Tensor

from genlab.errors import UserError


class EarlyStopping(LightningEarlyStopping):
    """Lightning's early stopping, which can be off, and whose patience may be changed by a resume."""

    def __init__(
        self,
        *,
        patience: int | None = None,
        monitor: str = "val/loss",
        mode: Literal["min", "max"] = "min",
        min_delta: float = 0.0,
    ) -> None:
        """Creates the callback.

        Args:
            patience: Validations without improvement after which training ends; None for never.
            monitor: Name of the watched number, one that validation logs.
            mode: Whether a smaller (`"min"`) or larger (`"max"`) number is better.
            min_delta: What counts as an improvement has to be larger than this, in units of the number.

        Raises:
            UserError: If the mode is neither, or the patience is less than 1.
        """
        if mode not in ("min", "max"):
            raise UserError(f"callbacks.early_stopping.mode must be min or max, got {mode}")
        if patience is not None and patience < 1:
            raise UserError(
                f"callbacks.early_stopping.patience must be at least 1, or null for never, got {patience}"
            )
        super().__init__(
            monitor=monitor,
            mode=mode,
            min_delta=min_delta,
            patience=patience or 1,
            check_on_train_epoch_end=False,  # an epoch cut short has no validation of its own
        )
        self._on = patience is not None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})

    has_stopped = False
    """Whether it ended the training, in this process."""

    def _evaluate_stopping_criteria(self, current: Tensor) -> tuple[bool, str | None]:
        stop, reason = super()._evaluate_stopping_criteria(current)
        self.has_stopped = self.has_stopped or stop
        return stop, reason

    def _should_skip_check(self, trainer: Trainer) -> bool:
        return not self._on or super()._should_skip_check(trainer)

    def _validate_condition_metric(self, logs: dict[str, Tensor]) -> bool:
        if self.monitor not in logs:
            raise UserError(
                f"callbacks.early_stopping.monitor is {self.monitor}, which is not logged; "
                f"logged: {', '.join(sorted(logs)) or 'nothing'}; choose one of these, or patience: null"
            )
        return True
