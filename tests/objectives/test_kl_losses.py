"""Losses that do something else with the KL than weigh it: capacity, free bits, total correlation."""

import math

import pytest
import torch
from torch.distributions import Normal
from torch.testing import assert_close

from genlab.objectives.bounds import ELBO, Terms, Training
from genlab.objectives.capacity import Capacity
from genlab.objectives.free_bits import FreeBits
from genlab.objectives.gaussians import kl_standard_normal, log_normal, log_standard_normal
from genlab.objectives.total_correlation import BetaTC, kl_parts, stratified_weights

LOG_PX = torch.tensor([[-10.0, -20.0]])
KL = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
ZERO = torch.zeros(2, 2)
TERMS = Terms(LOG_PX, ZERO[None], ZERO, ZERO, KL)


def test_capacity_pulls_the_kl_to_what_the_step_allows():
    # KL 3 and 7 nats, reconstruction 10 and 20; gamma 2; C is 0, 2, 4, 4
    loss = Capacity(gamma=2.0, capacity=4.0, steps=2)
    values = [loss(TERMS, Training(step=step)).item() for step in range(4)]
    assert values == [(16 + 34) / 2, (12 + 30) / 2, (10 + 2 + 20 + 6) / 2, (12 + 26) / 2]


def test_free_bits_takes_the_mean_over_the_batch_before_the_threshold():
    # KL_j 2 and 3 nats; with 2.5 free the first costs 2.5; before the mean it would be 2.75 + 3.25
    assert_close(FreeBits(2.5)(TERMS), torch.tensor(15 + 2.5 + 3))
    assert_close(FreeBits(0.0)(TERMS), ELBO()(TERMS))


def test_free_bits_leave_what_is_free_without_a_gradient():
    kl = KL.clone().requires_grad_()
    FreeBits(2.5)(TERMS._replace(kl=kl)).backward()
    assert_close(kl.grad, torch.tensor([[0.0, 0.5], [0.0, 0.5]]))


@pytest.mark.parametrize("loss", [ELBO(3.0), FreeBits(2.5), BetaTC()], ids=lambda loss: type(loss).__name__)
def test_the_schedule_weighs_the_kl_and_nothing_else(loss):
    terms = some_terms()
    values = [loss(terms, Training(kl_weight=weight)) for weight in (0.0, 0.5, 1.0)]
    assert loss.weighs_kl
    assert_close(values[0], -terms.log_px.mean())
    assert_close(values[1], (values[0] + values[2]) / 2)


def some_terms(batch: int = 5, draws: int = 1) -> Terms:
    torch.manual_seed(0)
    mean, log_var = torch.randn(2, batch, 3)
    z = mean + torch.randn(draws, batch, 3) * torch.exp(0.5 * log_var)
    log_p = log_standard_normal(z).sum(-1)
    return Terms(torch.randn(draws, batch), z, mean, log_var, kl_standard_normal(mean, log_var), log_p)


def test_the_three_parts_of_the_kl_add_up_to_the_sampled_one():
    terms = some_terms()
    parts = kl_parts(terms, num_train=100)
    assert_close(sum(parts), terms.log_q - terms.log_p)
    assert_close(BetaTC(1.0)(terms), (terms.log_q - terms.log_p - terms.log_px).mean())


def test_beta_tc_weighs_the_total_correlation_alone():
    terms, training = some_terms(), Training(num_train=100)
    mutual, correlation, dimensions = kl_parts(terms, num_train=100)
    expected = (mutual + 6 * correlation + dimensions - terms.log_px).mean()
    assert_close(BetaTC(6.0)(terms, training), expected)


def test_weights_of_the_batch_are_those_of_the_paper():
    # B 3, N 10, M 2: itself 1/10, one other (10 - 2) / 20, the rest 1/2
    expected = torch.tensor([[0.1, 0.4, 0.5], [0.5, 0.1, 0.4], [0.4, 0.5, 0.1]])
    assert_close(stratified_weights(3, 10), expected)
    assert_close(stratified_weights(7, 1000).sum(1), torch.ones(7))
    assert_close(stratified_weights(1, 1000), torch.ones(1, 1))


def test_the_estimate_of_q_of_z_is_unbiased_over_batches():
    # every batch of 3 of 6 images, in every order, that image 0 begins: their mean is the mean over all 6
    from itertools import permutations

    torch.manual_seed(0)
    mean, log_var = torch.randn(2, 6, 2)
    z = mean[:1] + 0.3
    density = log_normal(z[0], mean, log_var).sum(-1).exp()  # [6], z under q of each
    estimates = [
        (stratified_weights(3, 6)[0] * density[[0, *others]]).sum() for others in permutations(range(1, 6), 2)
    ]
    assert_close(torch.stack(estimates).mean(), density.mean())


def test_the_parts_of_independent_dimensions_that_ignore_the_image_are_the_dimension_wise_kl():
    # every image has one posterior: no mutual information, no correlation, KL of N(1, 1/4) in each dimension
    torch.manual_seed(0)
    mean, log_var = torch.ones(4, 2), torch.full((4, 2), math.log(0.25))
    z = 1 + 0.5 * torch.randn(20_000, 4, 2)
    terms = Terms(ZERO[:1], z, mean, log_var, None, log_standard_normal(z).sum(-1))
    mutual, correlation, dimensions = kl_parts(terms, num_train=50)
    expected = 2 * torch.distributions.kl_divergence(Normal(1.0, 0.5), Normal(0.0, 1.0))
    assert_close(mutual.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    assert_close(correlation.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    assert_close(dimensions.mean(), expected, atol=0.02, rtol=0)


def test_dimensions_that_repeat_each_other_have_total_correlation():
    # two well separated images, z = (a, a): the sum of marginals counts the choice twice, ln 2 too much
    mean = torch.tensor([[-50.0, -50.0], [50.0, 50.0]])
    terms = Terms(
        ZERO[:1], mean[None], mean, torch.zeros(2, 2), None, log_standard_normal(mean[None]).sum(-1)
    )
    mutual, correlation, _ = kl_parts(terms, num_train=2)  # weights of one half each
    assert_close(correlation, torch.full((1, 2), math.log(2)))
    assert_close(mutual, torch.full((1, 2), math.log(2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Capacity(gamma=-1), "gamma and capacity must be at least 0, got -1 and 25.0"),
        (lambda: Capacity(steps=0), "steps must be at least 1, got 0"),
        (lambda: FreeBits(-1), "threshold must be at least 0, got -1"),
        (lambda: BetaTC(-1), "beta must be at least 0, got -1"),
    ],
)
def test_numbers_out_of_range_are_refused_in_a_sentence(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
