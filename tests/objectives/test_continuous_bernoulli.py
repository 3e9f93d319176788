import pytest
import torch
from torch.testing import assert_close

from genlab.objectives.likelihoods import ContinuousBernoulli

LOGITS = [-30.0, -3.0, -0.3, -0.03, 1e-4, 0.15, 0.25, 4.0, 20.0]


def params_of(logits: list[float], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(logits, dtype=dtype).view(-1, 1, 1, 1, 1)


def test_log_prob_agrees_with_torch_distributions():
    params = params_of(LOGITS)
    for gray in (0.0, 0.2, 0.5, 1.0):
        target = torch.full((len(LOGITS), 1, 1, 1), gray, dtype=torch.float64)
        theirs = torch.distributions.ContinuousBernoulli(logits=params[:, 0], lims=(0.4999, 0.5001))
        got = ContinuousBernoulli().log_prob(params, target)
        assert_close(got, theirs.log_prob(target).flatten(), rtol=1e-6, atol=1e-6)


def test_log_prob_is_summed_over_an_image():
    torch.manual_seed(0)
    params, target = torch.randn(4, 1, 3, 5, 7), torch.rand(4, 3, 5, 7)
    expected = torch.distributions.ContinuousBernoulli(logits=params[:, 0]).log_prob(target).sum((1, 2, 3))
    assert_close(ContinuousBernoulli().log_prob(params, target), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("logit", [-50.0, -1.0, 0.0, 0.19, 0.21, 7.0])
def test_the_density_integrates_to_one(logit):
    x = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    params = torch.full((1, 1, 1, 1), logit, dtype=torch.float64).expand(200_000, 1, 1, 1, 1)
    total = ContinuousBernoulli().log_prob(params, x.view(-1, 1, 1, 1)).exp().mean()
    assert_close(total, torch.tensor(1.0).double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_prob_and_gradients_are_finite_at_extremes_and_at_zero(dtype):
    params = params_of([-1e6, -1e3, -1e-6, 0.0, 1e-6, 1e3, 1e6], dtype).requires_grad_()
    for gray in (0.0, 1.0):
        log_prob = ContinuousBernoulli().log_prob(params, torch.full((7, 1, 1, 1), gray, dtype=dtype))
        (gradient,) = torch.autograd.grad(log_prob.sum(), params)
        assert log_prob.isfinite().all() and gradient.isfinite().all()


def test_the_gradient_is_the_target_less_the_mean():
    # an exponential family: d log p / d logit = x - E[x]
    params = params_of(LOGITS).requires_grad_()
    target = torch.full((len(LOGITS), 1, 1, 1), 0.3, dtype=torch.float64)
    ContinuousBernoulli().log_prob(params, target).sum().backward()
    gray = (ContinuousBernoulli().mean(params.detach()) + 1) / 2
    assert_close(params.grad[:, 0], target - gray, rtol=1e-6, atol=1e-7)


def test_mean_agrees_with_torch_distributions():
    theirs = torch.distributions.ContinuousBernoulli(logits=params_of(LOGITS)[:, 0], lims=(0.4999, 0.5001))
    assert_close(ContinuousBernoulli().mean(params_of(LOGITS)), theirs.mean * 2 - 1, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("logit", [-25.0, -2.0, 0.0, 5.0])
def test_samples_have_the_mean_and_the_spread_of_the_distribution(logit):
    torch.manual_seed(0)
    params = torch.full((40_000, 1, 1, 1, 1), logit)
    gray = (ContinuousBernoulli().sample(params) + 1) / 2
    theirs = torch.distributions.ContinuousBernoulli(logits=torch.tensor(logit, dtype=torch.float64))
    assert gray.min() >= 0 and gray.max() <= 1
    assert_close(gray.mean().double(), theirs.mean, rtol=0.02, atol=0)
    assert_close(gray.std().double(), theirs.stddev, rtol=0.03, atol=0)


def test_targets_are_gray_values_and_come_back_as_images():
    image = torch.rand(2, 3, 4, 4) * 2 - 1
    likelihood = ContinuousBernoulli()
    assert_close(likelihood.target(torch.tensor([-1.0, 0.0, 0.5])), torch.tensor([0.0, 0.5, 0.75]))
    assert_close(likelihood.as_image(likelihood.target(image)), image)


def test_initial_params_are_the_best_constant_prediction():
    torch.manual_seed(0)
    likelihood = ContinuousBernoulli()
    target = likelihood.target(torch.rand(50, 3, 4, 4) * 2 - 1)
    params = likelihood.initial_params(target.mean(0) * 2 - 1).requires_grad_()
    likelihood.log_prob(params.expand(50, 1, 3, 4, 4), target).sum().backward()
    assert_close(params.grad, torch.zeros(1, 3, 4, 4), atol=1e-4, rtol=0)


def test_initial_params_of_black_and_white_are_finite():
    params = ContinuousBernoulli().initial_params(torch.tensor([-1.0, 1.0]).view(1, 1, 2))
    # far from zero the mean is 1 - 1/logit of the gray scale: .999 at 1000
    assert_close(params.flatten(), torch.tensor([-1000.0, 1000.0]), rtol=1e-3, atol=0)


def test_nats_are_of_a_density_and_no_bits_of_pixels():
    assert ContinuousBernoulli().unit == "nats, density of gray values in [0, 1]"
    assert ContinuousBernoulli().bits_per_dim(torch.tensor(1.0), 10) is None
