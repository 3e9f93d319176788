import pytest
import torch
from torch.testing import assert_close

from genlab.objectives.bounds import ELBO, Terms
from genlab.objectives.gaussians import kl_standard_normal, log_normal

LOG_PX = torch.tensor([-10.0, -20.0])
KL = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


def terms(log_px, kl):
    """The terms that a loss of the KL in closed form looks at."""
    return Terms(log_px, torch.zeros(1, *kl.shape), torch.zeros_like(kl), torch.zeros_like(kl), kl)


@pytest.mark.parametrize(("beta", "expected"), [(0.0, 15.0), (1.0, 20.0), (2.0, 25.0)])
def test_elbo_sums_over_latents_and_averages_over_the_batch(beta, expected):
    # images cost 10 + 3 beta and 20 + 7 beta nats
    assert_close(ELBO(beta)(terms(LOG_PX, KL)), torch.tensor(expected))


def test_elbo_weighs_the_gradient_of_the_kl_by_beta():
    log_px, kl = LOG_PX.clone().requires_grad_(), KL.clone().requires_grad_()
    ELBO(beta=4.0)(terms(log_px, kl)).backward()
    assert_close(log_px.grad, torch.full((2,), -0.5))
    assert_close(kl.grad, torch.full((2, 2), 2.0))


def test_elbo_refuses_a_negative_beta():
    with pytest.raises(ValueError, match=r"^beta must be at least 0, got -1$"):
        ELBO(-1)


def linear_gaussian_elbo(x, mean, var):
    """The ELBO of z ~ N(0, 1), x ~ N(2z, 1/4) at q = N(mean, var).

    log p(x|z) is quadratic in z, so its mean over the two points mean +- sigma is its mean over q.
    """
    z = torch.stack([mean + var.sqrt(), mean - var.sqrt()])
    log_px = log_normal(x, 2 * z, torch.tensor(0.25).log()).mean(0)
    return -ELBO()(terms(log_px, kl_standard_normal(mean, var.log())[:, None]))


def test_elbo_equals_the_evidence_at_the_true_posterior_and_lies_below_it_elsewhere():
    # p(x) = N(0, 4 + 1/4); posterior precision 1 + 4 / (1/4) = 17, mean 2 x / (1/4) / 17
    x = torch.tensor([0.3, -1.7])
    evidence = log_normal(x, torch.tensor(0.0), torch.tensor(4.25).log()).mean()
    mean, var = 8 * x / 17, torch.full((2,), 1 / 17)
    assert_close(linear_gaussian_elbo(x, mean, var), evidence)
    # beside the posterior the gap is KL(q || posterior): shifted by .1 it is .1^2 * 17 / 2
    assert_close(evidence - linear_gaussian_elbo(x, mean + 0.1, var), torch.tensor(0.085))
    # with twice the variance 1/2 (2 - 1 - ln 2)
    assert_close(evidence - linear_gaussian_elbo(x, mean, 2 * var), torch.tensor(0.5 * (1 - 0.6931472)))
