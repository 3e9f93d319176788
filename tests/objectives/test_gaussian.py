import math

import pytest
import torch
from torch.distributions import Normal
from torch.testing import assert_close

from genlab.objectives.likelihoods import Gaussian

GRAY_LEVEL = 2 / 255


@pytest.mark.parametrize("learned", ["none", "scalar", "pixel"])
def test_log_prob_agrees_with_torch_distributions_where_sigma_is_its_first_value(learned):
    likelihood = Gaussian(scale=0.3, learned=learned)
    generator = torch.Generator().manual_seed(0)
    mean, target = torch.randn(2, 4, 3, 5, 7, generator=generator)
    params = likelihood.initial_params(torch.zeros(3, 5, 7)).repeat(4, 1, 1, 1, 1)
    params[:, 0] = mean
    expected = Normal(mean, 0.3).log_prob(target).sum((1, 2, 3))
    assert params.shape[1] == likelihood.params_per_value
    assert_close(likelihood.log_prob(params, target), expected)


def test_each_value_has_its_own_sigma_where_it_is_learned_per_pixel():
    # far above the floor softplus is the identity: the second parameter is log sigma
    likelihood = Gaussian(learned="pixel", log_scale_floor=-30.0)
    params = torch.tensor([[0.1, math.log(0.5)], [0.1, math.log(2.0)]]).view(2, 2, 1, 1, 1)
    target = torch.full((2, 1, 1, 1), 0.4)
    expected = Normal(torch.tensor([0.1, 0.1]), torch.tensor([0.5, 2.0])).log_prob(torch.tensor(0.4))
    assert_close(likelihood.log_prob(params, target), expected)


def test_log_prob_pulls_the_mean_by_the_error_over_the_variance():
    params = torch.tensor([0.5]).view(1, 1, 1, 1, 1).requires_grad_()
    Gaussian(scale=0.1).log_prob(params, torch.full((1, 1, 1, 1), 0.6)).sum().backward()
    assert_close(params.grad.flatten(), torch.tensor([10.0]))  # .1 / .1^2


def test_one_learned_sigma_is_drawn_to_the_root_of_the_mean_squared_error():
    torch.manual_seed(0)
    likelihood = Gaussian(scale=1.0, learned="scalar")
    target = 0.2 * torch.randn(64, 1, 4, 4)
    params = torch.zeros(64, 1, 1, 4, 4)
    optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        (-likelihood.log_prob(params, target).mean()).backward()
        optimizer.step()
    # where the prediction is perfect, each of the 16 values has density 1 / (sqrt(2 pi) sigma)
    peak = likelihood.log_prob(params[:1], torch.zeros(1, 1, 4, 4)) / 16
    sigma = (-peak).exp() / math.sqrt(2 * math.pi)
    assert_close(sigma, target.square().mean().sqrt().view(1), rtol=0.01, atol=0)


@pytest.mark.parametrize("learned", ["scalar", "pixel"])
def test_a_learned_sigma_stops_at_its_floor_and_can_come_back(learned):
    likelihood = Gaussian(learned=learned, log_scale_floor=-5.0)
    if learned == "scalar":
        likelihood.raw_scale.data.fill_(-1000.0)
    params = torch.tensor([0.2, -1000.0])[: likelihood.params_per_value].view(1, -1, 1, 1, 1)
    # a perfect prediction: the density is 1 / (sqrt(2 pi) exp(-5))
    highest = 5 - 0.5 * math.log(2 * math.pi)
    assert_close(likelihood.log_prob(params, torch.full((1, 1, 1, 1), 0.2)), torch.tensor([highest]))

    raw = torch.tensor(-8.0)  # three below the floor, with an error that asks for a larger sigma
    if learned == "scalar":
        likelihood.raw_scale.data.copy_(raw)
        leaf = likelihood.raw_scale
    else:
        params[:, 1] = raw
        leaf = params.requires_grad_()
    likelihood.log_prob(params, torch.full((1, 1, 1, 1), 0.9)).sum().backward()
    assert leaf.grad.flatten()[-1] > 0


