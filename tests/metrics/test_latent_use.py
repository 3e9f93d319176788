"""Active units and mutual information against cases made by hand and a model of which both are known."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genlab.contracts import ImageBatch, Posterior
from genlab.errors import UserError
from genlab.latents import active
from genlab.metrics import latent_use as module
from genlab.metrics.latent_use import LatentUse, log_densities, pointwise_information
from linear_gaussian import SIGMA, W, drawn, linear_gaussian

close = torch.testing.assert_close


class Told(nn.Module):
    """A model whose posteriors are given; an image's first value says which is its own."""

    device = torch.device("cpu")

    def __init__(self, mean: torch.Tensor, log_var: torch.Tensor) -> None:
        super().__init__()
        self.mean, self.log_var = mean, log_var

    def infer(self, batch: ImageBatch) -> Posterior:
        rows = batch.image[:, 0, 0, 0].long()
        mean, log_var = self.mean[rows], self.log_var[rows]
        return Posterior(mean, log_var, 0.5 * (mean.square() + log_var.exp() - 1 - log_var))


def judged(model: nn.Module, n: int, seed: int = 0, **settings):
    torch.manual_seed(seed)
    image = torch.arange(float(n)).view(n, 1, 1, 1)
    metric = LatentUse(**{"n": None, **settings})
    metric.check(model)
    return metric.compute(model, ImageBatch(image, torch.zeros(n).long()))


def test_units_are_active_where_their_means_vary_by_more_than_the_threshold():
    # variances of means of two images d apart: d^2 / 2
    means = torch.tensor([[0.0, 0.0, 5.0], [0.14, 0.15, 5.0]])
    assert active(means).tolist() == [False, True, False]  # .0098, .01125, 0
    assert active(means, 0.009).tolist() == [True, True, False]
    model = Told(means, torch.zeros(2, 3))
    assert judged(model, 2).numbers["active_units"].value == 1
    assert judged(model, 2, threshold=0.009).numbers["active_units"].value == 2


def test_posteriors_that_do_not_overlap_tell_which_image_it_is():
    # four images, each alone: log 4 nats, exactly
    model = Told(torch.tensor([[-9.0, 0], [9, 0], [0, 9], [0, -9]]), torch.full((4, 2), -6.0))
    verdict = judged(model, 4)
    information = verdict.numbers["mutual_information"]
    assert information.value == pytest.approx(math.log(4), abs=1e-6)
    assert information.monte_carlo == pytest.approx(0, abs=1e-6)
    total = verdict.numbers["aggregate_kl"].value + information.value
    assert total == pytest.approx(sum(verdict.lists["kl_per_dimension"]))


def test_posteriors_that_are_all_alike_tell_nothing():
    numbers = judged(Told(torch.ones(5, 3), torch.full((5, 3), -1.0)), 5).numbers
    assert numbers["mutual_information"].value == pytest.approx(0, abs=1e-9)
    assert numbers["active_units"].value == 0


def test_two_images_for_each_place_halve_what_is_told():
    # images in pairs of equal posteriors: log 3 of log 6
    mean = torch.tensor([-50.0, 0, 50]).repeat_interleave(2).unsqueeze(1)
    numbers = judged(Told(mean, torch.zeros(6, 1)), 6).numbers
    assert numbers["mutual_information"].value == pytest.approx(math.log(3), abs=1e-6)


def test_the_linear_gaussian_model_has_its_mutual_information_and_no_other_aggregate_than_the_prior():
    # I(x; z) = 1/2 log det(I + W'W / sigma^2), and with true posteriors of its own data q(z) is p(z)
    exact = 0.5 * float((1 + W.square().sum(0) / SIGMA**2).log().sum())
    torch.manual_seed(4)
    batch, metric = drawn(3000), LatentUse(n=None)
    numbers = metric.compute(linear_gaussian(), batch).numbers
    information = numbers["mutual_information"]
    assert 0.005 < information.monte_carlo < information.over_images < 0.03
    assert information.value == pytest.approx(exact, abs=3 * information.over_images)
    assert numbers["aggregate_kl"].value == pytest.approx(0, abs=0.06)
    assert numbers["active_units"].value == 2
    # no other dimension, no other KL: the sum is that of the bound
    stamp = metric.stamp()
    assert stamp["mutual_information_at_most"] == pytest.approx(math.log(3000))


