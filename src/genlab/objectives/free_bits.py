"""A KL that costs nothing below a threshold.

Letters in shapes: K draws of z per image, B batch, L latent dimensions.
"""

from torch import Tensor

from genlab.objectives.bounds import START, Terms, Training, VariationalLoss


class FreeBits(VariationalLoss):
    """-log p(x|z) + sum_j max(threshold, mean over the batch of KL_j) (Kingma 2016, arXiv:1606.04934, eq. 15).

    Each latent dimension has so many nats for free, so that none gives up early in the training. The mean is
    over the batch of each process.
    """

    closed_form = True

    def __init__(self, threshold: float = 0.25):
        """Sets what is free.

        Args:
            threshold: nats of each latent dimension, at least 0; .125 to .5 are usual.

        Raises:
            ValueError: if the threshold is negative.
        """
        if threshold < 0:
            raise ValueError(f"threshold must be at least 0, got {threshold}")
        self.threshold = threshold

    def __call__(self, terms: Terms, training: Training = START) -> Tensor:
        assert terms.kl is not None
        kl = terms.kl.mean(0).clamp(min=self.threshold).sum()
        return training.kl_weight * kl - terms.log_px.mean()
