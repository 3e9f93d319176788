"""The KL in three parts, one of which is how much the latent dimensions depend on each other.

Letters in shapes: K draws of z per image, B batch, L latent dimensions, N images of the training data.
"""

import torch
from torch import Tensor

from genlab.objectives.bounds import START, Terms, Training, VariationalLoss
from genlab.objectives.gaussians import log_normal


class BetaTC(VariationalLoss):
    """-log p(x|z) + MI + beta TC + dimension-wise KL (Chen et al. 2018, arXiv:1802.04942, eq. 4).

    With q(z) the mean of q(z|x) over the training data, and means over draws:

        MI = log q(z|x) - log q(z),  TC = log q(z) - sum_j log q(z_j),  dimension-wise KL = sum_j log q(z_j) - log p(z)

    beta = 1 gives the sampled KL itself. q(z) is estimated from the batch of each process by minibatch-stratified
    sampling.
    """

    densities = True
    closed_form = True
    one_prior = True
    one_posterior = True

    def __init__(self, beta: float = 6.0):
        """Sets the weight of the total correlation.

        Args:
            beta: at least 0.

        Raises:
            ValueError: if beta is negative.
        """
        if beta < 0:
            raise ValueError(f"beta must be at least 0, got {beta}")
        self.beta = beta

    def __call__(self, terms: Terms, training: Training = START) -> Tensor:
        assert terms.log_p is not None
        mutual, correlation, dimensions = kl_parts(terms, training.num_train or len(terms.mean))
        kl = mutual + self.beta * correlation + dimensions
        return (training.kl_weight * kl - terms.log_px).mean()


def kl_parts(terms: Terms, num_train: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mutual information, total correlation and dimension-wise KL, each `[K, B]`, for N = `num_train`."""
    assert terms.log_p is not None
    pairs = log_normal(terms.z[:, :, None], terms.mean, terms.log_var)  # [K, B, B, L]: z of i under q of j
    log_weights = stratified_weights(len(terms.mean), num_train).log().to(pairs)  # [B, B]
    log_qz = (log_weights + pairs.sum(-1)).logsumexp(2)  # [K, B]
    log_marginals = (log_weights[:, :, None] + pairs).logsumexp(2).sum(-1)  # [K, B]
    return terms.log_q - log_qz, log_qz - log_marginals, log_marginals - terms.log_p


def stratified_weights(batch: int, num_train: int) -> Tensor:
    """How much q(z|x_j) counts in q(z) at a draw of image i, `[B, B]`; rows sum to 1.

    1/N for the image itself, (N - M) / (N M) for one of the M = B - 1 others, 1/M for the rest
    (Chen et al. 2018, appendix C.2): an unbiased estimate of q(z), at a z that knows its own image.
    """
    others = batch - 1
    if others < 1:
        return torch.ones(batch, batch)
    size = max(num_train, batch)
    weights = torch.full((batch, batch), 1 / others)
    rows = torch.arange(batch)
    weights[rows, rows] = 1 / size
    weights[rows, (rows + 1) % batch] = (size - others) / (size * others)
    return weights
