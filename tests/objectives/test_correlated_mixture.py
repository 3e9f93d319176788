"""Mixtures of normal distributions with full covariances."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from genlab.objectives.mixture_density import MixtureDensity
from genlab.objectives.outputs import log_scale

SLOPES = [0.5, -1.0, 2.0]  # of the second column on the first; of the third on the first and on the second


def params_of(means, raws, slopes, logits=(0.0,)):
    return torch.tensor([[*logits, *means, *raws, *slopes]])


def normal(mean, raw, slopes):
    """The same distribution by its covariance: x - mean = (I - slope)^-1 diag(sigma) e."""
    slope = torch.tensor([[0.0, 0, 0], [slopes[0], 0, 0], [slopes[1], slopes[2], 0]])
    sigma = log_scale(torch.tensor(raw), -5.0).exp()
    factor = torch.linalg.inv(torch.eye(3) - slope) @ torch.diag(sigma)
    return MultivariateNormal(torch.tensor(mean), factor @ factor.T)


def test_a_component_is_a_normal_distribution_of_full_covariance():
    output = MixtureDensity(1, correlated=True, num_features=3)
    assert output.params_per_step == 1 + 3 + 3 + 3 and output.noise_per_step == 4
    mean, raw = [1.0, -2.0, 0.5], [0.3, -1.0, 0.0]
    target = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    nats = output.log_prob(params_of(mean, raw, SLOPES).expand(5, -1), target)
    torch.testing.assert_close(nats, normal(mean, raw, SLOPES).log_prob(target))


def test_mixed_precision_takes_nothing_from_the_density():
    output, generator = MixtureDensity(4, correlated=True, num_features=3), torch.Generator().manual_seed(0)
    params = torch.randn(5, output.params_per_step, generator=generator) * 3
    target = torch.randn(5, 3, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = output.log_prob(params, target)
    torch.testing.assert_close(mixed, output.log_prob(params, target))


def test_two_components_have_slopes_of_their_own():
    output = MixtureDensity(2, correlated=True, num_features=3)
    first = ([1.0, -2.0, 0.5], [0.3, -1.0, 0.0], SLOPES)
    second = ([0.0, 0.0, 0.0], [0.0, 0.5, -0.5], [-0.7, 0.0, 0.2])
    parts = [sum(both, []) for both in zip(first, second, strict=True)]
    params = params_of(*parts, logits=(math.log(0.25), math.log(0.75)))
    target = torch.tensor([[[0.3, -1.0, 2.0]]])
    expected = 0.25 * normal(*first).log_prob(target).exp() + 0.75 * normal(*second).log_prob(target).exp()
    torch.testing.assert_close(output.log_prob(params[None], target), expected.log())
    assert output.likeliest(params).tolist() == [[0, 0, 0]]


def test_draws_have_the_covariance_of_their_component():
    output = MixtureDensity(2, correlated=True, num_features=3)
    first, second = ([1.0, -2.0, 0.5], [0.3, -1.0, 0.0], SLOPES), ([9.0] * 3, [0.0] * 3, [0.0] * 3)
    parts = [sum(both, []) for both in zip(first, second, strict=True)]
    params = params_of(*parts, logits=(30.0, 0.0)).expand(40_000, -1)
    noise = torch.rand(40_000, 4, generator=torch.Generator().manual_seed(0)).clamp(1e-6, 1 - 1e-6)
    drawn, wanted = output.draw(params, noise), normal(*first)
    torch.testing.assert_close(drawn.mean(0), wanted.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), wanted.covariance_matrix, atol=0.1, rtol=0.03)


def test_without_slopes_it_is_the_mixture_without_correlations():
    plain, full = (MixtureDensity(4, correlated=c, num_features=2) for c in (False, True))
    start = full.initial_params()
    assert torch.equal(start[: plain.params_per_step], plain.initial_params())
    assert start[plain.params_per_step :].tolist() == [0] * 4
    target, noise = torch.randn(3, 2), torch.rand(3, 3)
    both = [output.initial_params().expand(3, -1) for output in (plain, full)]
    torch.testing.assert_close(full.log_prob(both[1], target), plain.log_prob(both[0], target))
    torch.testing.assert_close(full.draw(both[1], noise), plain.draw(both[0], noise))


def test_a_single_column_has_nothing_to_depend_on():
    output = MixtureDensity(2, correlated=True, num_features=1)
    assert output.params_per_step == 6
    assert float(output.log_prob(output.initial_params(), torch.zeros(1))) == pytest.approx(
        float(MixtureDensity(2, num_features=1).log_prob(output.initial_params(), torch.zeros(1)))
    )
