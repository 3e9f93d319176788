"""Variational bounds: what a variational autoencoder minimises, and the evidence lower bound itself.

Letters in shapes: K draws of z per image, B batch, L latent dimensions. A datum is called an image, and may be a
sequence; where it has latents step by step, the draws have those of all its steps, T times as many as L.
"""

from typing import NamedTuple

from torch import Tensor

from genlab.objectives.gaussians import log_normal


class Terms(NamedTuple):
    """What a variational objective is made of, in nats; z is drawn from q(z|x) = N(mean, exp(log_var)).

    Attributes:
        log_px: `[K, B]`, log p(x|z) at each draw, summed over the values of an image.
        z: `[K, B, L]`, the draws, with the gradient of mean and log_var.
        mean: `[B, L]`; `[K, B, T L]` where a step's posterior depends on the latents drawn before it.
        log_var: `[B, L]`, or as `mean`.
        kl: `[B, L]`, KL(q(z|x) || p(z)) of each dimension, summed over steps; None where it has no closed form.
        log_p: `[K, B]`, log p(z) at each draw; None where there is `kl` and the loss does not ask for it.
    """

    log_px: Tensor
    z: Tensor
    mean: Tensor
    log_var: Tensor
    kl: Tensor | None
    log_p: Tensor | None = None

    @property
    def log_q(self) -> Tensor:
        """Log q(z|x) at each draw, `[K, B]`."""
        return log_normal(self.z, self.mean, self.log_var).sum(-1)

    @property
    def divergence(self) -> Tensor:
        """The KL of each image, `[B]` in closed form, else `[K, B]`, unbiased, from the draws."""
        if self.kl is not None:
            return self.kl.sum(1)
        assert self.log_p is not None
        return self.log_q - self.log_p


class Training(NamedTuple):
    """Where a training stands.

    Attributes:
        step: steps of the optimizer that are done.
        kl_weight: what the schedule of the KL says at this step.
        num_train: how many images there are to train on; None where nobody knows.
    """

    step: int = 0
    kl_weight: float = 1.0
    num_train: int | None = None


START = Training()
"""Before the first step, with the KL as it is."""


class VariationalLoss:
    """Interface: the terms of the evidence lower bound to the objective that is trained.

    Attributes:
        samples: K, the draws of z per image that it wants.
        densities: whether it looks at log p(z) of the draws, also where the KL has a closed form.
        closed_form: whether it needs the KL of each dimension in closed form.
        one_prior: whether it needs a prior that is the same for every image.
        one_posterior: whether all draws for an image have to come from one posterior.
        weighs_kl: whether `training.kl_weight` multiplies its KL.
    """

    samples: int = 1
    densities: bool = False
    closed_form: bool = False
    one_prior: bool = False
    one_posterior: bool = False
    weighs_kl: bool = True

    def __call__(self, terms: Terms, training: Training = START) -> Tensor:
        """Gives the objective to minimise, nats per image: a scalar, the mean over the batch."""
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

    def __call__(self, terms: Terms, training: Training = START) -> Tensor:
        return (self.beta * training.kl_weight * terms.divergence - terms.log_px).mean()
