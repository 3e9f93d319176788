"""A loss: the KL is held below a ceiling that rises."""

from torch import Tensor

from genlab.errors import UserError
from genlab.objectives.bounds import START, Terms, Training, VariationalLoss


class Ceiling(VariationalLoss):
    """-log p(x|z) + gamma max(0, KL(q(z|x) || p(z)) - ceiling).

    Like the capacity of Burgess et al. 2018 (arXiv:1804.03599, eq. 8), which pulls the KL up as well as down. The
    ceiling rises in a straight line from 0. How far it has risen follows from the step: a resumed run is exact.
    """

    closed_form = True
    weighs_kl = False

    def __init__(self, gamma: float = 10.0, ceiling: float = 20.0, steps: int = 2000):
        """Sets how strictly the KL is held, and where.

        Args:
            gamma: nats of loss for each nat that the KL is too much, at least 0.
            ceiling: nats of KL per image in the end, at least 0.
            steps: steps of the optimizer until then, at least 1.

        Raises:
            UserError: a number is out of its range.
        """
        if gamma < 0 or ceiling < 0 or steps < 1:
            raise UserError(
                "gamma and ceiling must be at least 0 and steps at least 1, "
                f"got gamma={gamma}, ceiling={ceiling}, steps={steps}"
            )
        self.gamma, self.ceiling, self.steps = gamma, ceiling, steps

    def __call__(self, terms: Terms, training: Training = START) -> Tensor:
        """The objective: a scalar, the mean over the batch."""
        ceiling = self.ceiling * min(1.0, training.step / self.steps)
        return (self.gamma * (terms.divergence - ceiling).relu() - terms.log_px).mean()
