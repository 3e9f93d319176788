import math

import torch
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from genlab.objectives.gaussians import kl_standard_normal, log_normal


def test_kl_to_the_standard_normal_equals_numbers_derived_by_hand():
    # N(0,1): 0. N(1,1): 1/2 (1 + 1 - 1 - 0). N(0,4): 1/2 (0 + 4 - 1 - ln 4).
    mean = torch.tensor([[0.0, 1.0, 0.0]])
    log_var = torch.tensor([[0.0, 0.0, math.log(4)]])
    assert_close(kl_standard_normal(mean, log_var), torch.tensor([[0.0, 0.5, 0.5 * (3 - math.log(4))]]))


def test_kl_to_the_standard_normal_agrees_with_torch_distributions():
    mean, log_var = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    expected = kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(0.0, 1.0))
    assert_close(kl_standard_normal(mean, log_var), expected)


def test_kl_has_gradients_mean_and_half_of_variance_minus_one():
    mean = torch.tensor([[0.3, -2.0]], requires_grad=True)
    log_var = torch.tensor([[0.5, -1.0]], requires_grad=True)
    kl_standard_normal(mean, log_var).sum().backward()
    assert_close(mean.grad, mean.detach())
    assert_close(log_var.grad, (log_var.detach().exp() - 1) / 2)


def test_kl_is_the_mean_of_log_q_minus_log_p_over_draws_from_q():
    mean, log_var = torch.tensor(0.7), torch.tensor(-0.8)
    noise = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    z = mean + (log_var / 2).exp() * noise
    draws = log_normal(z, mean, log_var) - log_normal(z, torch.tensor(0.0), torch.tensor(0.0))
    error = draws.std().item() / math.sqrt(len(draws))
    assert_close(draws.mean(), kl_standard_normal(mean, log_var), atol=4 * error, rtol=0)


def test_log_normal_agrees_with_torch_distributions_element_by_element():
    x, mean, log_var = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    assert_close(log_normal(x, mean, log_var), Normal(mean, (log_var / 2).exp()).log_prob(x))


def test_log_normal_has_the_gradients_of_the_formula():
    # d/dmean = (x - mean) / var = 1 / 4; d/dlog_var = 1/2 ((x - mean)^2 / var - 1) = 1/2 (1/4 - 1)
    mean = torch.tensor(2.0, requires_grad=True)
    log_var = torch.tensor(math.log(4), requires_grad=True)
    log_normal(torch.tensor(3.0), mean, log_var).backward()
    assert_close(mean.grad, torch.tensor(0.25))
    assert_close(log_var.grad, torch.tensor(-0.375))
