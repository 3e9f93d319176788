import math

import pytest
import torch
from torch.testing import assert_close

from genlab.objectives.likelihoods import Bernoulli


def gray(value, count=1):
    return torch.full((count, 1, 1, 1), value)


def test_log_prob_agrees_with_torch_distributions_summed_over_an_image():
    generator = torch.Generator().manual_seed(0)
    params = 3 * torch.randn(4, 1, 2, 3, 5, generator=generator)
    target = (torch.rand(4, 2, 3, 5, generator=generator) > 0.5).float()
    expected = torch.distributions.Bernoulli(logits=params[:, 0]).log_prob(target).sum((1, 2, 3))
    assert_close(Bernoulli().log_prob(params, target), expected)


def test_log_prob_of_a_gray_target_is_the_cross_entropy():
    # probability 3/4, target 1/4: 1/4 ln 3/4 + 3/4 ln 1/4
    params = torch.full((1, 1, 1, 1, 1), math.log(3))
    expected = 0.25 * math.log(0.75) + 0.75 * math.log(0.25)
    assert_close(Bernoulli("none").log_prob(params, gray(0.25)), torch.tensor([expected]))


def test_log_prob_has_gradient_target_minus_probability():
    params = torch.tensor([-2.0, 0.5, 4.0]).view(3, 1, 1, 1, 1).requires_grad_()
    target = torch.tensor([0.0, 1.0, 1.0]).view(3, 1, 1, 1)
    Bernoulli().log_prob(params, target).sum().backward()
    assert_close(params.grad[:, 0], target - params.detach()[:, 0].sigmoid())


def test_log_prob_of_certain_and_wrong_logits_is_finite_and_exact():
    params = torch.tensor([-200.0, 200.0]).view(2, 1, 1, 1, 1)
    assert_close(Bernoulli().log_prob(params, gray(1.0, 2)), torch.tensor([-200.0, 0.0]))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 11, 11), (1, 1, 127), (1, 1, 1)])
@pytest.mark.parametrize("gray_values", [False, True])
def test_log_prob_without_gradients_is_that_with_them(shape, gray_values):
    # 784 and 3072 values are many groups, 121 = 11 * 11, 127 is a prime: one group for each
    generator = torch.Generator().manual_seed(0)
    params = 6 * torch.randn(5, 4, 1, *shape, generator=generator)
    target = torch.rand(4, *shape, generator=generator)
    target = target if gray_values else (target > 0.5).float()
    kept = params.clone()
    with torch.no_grad():
        found = Bernoulli("none").log_prob(params, target)
    assert_close(found, Bernoulli("none").log_prob(params, target), rtol=2e-6, atol=2e-5)
    assert found.shape == (5, 4)
    assert torch.equal(params, kept)


@torch.no_grad()
def test_log_prob_without_gradients_neither_under_nor_overflows():
    # logits 0: 784 times ln 1/2, whose product 2^-784 is no number of single precision; then certain ones
    params = torch.stack(
        [torch.zeros(1, 1, 28, 28), *(torch.full((1, 1, 28, 28), x) for x in (-200.0, 200.0))]
    )
    target = torch.ones(3, 1, 28, 28)
    expected = torch.tensor([784 * math.log(0.5), 784 * -200.0, 0.0])
    assert_close(Bernoulli().log_prob(params[:, 0].unsqueeze(1), target), expected)
    prime = Bernoulli().log_prob(torch.zeros(1, 1, 1, 1, 151), target[:1, :, :1, :1].expand(1, 1, 1, 151))
    assert_close(prime, torch.tensor([151 * math.log(0.5)]))
    assert Bernoulli().log_prob(torch.full((1, 1, 1, 1, 2), torch.nan), target[:1, :, :1, :2]).isnan().all()


@torch.no_grad()
def test_log_prob_without_gradients_is_exact_where_all_pixels_are_nearly_certain():
    # each pixel costs log(1 + e^-12); sums of the logits themselves, 9408, would leave 1e-3 of rounding
    params, target = torch.full((1, 1, 1, 28, 28), 12.0), torch.ones(1, 1, 28, 28)
    expected = torch.tensor([-784 * math.log1p(math.exp(-12))])
    assert_close(Bernoulli().log_prob(params, target), expected, rtol=0, atol=5e-5)


