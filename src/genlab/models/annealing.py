"""Where a training stands, for losses that change on the way: the step, and the weight of the KL."""

from pytorch_lightning import Trainer

from genlab.errors import UserError
from genlab.kl_schedules import Constant, KLSchedule
from genlab.models.optimization import steps_per_epoch, total_steps
from genlab.objectives.bounds import Training, VariationalLoss


class Annealing:
    """The course of a schedule of the KL over one training."""

    def __init__(self, schedule: KLSchedule, loss: VariationalLoss) -> None:
        """Holds the schedule against the loss.

        Raises:
            UserError: the loss has no KL that a schedule could weigh.
        """
        self.constant = isinstance(schedule, Constant)
        if not self.constant and not loss.weighs_kl:
            raise UserError(
                f"{type(schedule).__name__} schedules the weight of a KL, and {type(loss).__name__} weighs none: "
                "set model/kl_schedule=constant, or choose model/loss=elbo, beta_tc or free_bits"
            )
        self.schedule = schedule
        self._lengths = {"steps_per_epoch": 1, "total_steps": 1}

    def prepare(self, trainer: Trainer) -> None:
        """Learns the length of the training, where the schedule follows it.

        Raises:
            UserError: the schedule needs a length, and the trainer knows none.
        """
        if self.constant:
            return
        total, epoch = total_steps(trainer), steps_per_epoch(trainer)
        if total is None and self.schedule.needs_length:
            raise UserError(
                f"the schedule {type(self.schedule).__name__} needs the length of the training, which is not "
                "limited in epochs or steps: set trainer.max_epochs or trainer.max_steps, or another model/kl_schedule"
            )
        if epoch is None:
            raise UserError(
                "a schedule of the KL needs the number of batches in an epoch, and this data is endless: "
                "set trainer.limit_train_batches, or model/kl_schedule=constant"
            )
        self._lengths = {"steps_per_epoch": epoch, "total_steps": 1 if total is None else total}

    def now(self, trainer: Trainer | None) -> Training:
        """Where the training stands: it follows from `trainer.global_step`, so a resumed run goes on exactly."""
        if trainer is None:
            return Training()
        step = trainer.global_step
        weight = 1.0 if self.constant else self.schedule.weight(step, **self._lengths)
        return Training(step, weight, getattr(getattr(trainer, "datamodule", None), "num_train", None))
