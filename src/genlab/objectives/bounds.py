"""Variational bounds: what a variational autoencoder minimises.

Letters in shapes: B batch, L latent dimensions.
"""

from torch import Tensor


class VariationalLoss:
    """Interface: the terms of the evidence lower bound to the objective that is trained."""

    def __call__(self, log_px: Tensor, kl: Tensor) -> Tensor:
        """Gives the objective to minimise, nats per image.

        Args:
            log_px: `[B]`, log p(x|z) with z drawn from q(z|x), summed over the values of an image.
            kl: `[B, L]`, KL(q(z|x) || p(z)) of each latent dimension.

        Returns:
            A scalar, the mean over the batch.
        """
        raise NotImplementedError


class ELBO(VariationalLoss):
    """The negative evidence lower bound, -log p(x|z) + beta KL(q(z|x) || p(z)).

    beta = 1 is the bound itself (Kingma & Welling 2014, eq. 7); another value is the beta-VAE
    (Higgins 2017, eq. 4).
    """

    def __init__(self, beta: float = 1.0):
        """Sets the weight of the KL.

        Args:
            beta: at least 0; 0 trains a plain autoencoder.

        Raises:
            ValueError: if beta is negative.
        """
        if beta < 0:
            raise ValueError(f"beta must be at least 0, got {beta}")
        self.beta = beta

    def __call__(self, log_px: Tensor, kl: Tensor) -> Tensor:
        return (self.beta * kl.sum(1) - log_px).mean()
