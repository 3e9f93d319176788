import math

import pytest
import torch
from torch.testing import assert_close

from genlab.objectives.likelihoods import Categorical


def test_log_prob_agrees_with_torch_distributions_summed_over_an_image():
    torch.manual_seed(0)
    likelihood = Categorical(16)
    params, image = torch.randn(4, 16, 3, 5, 7), torch.rand(4, 3, 5, 7) * 2 - 1
    target = likelihood.target(image)
    expected = torch.distributions.Categorical(logits=params.movedim(1, -1)).log_prob(target).sum((1, 2, 3))
    assert_close(likelihood.log_prob(params, target), expected)


@pytest.mark.parametrize("levels", [2, 256])
def test_the_levels_sum_to_one(levels):
    torch.manual_seed(0)
    likelihood = Categorical(levels)
    params = (5 * torch.randn(1, levels, 1, 1, 1)).expand(levels, levels, 1, 1, 1)
    total = likelihood.log_prob(params, torch.arange(float(levels)).view(-1, 1, 1, 1)).exp().sum()
    assert_close(total, torch.tensor(1.0))


def test_targets_count_the_levels_and_come_back_as_images():
    gray = torch.arange(256) / 127.5 - 1
    assert_close(Categorical().target(gray), torch.arange(256.0))
    assert_close(Categorical().as_image(torch.arange(256.0)), gray)
    coarse = Categorical(4)
    # 64 levels of 8 bits in each: 0..63 look like their mean, 31.5
    assert_close(coarse.target(gray), (torch.arange(256) // 64).float())
    assert_close(coarse.as_image(torch.tensor([0.0, 3.0])), torch.tensor([31.5, 223.5]) / 127.5 - 1)
    beyond = torch.tensor([-1.2, 1.2])
    assert_close(Categorical().target(beyond), torch.tensor([0.0, 255.0]))


@pytest.mark.parametrize("value", [-1e4, 0.0, 1e4])
def test_log_prob_and_gradients_are_finite_at_extremes(value):
    params = torch.zeros(1, 256, 1, 1, 1)
    params[:, 3] = value
    params.requires_grad_()
    log_prob = Categorical().log_prob(params, torch.full((1, 1, 1, 1), 3.0))
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and params.grad.isfinite().all()


def test_log_prob_has_gradient_one_hot_minus_probabilities():
    params = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 4, 1, 1, 1).requires_grad_()
    Categorical(4).log_prob(params, torch.full((1, 1, 1, 1), 2.0)).sum().backward()
    expected = torch.tensor([0.0, 0, 1, 0]) - params.detach().flatten().softmax(0)
    assert_close(params.grad.flatten(), expected)


def test_samples_are_levels_as_often_as_their_probabilities_say():
    torch.manual_seed(0)
    likelihood = Categorical(4)
    params = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().view(1, 4, 1, 1, 1).expand(40_000, 4, 1, 1, 1)
    sample = likelihood.sample(params)
    frequency = torch.bincount(likelihood.target(sample).flatten().long()) / 40_000
    assert_close(frequency, torch.tensor([0.1, 0.2, 0.3, 0.4]), rtol=0, atol=0.01)
    assert_close(sample.mean(), likelihood.mean(params[:1]).squeeze(), rtol=0, atol=0.01)


@pytest.mark.parametrize("levels", [2, 32, 256])
def test_initial_params_are_the_best_constant_prediction_by_the_mean_alone(levels):
    likelihood = Categorical(levels)
    end = 0.998 * float(likelihood.values[-1])
    mean = torch.tensor([-1.0, -0.4, 0.0, 0.3, 1.0]).view(1, 1, 5)
    params = likelihood.initial_params(mean)
    assert params.shape == (levels, 1, 1, 5)
    assert_close(likelihood.mean(params), mean.clamp(-end, end), rtol=0, atol=1e-4)
    # largest entropy at a mean: the log probabilities are linear in the gray
    steps = params.log_softmax(0).diff(dim=0)
    assert_close(steps, steps[:1].expand_as(steps), rtol=1e-3, atol=1e-4)


def test_all_levels_alike_cost_eight_bits_and_coarser_ones_are_no_bits_of_pixels():
    nats = torch.tensor([10 * math.log(256)])
    assert_close(Categorical().bits_per_dim(nats, 10), torch.tensor([8.0]))
    assert Categorical(128).bits_per_dim(nats, 10) is None
    assert [Categorical(n).unit for n in (256, 32)] == ["nats, 8-bit gray levels", "nats, gray in 32 levels"]


def test_levels_that_do_not_divide_256_are_refused_with_those_that_do():
    with pytest.raises(ValueError) as error:
        Categorical(100)
    assert str(error.value) == "levels must be one of 2, 4, 8, 16, 32, 64, 128, 256; got 100"


def test_the_gray_of_the_levels_is_no_weight():
    assert not Categorical().state_dict()
