"""Importance-weighted bounds, on a model whose evidence is known: z ~ N(0, I), x = W z + noise."""

import math

import pytest
import torch
from torch.testing import assert_close

from genlab.objectives.bounds import ELBO, Terms
from genlab.objectives.gaussians import log_normal, log_standard_normal
from genlab.objectives.importance import IWAE, MIWAE, DReG

W = torch.tensor([[1.0, 0.5], [-0.5, 1.0]], dtype=torch.float64)
LOG_SIGMA2 = torch.tensor(math.log(0.5), dtype=torch.float64)
X = torch.tensor([[0.7, -0.3], [1.5, 0.2], [-0.4, -1.0]], dtype=torch.float64)


class Model:
    """An encoder that is wrong on purpose, with one weight for the means and one for the variance."""

    def __init__(self) -> None:
        self.encoder = torch.tensor([0.4, -0.3], dtype=torch.float64, requires_grad=True)
        self.decoder = W.clone().requires_grad_()

    def terms(self, samples: int, noise: torch.Tensor | None = None) -> Terms:
        mean = self.encoder[0] * X
        log_var = self.encoder[1].expand_as(X)
        noise = torch.randn(samples, *X.shape, dtype=torch.float64) if noise is None else noise
        z = mean + torch.exp(0.5 * log_var) * noise
        log_px = log_normal(X, z @ self.decoder.T, LOG_SIGMA2).sum(-1)
        return Terms(log_px, z, mean, log_var, None, log_standard_normal(z).sum(-1))

    def gradients(self, loss, noise):
        self.encoder.grad = self.decoder.grad = None
        loss(self.terms(loss.samples, noise)).backward()
        return self.encoder.grad, self.decoder.grad


def evidence() -> torch.Tensor:
    covariance = W @ W.T + LOG_SIGMA2.exp() * torch.eye(2, dtype=torch.float64)
    normal = torch.distributions.MultivariateNormal(torch.zeros(2).double(), covariance)
    return normal.log_prob(X).mean()


@pytest.mark.parametrize(
    "loss", [IWAE(1), DReG(1), MIWAE(1, 1), MIWAE(4, 1)], ids=["iwae", "dreg", "miwae", "m"]
)
def test_one_draw_is_the_sampled_evidence_lower_bound_at_equal_noise(loss):
    torch.manual_seed(0)
    terms = Model().terms(loss.samples)
    assert_close(loss(terms), ELBO()(terms))


def test_iwae_of_two_weights_is_derived_by_hand():
    # log w is log px + log p - log q; with q = p of one dimension it is log px: log((e^-1 + e^-3) / 2)
    z, zero = torch.zeros(2, 1, 1), torch.zeros(1, 1)
    terms = Terms(torch.tensor([[-1.0], [-3.0]]), z, zero, zero, None, log_standard_normal(z).sum(-1))
    expected = -math.log((math.exp(-1) + math.exp(-3)) / 2)
    assert_close(IWAE(2)(terms), torch.tensor(expected))
    assert_close(DReG(2)(terms), torch.tensor(expected))
    assert_close(MIWAE(2, 1)(terms), torch.tensor(2.0))


def test_the_bound_rises_with_k_towards_the_evidence():
    model, values = Model(), []
    torch.manual_seed(0)
    for k in (1, 5, 50, 500):
        draws = torch.stack([-IWAE(k)(model.terms(k)).detach() for _ in range(2000)])
        values.append(draws.mean().item())
        assert draws.std().item() / math.sqrt(len(draws)) < 0.03
    assert values == sorted(values)
    assert values[0] < evidence() - 0.3  # the encoder is wrong
    assert values[-1] == pytest.approx(evidence().item(), abs=0.01)


def test_a_mean_of_bounds_is_worth_what_one_of_them_is():
    model = Model()
    torch.manual_seed(0)
    one = torch.stack([IWAE(5)(model.terms(5)).detach() for _ in range(2000)]).mean()
    mean = torch.stack([MIWAE(8, 5)(model.terms(40)).detach() for _ in range(250)]).mean()
    assert_close(one, mean, atol=0.03, rtol=0)


def test_dreg_leaves_the_gradient_of_the_decoder_as_it_is():
    torch.manual_seed(0)
    noise, model = torch.randn(5, *X.shape, dtype=torch.float64), Model()
    (_, iwae), (_, dreg) = model.gradients(IWAE(5), noise), model.gradients(DReG(5), noise)
    assert_close(iwae, dreg)


@pytest.mark.parametrize("k", [1, 2, 8])
def test_the_encoders_gradient_of_dreg_is_unbiased_for_that_of_the_bound(k):
    torch.manual_seed(0)
    model, draws = Model(), 6000
    differences = []
    for _ in range(draws):
        noise = torch.randn(k, *X.shape, dtype=torch.float64)
        differences.append(model.gradients(DReG(k), noise)[0] - model.gradients(IWAE(k), noise)[0])
    stacked = torch.stack(differences)
    error = stacked.std(0) / math.sqrt(draws)
    assert (error < 0.02).all()
    assert (stacked.mean(0).abs() < 4 * error).all()


def test_the_encoders_gradient_of_dreg_vanishes_at_the_true_posterior_where_that_of_iwae_is_noise():
    # p(z|x) of x = z + N(0, 1): N(x/2, 1/2), so log w is constant in z
    model = Model()
    model.decoder = torch.eye(2, dtype=torch.float64).requires_grad_()
    model.encoder = torch.tensor([0.5, math.log(0.5)], dtype=torch.float64, requires_grad=True)

    def terms(samples, noise):
        found = Model.terms(model, samples, noise)
        return found._replace(log_px=log_normal(X, found.z @ model.decoder.T, torch.tensor(0.0)).sum(-1))

    model.terms = terms
    torch.manual_seed(0)
    noise = torch.randn(5, *X.shape, dtype=torch.float64)
    assert_close(model.gradients(DReG(5), noise)[0], torch.zeros(2, dtype=torch.float64))
    assert model.gradients(IWAE(5), noise)[0].abs().max() > 0.01


def test_losses_of_importance_weights_have_no_kl_to_weigh():
    assert not any(loss.weighs_kl for loss in (IWAE(), MIWAE(), DReG()))
    assert [loss.samples for loss in (IWAE(7), MIWAE(3, 4), DReG(2))] == [7, 12, 2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IWAE(0), "k must be at least 1, got 0"),
        (lambda: DReG(0), "k must be at least 1, got 0"),
        (lambda: MIWAE(0, 5), "m must be at least 1, got 0"),
        (lambda: MIWAE(5, 0), "k must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused_in_a_sentence(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
