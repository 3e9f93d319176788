import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence
from torch.testing import assert_close

from genlab.objectives.bounds import ELBO
from genlab.objectives.capacity import Capacity
from genlab.objectives.free_bits import FreeBits
from genlab.objectives.gaussians import kl_normal, log_normal
from genlab.objectives.importance import IWAE, MIWAE, DReG
from genlab.objectives.learned_priors import SecondLayer, Vamp
from genlab.objectives.priors import Learned, Mixture, Standard, check_prior
from genlab.objectives.total_correlation import BetaTC

LABEL = torch.tensor([2, 0, 2])
Z = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0))  # K 4, B 3, L 2


def learned() -> Learned:
    torch.manual_seed(1)
    prior = Learned(latent_dim=2, num_classes=3)
    nn.init.normal_(prior.mean)
    nn.init.normal_(prior.log_var)
    return prior


def mixture() -> Mixture:
    torch.manual_seed(2)
    prior = Mixture(4, latent_dim=2)
    nn.init.normal_(prior.log_var)
    nn.init.normal_(prior.logits)
    return prior


def posterior(image):
    """Mean and log variance of a made-up encoder of 1 x 1 x 2 images."""
    flat = image.flatten(1)
    return 2 * flat, flat - 1


def vamp() -> Vamp:
    torch.manual_seed(3)
    return Vamp([1, 1, 2], 4, latent_dim=2, posterior=posterior)


class Affine(nn.Module):
    """Mean a x and one variance."""

    def __init__(self, scale, log_var, in_features, out_features):
        super().__init__()
        assert out_features == 2 * in_features
        self.scale, self.log_var = scale, log_var

    def forward(self, x):
        return torch.cat([self.scale * x, torch.full_like(x, self.log_var)], dim=-1)


def second_layer(scale: float = 0.3, log_var: float = -0.5) -> SecondLayer:
    """z = .8 t + N(0, .36), so that z ~ N(0, I); q(t|z) is wrong unless its mean is .8 z and its variance .36."""
    return SecondLayer(
        lambda **sizes: Affine(scale, log_var, **sizes),
        lambda **sizes: Affine(0.8, math.log(0.36), **sizes),
        2,
        latent_dim=2,
    )


def test_the_standard_prior_is_the_standard_normal():
    prior = Standard(latent_dim=2)
    assert_close(prior.log_prob(Z, None), Normal(0.0, 1.0).log_prob(Z).sum(-1))
    assert prior.spherical and not prior.state_dict()


def test_the_kl_of_two_normals_agrees_with_torch_distributions_and_with_draws():
    mean, log_var, to_mean, to_log_var = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    q, p = Normal(mean, (log_var / 2).exp()), Normal(to_mean, (to_log_var / 2).exp())
    kl = kl_normal(mean, log_var, to_mean, to_log_var)
    assert_close(kl, kl_divergence(q, p))
    torch.manual_seed(0)
    draws = q.sample((100_000,))
    log_ratio = log_normal(draws, mean, log_var) - log_normal(draws, to_mean, to_log_var)
    error = log_ratio.std(0) / math.sqrt(len(draws))
    assert ((log_ratio.mean(0) - kl).abs() < 4 * error).all()


def test_the_learned_prior_is_a_normal_of_the_images_own_class():
    prior = learned()
    p = Normal(prior.mean[LABEL], (prior.log_var[LABEL] / 2).exp())
    mean, log_var = Z[0], Z[1]
    assert_close(prior.log_prob(Z, LABEL), p.log_prob(Z).sum(-1))
    assert_close(prior.kl(mean, log_var, LABEL), kl_divergence(Normal(mean, (log_var / 2).exp()), p))


def test_the_learned_prior_begins_at_the_standard_one():
    prior = Learned(latent_dim=2, num_classes=3)
    assert_close(prior.log_prob(Z, LABEL), Standard(latent_dim=2).log_prob(Z, None))
    assert_close(prior.kl(Z[0], Z[1], LABEL), Standard(latent_dim=2).kl(Z[0], Z[1], None))


def as_mixture(mean, log_var, logits):
    parts = Independent(Normal(mean, (log_var / 2).exp()), 1)
    return MixtureSameFamily(Categorical(logits=logits), parts)


def test_the_mixture_is_that_of_torch_distributions():
    prior = mixture()
    assert_close(prior.log_prob(Z, None), as_mixture(prior.mean, prior.log_var, prior.logits).log_prob(Z))


