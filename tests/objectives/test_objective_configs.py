"""Every likelihood and loss in conf/ builds as it stands."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from genlab.config import compose
from genlab.objectives.bounds import Terms, VariationalLoss
from genlab.objectives.gaussians import kl_standard_normal, log_standard_normal
from genlab.objectives.likelihoods import Likelihood

CONF = Path(__file__).parents[2] / "conf" / "model"
LIKELIHOODS = sorted((CONF / "likelihood").glob("*.yaml"))
LOSSES = sorted(path for path in (CONF / "loss").glob("*.yaml") if ".adversarial." not in path.read_text())


def test_the_options_are_found():
    known = {"bernoulli", "gaussian", "discretized_logistic", "categorical", "continuous_bernoulli"}
    assert known <= {path.stem for path in LIKELIHOODS}
    assert {"elbo", "beta", "capacity", "iwae"} <= {path.stem for path in LOSSES}


@pytest.mark.parametrize("path", LIKELIHOODS, ids=lambda path: path.stem)
def test_a_likelihood_takes_an_image_through_all_it_does(path):
    likelihood = instantiate(OmegaConf.load(path))
    assert isinstance(likelihood, Likelihood)
    image = torch.rand(4, 3, 5, 7) * 2 - 1
    params = likelihood.initial_params(image.mean(0)).expand(4, likelihood.params_per_value, 3, 5, 7)
    assert likelihood.log_prob(params, likelihood.target(image)).shape == (4,)
    for picture in (likelihood.mean(params), likelihood.sample(params)):
        assert picture.shape == image.shape and picture.abs().max() <= 1
    assert likelihood.unit.startswith("nats, ")


@pytest.mark.parametrize("path", LIKELIHOODS, ids=lambda path: path.stem)
def test_many_draws_are_held_against_one_target_without_copies_of_it(path):
    torch.manual_seed(0)
    likelihood = instantiate(OmegaConf.load(path))
    params = torch.randn(5, 4, likelihood.params_per_value, 3, 2, 2)
    target = likelihood.target(torch.rand(4, 3, 2, 2) * 2 - 1)
    each = torch.stack([likelihood.log_prob(draw, target) for draw in params])
    torch.testing.assert_close(likelihood.log_prob(params, target), each)
    torch.testing.assert_close(
        likelihood.mean(params), torch.stack([likelihood.mean(draw) for draw in params])
    )
    assert likelihood.sample(params).shape == (5, 4, 3, 2, 2)


@pytest.mark.parametrize("option", [path.stem for path in LOSSES])
def test_a_loss_gives_one_number(option):
    loss = instantiate(compose(["model=vae", f"model/loss={option}"]).model.loss)
    assert isinstance(loss, VariationalLoss)
    mean, log_var = torch.randn(2, 4, 2)
    z = mean + torch.randn(loss.samples, 4, 2) * torch.exp(0.5 * log_var)
    log_p = log_standard_normal(z).sum(-1)
    terms = Terms(torch.randn(loss.samples, 4), z, mean, log_var, kl_standard_normal(mean, log_var), log_p)
    assert loss(terms).shape == ()