def test_sampled_targets_are_ones_as_often_as_the_pixel_is_bright():
    torch.manual_seed(0)
    frequency = [Bernoulli().target(gray(value, 40_000)).mean().item() for value in (-1.0, -0.5, 0.6, 1.0)]
    # four standard errors of 40,000 draws: 4 sqrt(.8 * .2 / 40000) < .01
    assert frequency == pytest.approx([0, 0.25, 0.8, 1], abs=0.01)
    assert frequency[0] == 0 and frequency[3] == 1


def test_sampled_targets_are_zeros_and_ones_drawn_anew_each_time_from_the_global_stream():
    image = torch.zeros(2, 3, 8, 8)
    torch.manual_seed(0)
    first, second = Bernoulli().target(image), Bernoulli().target(image)
    torch.manual_seed(0)
    assert_close(Bernoulli().target(image), first)
    assert not torch.equal(first, second)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not image.any()  # the image itself is left as it was


def test_targets_by_threshold_and_by_gray_value_draw_nothing():
    image = torch.tensor([-1.0, -0.5, 0.5, 1.0]).view(4, 1, 1, 1)
    state = torch.get_rng_state()
    assert_close(Bernoulli("threshold").target(image).flatten(), torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert_close(Bernoulli("none").target(image).flatten(), torch.tensor([0.0, 0.25, 0.75, 1.0]))
    assert torch.equal(torch.get_rng_state(), state)


def test_an_encoder_sees_targets_on_the_scale_of_images():
    assert_close(Bernoulli().as_image(torch.tensor([0.0, 1.0])), torch.tensor([-1.0, 1.0]))
    image = torch.rand(2, 1, 4, 4) * 2 - 1
    assert_close(Bernoulli("none").as_image(Bernoulli("none").target(image)), image)


def test_mean_is_the_probability_on_the_scale_of_pixels():
    # logit ln 3 is probability 3/4, pixel 1/2
    params = torch.tensor([0.0, math.log(3), -100.0]).view(3, 1, 1, 1, 1)
    assert_close(Bernoulli().mean(params), torch.tensor([0.0, 0.5, -1.0]).view(3, 1, 1, 1))


def test_samples_are_black_or_white_with_the_mean_of_the_distribution():
    torch.manual_seed(0)
    params = torch.full((40_000, 1, 1, 1, 1), math.log(3))
    sample = Bernoulli().sample(params)
    assert sample.shape == (40_000, 1, 1, 1)
    assert set(sample.unique().tolist()) == {-1.0, 1.0}
    assert sample.mean().item() == pytest.approx(0.5, abs=0.02)


def test_initial_params_are_log_odds_of_the_clipped_mean():
    mean = torch.tensor([-1.0, 0.0, 0.5, 1.0]).view(1, 2, 2)
    edge = math.log(0.999 / 0.001)
    expected = torch.tensor([-edge, 0.0, math.log(3), edge]).view(1, 1, 2, 2)
    assert_close(Bernoulli().initial_params(mean), expected)


@pytest.mark.parametrize("binarize", ["sample", "none"])
def test_initial_params_are_the_best_constant_prediction(binarize):
    torch.manual_seed(0)
    likelihood = Bernoulli(binarize)
    target = likelihood.target(torch.rand(50, 3, 4, 4) * 2 - 1)
    params = likelihood.initial_params(target.mean(0) * 2 - 1).requires_grad_()
    likelihood.log_prob(params.expand(50, 1, 3, 4, 4), target).sum().backward()
    assert_close(params.grad, torch.zeros(1, 3, 4, 4), atol=1e-4, rtol=0)


def test_nats_say_how_gray_became_black_and_white_and_are_never_bits_of_pixels():
    assert [Bernoulli(way).unit for way in ("sample", "threshold", "none")] == [
        "nats, binarized anew each batch",
        "nats, binarized at one half",
        "nats, gray values as probabilities",
    ]
    assert Bernoulli().bits_per_dim(torch.tensor(80.0), 784) is None


def test_an_unknown_binarization_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"^binarize must be one of sample, threshold, none; got 'dynamic'$"):
        Bernoulli("dynamic")
