"""The KL held at a capacity that grows.

Letters in shapes: K draws of z per image, B batch, L latent dimensions.
"""

from torch import Tensor

from genlab.objectives.bounds import START, Terms, Training, VariationalLoss


class Capacity(VariationalLoss):
    """-log p(x|z) + gamma |KL(q(z|x) || p(z)) - C| (Burgess et al. 2018, arXiv:1804.03599, eq. 8).

    C grows in a straight line from 0, so that the latent learns one factor of the images after another.
    """

    closed_form = True
    weighs_kl = False

    def __init__(self, gamma: float = 10.0, capacity: float = 25.0, steps: int = 10_000):
        """Sets how strictly the KL is held, and where.

        Args:
            gamma: nats of loss for each nat that the KL is off, at least 0.
            capacity: C in the end, nats per image, at least 0.
            steps: steps of the optimizer until then, at least 1.

        Raises:
            ValueError: if a number is out of its range.
        """
        if gamma < 0 or capacity < 0:
            raise ValueError(f"gamma and capacity must be at least 0, got {gamma} and {capacity}")
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.gamma, self.capacity, self.steps = gamma, capacity, steps

    def __call__(self, terms: Terms, training: Training = START) -> Tensor:
        capacity = self.capacity * min(1.0, training.step / self.steps)
        return (self.gamma * (terms.divergence - capacity).abs() - terms.log_px).mean()
