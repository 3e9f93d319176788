import math

import pytest
import torch
from torch.testing import assert_close

from genlab.objectives.likelihoods import DiscretizedLogistic

LEVELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1


def every_level(likelihood, params: torch.Tensor) -> torch.Tensor:
    """The probabilities `[256]` of the gray levels of one value with parameters `[P]`."""
    target = likelihood.target(LEVELS.to(params).view(256, 1, 1, 1))
    return likelihood.log_prob(params.view(1, -1, 1, 1, 1).expand(256, -1, 1, 1, 1), target).exp()


def some_params(components: int, spread: float) -> torch.Tensor:
    torch.manual_seed(components)
    return (spread * torch.randn(3 * components if components > 1 else 2)).double()


@pytest.mark.parametrize("components", [1, 2, 10])
@pytest.mark.parametrize("spread", [0.3, 3.0, 30.0])
def test_the_256_levels_sum_to_one(components, spread):
    likelihood = DiscretizedLogistic(components, log_scale_floor=-7.0)
    total = every_level(likelihood, some_params(components, spread)).sum()
    assert_close(total, torch.tensor(1.0).double(), rtol=0, atol=1e-6)


def test_a_level_has_the_mass_of_the_logistic_within_half_a_level_and_the_ends_all_beyond():
    # one component at .2 with log scale -2, far above a floor of -40: softplus is the identity there
    likelihood = DiscretizedLogistic(1, log_scale_floor=-40.0)
    got = every_level(likelihood, torch.tensor([0.2, -2.0], dtype=torch.float64))
    edges = torch.sigmoid((LEVELS + 1 / 255 - 0.2) * math.exp(2))
    expected = torch.cat([edges[:1], edges[1:255] - edges[:254], 1 - edges[254:255]])
    assert_close(got, expected, rtol=1e-6, atol=1e-12)


def test_a_mixture_weighs_its_components():
    likelihood = DiscretizedLogistic(2, log_scale_floor=-40.0)
    one = DiscretizedLogistic(1, log_scale_floor=-40.0)
    mixed = torch.tensor([-0.5, 0.6, -3.0, -1.0, math.log(3), 0.0], dtype=torch.float64)
    parts = [every_level(one, mixed[k::2][:2]) for k in range(2)]
    # weights 3/4 and 1/4
    assert_close(every_level(likelihood, mixed), 0.75 * parts[0] + 0.25 * parts[1], rtol=1e-6, atol=1e-12)


def test_targets_are_the_nearest_gray_levels_and_those_of_the_data_are_left_alone():
    likelihood = DiscretizedLogistic()
    assert_close(likelihood.target(LEVELS.float()), LEVELS.float(), rtol=0, atol=1e-6)
    between = torch.tensor([0.4, 0.6, -9.0]) / 127.5
    assert_close(likelihood.target(between - 1), torch.tensor([0.0, 1.0, 0.0]) / 127.5 - 1)
    assert likelihood.as_image(between) is between


@pytest.mark.parametrize("value", [-1e4, -30.0, 0.0, 30.0, 1e4])
@pytest.mark.parametrize("level", [0, 100, 255])
def test_log_prob_and_gradients_are_finite_at_extremes(value, level):
    likelihood = DiscretizedLogistic(3)
    params = torch.full((1, 9, 1, 1, 1), value).requires_grad_()
    target = LEVELS[level].float().view(1, 1, 1, 1)
    log_prob = likelihood.log_prob(params, target)
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and log_prob <= 0 and params.grad.isfinite().all()


def test_the_gradient_is_that_of_differences():
    likelihood = DiscretizedLogistic(2)
    params = some_params(2, 1.0).view(1, 6, 1, 1, 1).requires_grad_()
    for level in (0, 77, 255):
        target = LEVELS[level].view(1, 1, 1, 1)
        assert torch.autograd.gradcheck(lambda p, x=target: likelihood.log_prob(p, x), params)


def test_the_mean_is_that_of_the_levels_to_a_fraction_of_a_level():
    for components, spread in ((1, 0.5), (4, 1.0), (4, 10.0)):
        likelihood = DiscretizedLogistic(components)
        params = some_params(components, spread)
        expected = (every_level(likelihood, params) * LEVELS).sum()
        got = likelihood.mean(params.view(1, -1, 1, 1, 1)).squeeze()
        assert_close(got, expected, rtol=0, atol=0.5 / 127.5)


def test_samples_are_gray_levels_as_often_as_their_probabilities_say():
    torch.manual_seed(0)
    likelihood = DiscretizedLogistic(2, log_scale_floor=-40.0)
    params = torch.tensor([-0.9, 0.5, -3.0, -4.0, 1.0, 0.0])
    sample = likelihood.sample(params.view(1, 6, 1, 1, 1).expand(40_000, 6, 1, 1, 1)).flatten()
    level = ((sample + 1) * 127.5).round().long()
    assert_close(sample, level / 127.5 - 1)
    frequency = torch.bincount(level, minlength=256) / 40_000
    # four standard errors of the likeliest of 256 shares stay below .01
    assert_close(frequency, every_level(likelihood, params), rtol=0, atol=0.01)


@pytest.mark.parametrize("components", [1, 5])
def test_initial_params_predict_the_mean_image(components):
    likelihood = DiscretizedLogistic(components)
    mean = torch.tensor([-1.0, -0.95, -0.3, 0.0, 0.7, 1.0]).view(1, 2, 3)
    params = likelihood.initial_params(mean)
    assert params.shape == (likelihood.params_per_value, 1, 2, 3)
    assert_close(likelihood.mean(params), mean.clamp(-0.998, 0.998), rtol=0, atol=1e-5)


def test_no_location_predicts_data_evenly_around_its_mean_better_than_the_first_one():
    likelihood = DiscretizedLogistic(1, scale=0.05)
    data = torch.tensor([-20.0, -5.0, 0.0, 5.0, 20.0]).view(5, 1, 1, 1) / 127.5 + 0.2
    target = likelihood.target(data)
    params = likelihood.initial_params(target.mean(0)).requires_grad_()
    likelihood.log_prob(params.expand(5, 2, 1, 1, 1), target).sum().backward()
    assert_close(params.grad[0], torch.zeros(1, 1, 1), rtol=0, atol=2e-3)
    assert params.grad[1].abs() > 1  # the scale is another matter


def test_components_start_apart_so_that_they_can_part():
    params = DiscretizedLogistic(5).initial_params(torch.zeros(1, 1, 1))
    assert_close(params[:5].flatten(), torch.linspace(-0.5, 0.5, 5))


def test_all_levels_alike_cost_eight_bits():
    nats = torch.tensor([10 * math.log(256)])
    assert_close(DiscretizedLogistic().bits_per_dim(nats, 10), torch.tensor([8.0]))
    assert DiscretizedLogistic().unit == "nats, 8-bit gray levels"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"components": 0}, "components must be at least 1, got 0"),
        ({"scale": 0.0}, "scale must be above exp(log_scale_floor) = 0.0009119, got 0.0"),
        (
            {"scale": 0.01, "log_scale_floor": -3.0},
            "scale must be above exp(log_scale_floor) = 0.04979, got 0.01",
        ),
    ],
)
def test_what_a_mixture_cannot_be_is_refused_in_a_sentence(arguments, message):
    with pytest.raises(ValueError) as error:
        DiscretizedLogistic(**arguments)
    assert str(error.value) == message