def test_the_vamp_prior_is_the_mean_of_posteriors_at_its_images():
    prior = vamp()
    mean, log_var = posterior(prior.raw.tanh())
    assert_close(prior.log_prob(Z, None), as_mixture(mean, log_var, torch.zeros(4)).log_prob(Z))
    prior.log_prob(Z, None).sum().backward()
    assert prior.raw.grad.abs().min() > 0


def test_one_draw_of_the_second_layer_is_an_unbiased_estimate_of_the_density():
    torch.manual_seed(0)
    estimates = second_layer().log_prob(Z[:1].expand(100_000, -1, -1), None).exp()  # [100000, B]
    error = estimates.std(0) / math.sqrt(len(estimates))
    exact = Normal(0.0, 1.0).log_prob(Z[0]).sum(-1).exp()
    assert (error < 0.02 * exact).all()
    assert ((estimates.mean(0) - exact).abs() < 4 * error).all()


def test_the_second_layer_is_exact_where_its_encoder_is_the_posterior():
    prior = second_layer(0.8, math.log(0.36))
    assert_close(prior.log_prob(Z, None), Standard(latent_dim=2).log_prob(Z, None))


@pytest.mark.parametrize("make", [lambda: Standard(latent_dim=2), learned, mixture, vamp, second_layer])
def test_draws_have_the_density_that_log_prob_says(make):
    # the mean of q / p over draws of p is 1, whatever q
    prior, label = make(), torch.full((200_000,), 2)
    torch.manual_seed(0)
    with torch.no_grad():
        z = prior.sample(200_000, label)
        exact = Standard(latent_dim=2) if isinstance(prior, SecondLayer) else prior  # its own is an estimate
        ratio = (Normal(0.2, 0.3).log_prob(z).sum(-1) - exact.log_prob(z[None], label)[0]).exp()
    assert z.shape == (200_000, 2)
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / math.sqrt(len(ratio)))


@pytest.mark.parametrize("make", [lambda: Standard(latent_dim=2), learned, mixture, vamp, second_layer])
def test_draws_are_of_the_precision_of_the_run(make):
    torch.set_default_dtype(torch.float64)  # as trainer.precision=64-true does
    try:
        assert make().double().sample(3, torch.tensor([0, 1, 2])).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("make", [lambda: Standard(latent_dim=2), learned, mixture, vamp, second_layer])
def test_a_prior_says_rightly_whether_its_kl_has_a_closed_form(make):
    prior = make()
    assert (prior.kl(Z[0], Z[1], LABEL) is not None) == prior.closed_form


@pytest.mark.parametrize("loss", [Capacity(), FreeBits(), BetaTC()], ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("make", [mixture, vamp, second_layer])
def test_losses_of_the_kl_in_closed_form_refuse_priors_without(loss, make):
    prior = make()
    with pytest.raises(ValueError) as error:
        check_prior(loss, prior)
    assert str(error.value) == (
        f"{type(loss).__name__} needs the KL of each latent dimension in closed form, and the prior "
        f"{type(prior).__name__} has none: set model/prior=standard, or choose model/loss=elbo, iwae, dreg or miwae"
    )


def test_the_total_correlation_wants_one_prior_for_all_images():
    with pytest.raises(
        ValueError, match="^BetaTC needs one prior for all images, and the prior Learned differs"
    ):
        check_prior(BetaTC(), learned())


@pytest.mark.parametrize("loss", [ELBO(), IWAE(), DReG(), MIWAE()], ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("make", [lambda: Standard(latent_dim=2), learned, mixture, vamp, second_layer])
def test_the_others_go_with_every_prior(loss, make):
    check_prior(loss, make())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Learned(latent_dim=2, num_classes=None),
            "the learned prior is one for each class: use model=cvae, or model/prior=mixture",
        ),
        (lambda: Mixture(0, latent_dim=2), "components must be at least 1, got 0"),
        (
            lambda: Vamp([1, 1, 2], latent_dim=2, num_classes=3, posterior=posterior),
            "the pseudo-inputs of the vamp prior have no class: with model=cvae use model/prior=standard, learned "
            "or mixture",
        ),
        (
            lambda: Vamp([1, 1, 2], 0, latent_dim=2, posterior=posterior),
            "components must be at least 1, got 0",
        ),
        (lambda: SecondLayer(Affine, Affine, 0, latent_dim=2), "top_dim must be at least 1, got 0"),
    ],
)
def test_what_a_prior_cannot_be_is_refused_in_a_sentence(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
