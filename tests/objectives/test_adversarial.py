from math import log

import pytest
import torch
from torch.testing import assert_close

from genlab.objectives.adversarial import (
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    RelativisticAverage,
    Wasserstein,
)

LOSSES = [Minimax, NonSaturating, LeastSquares, Wasserstein, Hinge, Relativistic, RelativisticAverage]
RELATIVISTIC = [Relativistic, RelativisticAverage]
SMOOTHED = [Minimax, NonSaturating, LeastSquares]
L3 = log(3)
"""A logit whose sigmoid is 3/4: softplus(L3) = ln 4, softplus(-L3) = ln 4/3; softplus(2 L3) = ln 10."""


def logits(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def numbers(values):
    return torch.tensor(values, dtype=torch.float64)


def gradients(loss, *inputs):
    return torch.autograd.grad(loss, inputs)


DISCRIMINATOR = [
    # sp(-a): ln 4/3, ln 2; sp(b): ln 4/3, ln 4; slopes -sigmoid(-a) / 2 and sigmoid(b) / 2
    (Minimax(), (L3, 0), (-L3, L3), log(128 / 9) / 2, (-1 / 8, -1 / 4), (1 / 8, 3 / 8)),
    (NonSaturating(), (L3, 0), (-L3, L3), log(128 / 9) / 2, (-1 / 8, -1 / 4), (1 / 8, 3 / 8)),
    # 1/2 (1 + 1) / 2 + 1/2 (1 + 9) / 2; slopes (a - 1) / 2 and b / 2
    (LeastSquares(), (2, 0), (-1, 3), 3.0, (0.5, -0.5), (-0.5, 1.5)),
    (Wasserstein(), (2, 1), (-1, 4), 0.0, (-0.5, -0.5), (0.5, 0.5)),
    # (0 + 1/2) / 2 + (0 + 2) / 2: the first of each lies past the margin
    (Hinge(), (2, 0.5), (-3, 1), 1.25, (0, -0.5), (0, 0.5)),
    # a - b: 2 L3, -L3, so softplus gives ln 10/9 and ln 4; slopes -+ sigmoid(b - a) / 2
    (Relativistic(), (L3, 0), (-L3, L3), log(40 / 9) / 2, (-1 / 20, -3 / 8), (1 / 20, 3 / 8)),
    # E a = 0, E b = L3; a - E b: 0, -2 L3 and b - E a: 2 L3, 0, each ln 2 and ln 10. A slope is that of
    # the sample's own term, -1/4 (1/2, 9/10), and through the mean -1/4 (9/10 + 1/2) / 2 = -7/40
    (RelativisticAverage(), (L3, -L3), (2 * L3, 0), log(20) / 2, (-0.3, -0.4), (0.4, 0.3)),
]
GENERATOR = [
    (Minimax(), (L3, 0), (-L3, L3), -log(16 / 3) / 2, (-1 / 8, -3 / 8)),
    (NonSaturating(), (L3, 0), (-L3, L3), log(16 / 3) / 2, (-3 / 8, -1 / 8)),
    (LeastSquares(), (2, 0), (-1, 3), 2.0, (-1.0, 1.0)),
    (Wasserstein(), (2, 1), (-1, 4), -1.5, (-0.5, -0.5)),
    (Hinge(), (2, 0.5), (-3, 1), 1.0, (-0.5, -0.5)),
    # b - a: -2 L3, L3, so softplus(a - b) gives ln 10 and ln 4/3
    (Relativistic(), (L3, 0), (-L3, L3), log(40 / 3) / 2, (-9 / 20, -1 / 8)),
    # E a - b: -2 L3, 0 and a - E b: 0, -2 L3, each ln 10/9 and ln 2; own slopes -1/4 (1/10, 1/2),
    # through the mean -1/4 (1/2 + 1/10) / 2 = -3/40
    (RelativisticAverage(), (L3, -L3), (2 * L3, 0), log(20 / 9) / 2, (-0.1, -0.2)),
]


def named(value):
    return type(value).__name__ if isinstance(value, torch.nn.Module) else ""


@pytest.mark.parametrize(("loss", "real", "fake", "value", "on_real", "on_fake"), DISCRIMINATOR, ids=named)
def test_the_discriminators_loss_has_the_value_and_slopes_derived_by_hand(
    loss, real, fake, value, on_real, on_fake
):
    real, fake = logits(*real), logits(*fake)
    result = loss.discriminator(real, fake)
    assert_close(result, numbers(value))
    assert_close(gradients(result, real, fake), (numbers(on_real), numbers(on_fake)))


@pytest.mark.parametrize(("loss", "real", "fake", "value", "on_fake"), GENERATOR, ids=named)
def test_the_generators_loss_has_the_value_and_slopes_derived_by_hand(loss, real, fake, value, on_fake):
    real, fake = logits(*real), logits(*fake)
    result = loss.generator(fake, real)
    assert_close(result, numbers(value))
    assert_close(gradients(result, fake)[0], numbers(on_fake))
    if not loss.needs_real:
        assert_close(loss.generator(fake), result)


@pytest.mark.parametrize("kind", [Minimax, NonSaturating])
def test_smoothing_makes_the_discriminators_target_on_real_a_little_less_than_one(kind):
    # cross-entropy with target .9 is least where sigmoid(a) = .9, that is a = ln 9; there it is the entropy
    real, fake = logits(log(9), log(9)), logits(0, 0)
    result = kind(smoothing=0.1).discriminator(real, fake)
    assert_close(result, numbers(-0.9 * log(0.9) - 0.1 * log(0.1) + log(2)))
    assert_close(gradients(result, real, fake), (numbers((0, 0)), numbers((0.25, 0.25))))
    # at a = L3: .9 ln 4/3 + .1 ln 4, slope 3/4 - .9
    real = logits(L3)
    result = kind(smoothing=0.1).discriminator(real, logits(-100)[:1])
    assert_close(result, numbers(0.9 * log(4 / 3) + 0.1 * log(4)))
    assert_close(gradients(result, real)[0], numbers([-0.15]))


def test_smoothing_moves_the_target_of_least_squares():
    # 1/2 (1.1^2 + .9^2) / 2 + 2.5
    real, fake = logits(2, 0), logits(-1, 3)
    result = LeastSquares(smoothing=0.1).discriminator(real, fake)
    assert_close(result, numbers(3.005))
    assert_close(gradients(result, real, fake), (numbers((0.55, -0.45)), numbers((-0.5, 1.5))))


@pytest.mark.parametrize("kind", SMOOTHED)
def test_smoothing_leaves_the_generator_alone(kind):
    fake = logits(-1, 3)
    assert_close(kind(smoothing=0.3).generator(fake), kind().generator(fake))


@pytest.mark.parametrize("kind", SMOOTHED)
@pytest.mark.parametrize("smoothing", [-0.1, 0.5])
def test_smoothing_out_of_range_is_refused(kind, smoothing):
    with pytest.raises(ValueError, match=rf"^smoothing must be at least 0 and below 0.5, got {smoothing}$"):
        kind(smoothing)


@pytest.mark.parametrize("kind", LOSSES)
def test_only_a_relativistic_generator_asks_for_real_logits(kind):
    assert kind().needs_real == (kind in RELATIVISTIC)


@pytest.mark.parametrize("kind", RELATIVISTIC)
def test_a_relativistic_generator_without_real_logits_is_refused(kind):
    with pytest.raises(ValueError, match=r"^a relativistic loss needs the logits on real .*; got none$"):
        kind().generator(logits(1, 2))


@pytest.mark.parametrize("kind", RELATIVISTIC)
def test_a_relativistic_loss_refuses_batches_unlike_in_size(kind):
    message = r"^a relativistic loss needs as many real as fake logits, got \[1\] and \[2\]$"
    with pytest.raises(ValueError, match=message):
        kind().discriminator(logits(1), logits(1, 2))
    with pytest.raises(ValueError, match=message):
        kind().generator(logits(1, 2), logits(1))


@pytest.mark.parametrize("kind", [kind for kind in LOSSES if kind not in RELATIVISTIC])
def test_the_other_losses_average_real_and_fake_apart(kind):
    # more fakes of the same logit change nothing
    real = logits(1, 2)
    few, many = kind().discriminator(real, logits(0.5)), kind().discriminator(real, logits(0.5, 0.5, 0.5))
    assert_close(few, many)


@pytest.mark.parametrize("kind", LOSSES)
def test_only_relativistic_pairs_depend_on_the_order_of_the_fakes(kind):
    real, fake = logits(0, 4), logits(1, -2)
    one, other = kind().discriminator(real, fake), kind().discriminator(real, fake.flip(0))
    assert torch.isclose(one, other) == (kind is not Relativistic)


@pytest.mark.parametrize("kind", RELATIVISTIC)
def test_a_relativistic_loss_sees_differences_alone(kind):
    real, fake = logits(0, 4), logits(1, -2)
    assert_close(kind().discriminator(real + 7, fake + 7), kind().discriminator(real, fake))
    assert_close(kind().generator(fake + 7, real + 7), kind().generator(fake, real))
    # what one network minimises is what the other does with the roles of real and fake exchanged
    assert_close(kind().generator(fake, real), kind().discriminator(fake, real))


def test_hinge_is_zero_past_the_margin():
    real, fake = logits(1.5, 9), logits(-1.5, -9)
    result = Hinge().discriminator(real, fake)
    assert_close(result, numbers(0.0))
    assert_close(gradients(result, real, fake), (numbers((0.0, 0)), numbers((0.0, 0))))


@pytest.mark.parametrize("kind", LOSSES)
def test_far_logits_give_finite_losses_and_slopes(kind):
    for sign in (1, -1):
        real = torch.tensor([1e4, 3e4]).mul(sign).requires_grad_()
        fake = torch.tensor([-3e4, -1e4]).mul(sign).requires_grad_()
        for result in (kind().discriminator(real, fake), kind().generator(fake, real)):
            assert result.isfinite()
            slopes = torch.autograd.grad(result, (real, fake), allow_unused=True)
            assert all(slope is None or slope.isfinite().all() for slope in slopes)