def test_dequantised_targets_spread_evenly_over_one_gray_level_around_the_pixel():
    torch.manual_seed(0)
    image = torch.full((1000, 1, 8, 8), 0.5)
    noise = (Gaussian().target(image) - image).flatten()
    assert noise.abs().max().item() == pytest.approx(GRAY_LEVEL / 2, rel=1e-3)
    assert noise.mean().item() == pytest.approx(0, abs=4 * GRAY_LEVEL / math.sqrt(12 * len(noise)))
    assert noise.std().item() == pytest.approx(GRAY_LEVEL / math.sqrt(12), rel=0.01)


def test_targets_are_the_pixels_themselves_without_dequantising():
    image = torch.rand(2, 3, 4, 4)
    assert torch.equal(Gaussian(dequantize=False).target(image), image)


def test_an_encoder_sees_the_dequantised_pixels_themselves():
    target = Gaussian().target(torch.rand(2, 1, 4, 4))
    assert torch.equal(Gaussian().as_image(target), target)


def test_mean_is_the_output_cut_to_the_range_of_pixels():
    params = torch.tensor([-1.5, 0.25, 3.0]).view(3, 1, 1, 1, 1)
    assert_close(Gaussian().mean(params).flatten(), torch.tensor([-1.0, 0.25, 1.0]))


def test_samples_spread_by_sigma_around_the_mean_within_the_range_of_pixels():
    torch.manual_seed(0)
    likelihood = Gaussian(scale=0.1, learned="pixel")
    params = likelihood.initial_params(torch.tensor([0.3, 0.99]).view(1, 1, 2)).repeat(40_000, 1, 1, 1, 1)
    sample = likelihood.sample(params).view(40_000, 2)
    assert sample[:, 0].mean().item() == pytest.approx(0.3, abs=0.002)
    assert sample[:, 0].std().item() == pytest.approx(0.1, rel=0.02)
    assert sample.max() == 1


def test_initial_params_predict_the_mean_image():
    mean = torch.rand(3, 4, 5) * 2 - 1
    for learned in ("none", "scalar", "pixel"):
        likelihood = Gaussian(learned=learned)
        params = likelihood.initial_params(mean)
        assert params.shape == (likelihood.params_per_value, 3, 4, 5)
        assert_close(likelihood.mean(params[None])[0], mean)


def test_a_uniform_density_over_the_gray_levels_costs_eight_bits():
    # dequantised pixels fill [-1 - 1/255, 1 + 1/255], 256 levels of width 1/127.5: density 127.5 / 256
    nats = torch.tensor([10 * math.log(256 / 127.5)])
    assert_close(Gaussian().bits_per_dim(nats, 10), torch.tensor([8.0]))


def test_undequantised_densities_are_not_bits_of_pixels():
    assert Gaussian(dequantize=False).bits_per_dim(torch.tensor(1.0), 10) is None


def test_nats_say_what_the_density_is_of():
    assert Gaussian().unit == "nats, density of dequantised pixels in [-1, 1]"
    assert Gaussian(dequantize=False).unit == "nats, density of pixels in [-1, 1]"


def test_a_fixed_sigma_is_no_weight():
    assert not Gaussian().state_dict()
    assert list(Gaussian(learned="scalar").state_dict()) == ["raw_scale"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learned": "image"}, "learned must be one of none, scalar, pixel; got 'image'"),
        ({"scale": 0.0}, "scale must be above 0, got 0.0"),
        (
            {"learned": "pixel", "dequantize": False},
            "a learned scale needs dequantize=true, got learned='pixel' with dequantize=false: "
            "the density of undequantised pixels has no upper limit",
        ),
        (
            {"learned": "scalar", "scale": 0.006},
            "scale must be above exp(log_scale_floor) = 0.006738, got 0.006",
        ),
    ],
)
def test_what_a_gaussian_cannot_be_is_refused_in_a_sentence(arguments, message):
    with pytest.raises(ValueError) as error:
        Gaussian(**arguments)
    assert str(error.value) == message