def test_unlike_images_are_an_error_over_images_and_not_of_the_draws():
    # two images alone tell log 4, two that are alike log 2, whatever is drawn
    numbers = judged(Told(torch.tensor([[-50.0], [0], [50], [50]]), torch.zeros(4, 1)), 4).numbers
    information = numbers["mutual_information"]
    assert information.value == pytest.approx(1.5 * math.log(2), abs=1e-6)
    assert information.monte_carlo == pytest.approx(0, abs=1e-6)
    # off the mean by half a log 2 each: over the root of 3 for the deviation, of 4 for the mean's
    assert information.over_images == pytest.approx(math.log(2) / math.sqrt(12), abs=1e-6)


def test_the_monte_carlo_error_is_the_spread_over_draws(monkeypatch):
    monkeypatch.setattr(module, "TWICE", 20)  # every second image is drawn again
    torch.manual_seed(0)
    model = Told(2 * torch.randn(40, 2), torch.randn(40, 2) - 1)
    runs = [judged(model, 40, seed).numbers for seed in range(150)]
    for name in ("mutual_information", "aggregate_kl"):
        spread = torch.tensor([run[name].value for run in runs]).std()
        told = torch.tensor([run[name].monte_carlo for run in runs]).square().mean().sqrt()
        assert float(told / spread) == pytest.approx(1, abs=0.2)  # .06 is the standard error of the spread


def test_priors_by_class_leave_no_aggregate_kl():
    # all images of a class have its prior as posterior: a KL of 0, of which nothing can be taken
    mean = torch.tensor([-5.0, 5.0]).repeat_interleave(3).unsqueeze(1)
    model = Told(mean, torch.zeros(6, 1))
    assert "aggregate_kl" in judged(model, 6).numbers
    model.prior = SimpleNamespace(by_class=True)
    numbers = judged(model, 6).numbers
    assert numbers["mutual_information"].value == pytest.approx(math.log(2), abs=1e-4)
    assert "aggregate_kl" not in numbers


def test_kl_is_listed_by_dimension():
    # KL(N(m, 1) || N(0, 1)) = m^2 / 2
    verdict = judged(Told(torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.zeros(2, 2)), 2)
    assert verdict.lists == {"kl_per_dimension": [2.5, 0.0]}


def test_densities_of_all_points_under_all_normals_agree_with_torch_distributions():
    torch.manual_seed(0)
    z, mean, log_var = torch.randn(3, 4).double(), torch.randn(5, 4).double(), torch.randn(5, 4).double()
    normal = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    expected = normal.log_prob(z.unsqueeze(1)).sum(-1) + 2 * math.log(2 * math.pi)
    close(log_densities(z, mean, log_var), expected)


def test_pieces_of_rows_change_nothing():
    torch.manual_seed(0)
    mean = torch.randn(700, 2).double()  # more than are held against all posteriors at once
    posterior = Posterior(mean, torch.full_like(mean, -2.0), mean)
    torch.manual_seed(1)
    got = pointwise_information(posterior)
    torch.manual_seed(1)
    z = mean + math.exp(-1) * torch.randn_like(mean)
    log_q = torch.distributions.Normal(mean, math.exp(-1)).log_prob(z.unsqueeze(1)).sum(-1)
    close(got, log_q.diagonal() - log_q.logsumexp(1) + math.log(700))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n": 1}, "metrics.latents.n must be at least 2, or null for all, got 1"),
        ({"threshold": -0.1}, "metrics.latents.threshold must be at least 0, got -0.1"),
    ],
)
def test_impossible_numbers_are_told(settings, sentence):
    with pytest.raises(UserError) as error:
        LatentUse(**settings)
    assert str(error.value) == sentence


def test_a_model_without_encoded_latents_is_named():
    with pytest.raises(UserError) as error:
        LatentUse().check(nn.Identity())
    assert str(error.value) == (
        "metrics.latents needs a model with encoded latents, and Identity has no infer: give metrics.latents=null"
    )
