"""Bounds of sequences with latents, against what is known in closed form."""

import math
from types import SimpleNamespace

import pytest
import torch
from latent_sequence_stubs import (
    LATENTS,
    SERIES,
    SIGMA,
    A,
    B,
    C,
    L,
    T,
    exact,
    excited,
    linear_gaussian,
    model,
    series,
    windows,
)

from genlab.errors import UserError
from genlab.models.sequence_bounds import check_apart, whole
from genlab.objectives.bounds import ELBO, Training
from genlab.objectives.capacity import Capacity
from genlab.objectives.free_bits import FreeBits
from genlab.objectives.gaussians import kl_normal, kl_standard_normal, log_normal, log_standard_normal
from genlab.objectives.importance import IWAE, MIWAE, DReG, log_mean_exp, log_weights
from genlab.objectives.priors import Mixture
from genlab.objectives.total_correlation import BetaTC


def some(steps, rows=3):
    return torch.randn(rows, steps, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("latents", "steps"), [("one", 4), ("steps", 1)])
def test_with_the_exact_posterior_each_draw_says_the_exact_density(latents, steps):
    made, x = linear_gaussian(latents, steps), some(steps)
    weights = made.log_weights(whole(made, x, None), samples=3)
    torch.testing.assert_close(weights, exact(latents, x).expand(3, -1))
    # the same in the two parts that are logged: reconstruction and KL, over draws
    terms = made.terms(whole(made, x, None), samples=40_000)
    torch.testing.assert_close(terms.log_px.mean(0) - terms.divergence, exact(latents, x), atol=0.02, rtol=0)


@pytest.mark.parametrize(("latents", "error"), [("one", 0.3), ("steps", 0.0)])
def test_importance_weights_converge_to_the_exact_density(latents, error):
    made, x = linear_gaussian(latents, 3, error), some(3)
    torch.manual_seed(0)
    far, near = made.log_prob(x, samples=1), made.log_prob(x, samples=40_000, chunk=100_000)
    torch.testing.assert_close(near, exact(latents, x), atol=0.02, rtol=0)
    assert (far - exact(latents, x)).abs().max() > 0.05


def test_the_bound_of_one_latent_is_below_the_density_by_the_divergence_of_the_posteriors():
    made, x, error = linear_gaussian("one", 3, 0.3), some(3), 0.3
    terms = made.terms(whole(made, x, None), samples=100_000)
    precision = 1 + 3 * C**2 / SIGMA**2
    gap = 0.5 * error**2 * precision  # two normals of one variance, a shift apart
    torch.testing.assert_close(
        terms.log_px.mean(0) - terms.divergence, exact("one", x) - gap, atol=0.02, rtol=0
    )


def test_the_bound_of_a_chain_is_below_the_density_by_what_the_future_would_have_told():
    made, x = linear_gaussian("steps", 2), some(2)
    terms = made.terms(whole(made, x, None), samples=100_000)
    # q(z_2 | z_1, x_2) is exact; q(z_1 | x_1) does not know x_2 = C (A z_1 + N(0, 1)) + N(0, SIGMA^2)
    precision = 1 + C**2 / SIGMA**2
    mean = C / SIGMA**2 * x[:, 0, 0] / precision
    told = (C * A) ** 2 / (C**2 + SIGMA**2)
    best = precision + told
    best_mean = (precision * mean + C * A / (C**2 + SIGMA**2) * x[:, 1, 0]) / best
    logs = torch.tensor([-math.log(precision), -math.log(best)]).double()
    gap = kl_normal(mean, logs[0], best_mean, logs[1])
    bound = terms.log_px.mean(0) - terms.divergence
    torch.testing.assert_close(bound, exact("steps", x) - gap, atol=0.02, rtol=0)


@pytest.mark.parametrize("latents", LATENTS)
def test_the_divergence_in_closed_form_is_the_mean_of_that_of_the_draws(latents):
    made = excited(latents)
    with torch.no_grad():
        terms = made.terms(windows(), samples=20_000, densities=True)
    drawn = (terms.log_q - terms.log_p).mean(0)
    torch.testing.assert_close(drawn, terms.divergence, atol=0.1, rtol=0.05)
    assert terms.kl.shape == (B, L) and (terms.kl >= 0).all()


def test_terms_of_one_latent_are_those_of_its_parts():
    made, one = excited("one"), windows()
    torch.manual_seed(4)
    with torch.no_grad():
        terms = made.terms(one, samples=2, densities=True)
        assert terms.log_px.shape == (2, B) and terms.z.shape == (2, B, L)
        features, _ = made.latents.encoder(made.latents.input(one.target, None))
        mean, log_var = made.latents.to_posterior(features[:, -1]).chunk(2, 1)
        torch.testing.assert_close(terms.kl, kl_standard_normal(mean, log_var))
        torch.testing.assert_close(terms.log_p, log_standard_normal(terms.z).sum(2))
        for k in range(2):
            read = made.latents.input(one.input, None)
            x = torch.cat([read, terms.z[k][:, None].expand(-1, T, -1)], dim=2)
            h, c = made.latents.start.map(terms.z[k]).chunk(2, 1)
            told, _ = made.latents.decoder(x, (h[None].contiguous(), c[None].contiguous()))
            logs = made.latents.head(told).log_softmax(-1).gather(2, one.target[..., None])
            torch.testing.assert_close(terms.log_px[k], logs[..., 0].sum(1))


def test_terms_of_step_latents_are_sums_over_steps():
    made, one = excited("steps"), windows()
    with torch.no_grad():
        terms = made.terms(one, samples=2, densities=True)
        z, mean, log_var = (p.unflatten(2, (T, L)) for p in (terms.z, terms.mean, terms.log_var))
        network, read = (
            made.latents.network,
            made.latents.input(torch.cat([one.input[:, :1], one.target], 1), None),
        )
        kl, log_px, log_p = torch.zeros(2, B, L), torch.zeros(2, B), torch.zeros(2, B)
        for k in range(2):
            state = network.begin(read[:, 0])
            for t in range(T):
                q, p = network.posterior(state, read[:, t + 1]), network.prior(state)
                torch.testing.assert_close((mean[k, :, t], log_var[k, :, t]), q)
                kl[k] += kl_normal(*q, *p)
                log_p[k] += log_normal(z[k, :, t], *p).sum(1)
                params = made.latents.head(network.features(state, z[k, :, t]))
                log_px[k] += params.log_softmax(1).gather(1, one.target[:, t, None])[:, 0]
                state = network.after(state, z[k, :, t], read[:, t + 1])
    torch.testing.assert_close((terms.log_px, terms.log_p, terms.kl), (log_px, log_p, kl.mean(0)))
    assert not torch.allclose(z[0], z[1])


@pytest.mark.parametrize("latents", LATENTS)
def test_what_stands_behind_the_end_does_not_matter(latents, monkeypatch):
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    monkeypatch.setattr(torch, "randn", lambda *shape, **kind: torch.zeros(*shape, **kind))
    made, long = excited(latents), windows(steps=7)
    weight = (torch.arange(7) < torch.tensor([[4], [7], [2]])).float()
    with torch.no_grad():
        padded = made.terms(long._replace(weight=weight), densities=True)
        for row, length in enumerate((4, 7, 2)):
            cut = long._replace(**{n: getattr(long, n)[row : row + 1, :length] for n in ("input", "target")})
            alone = made.terms(cut._replace(label=long.label[:1], begins=long.begins[:1]), densities=True)
            torch.testing.assert_close(padded.log_px[:, row], alone.log_px[:, 0])
            torch.testing.assert_close(padded.kl[row], alone.kl[0])
            weights = [log_weights(terms, terms.log_q) for terms in (padded, alone)]
            torch.testing.assert_close(weights[0][:, row], weights[1][:, 0])


@pytest.mark.parametrize("latents", LATENTS)
def test_context_is_read_and_not_told(latents):
    made, one = excited(latents), windows(steps=6)
    weight = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 1.0]).expand(B, -1)
    with torch.no_grad():
        torch.manual_seed(0)
        all_of_it = made.terms(one)
        torch.manual_seed(0)
        rest = made.terms(one._replace(weight=weight))
        other = one._replace(
            target=torch.cat([(one.target[:, :1] + 1) % 5, one.target[:, 1:]], 1), weight=weight
        )
        torch.manual_seed(0)
        changed = made.terms(other)
    assert (rest.log_px > all_of_it.log_px).all()
    assert (rest.log_px != changed.log_px).all()  # the first step is context: it moves the latents
    if latents == "steps":
        assert (rest.kl.sum(1) < all_of_it.kl.sum(1)).all()


@pytest.mark.parametrize("latents", LATENTS)
@pytest.mark.parametrize(
    "loss", [ELBO(2.0), FreeBits(0.4), Capacity(), IWAE(3), MIWAE(2, 2)], ids=lambda x: type(x).__name__
)
def test_every_loss_of_the_bound_can_be_trained(latents, loss):
    made = excited(latents, loss=loss)
    step = made.train().training_step(windows(), 0)
    torch.testing.assert_close(step["loss"] * T, step["objective"])
    step["loss"].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in made.parameters())


@pytest.mark.parametrize("latents", LATENTS)
def test_objectives_are_those_of_the_variational_autoencoder(latents):
    made = excited(latents)
    with torch.no_grad():
        terms = made.terms(windows(), samples=5, densities=True)
    bound = (terms.divergence - terms.log_px).mean()
    torch.testing.assert_close(ELBO()(terms), bound)
    torch.testing.assert_close(ELBO()(terms, Training(kl_weight=0.0)), -terms.log_px.mean())
    each = terms.kl.mean(0)
    free = 2 * float(each.max()) + 1  # more than any needs: then all of it is free
    torch.testing.assert_close(FreeBits(free)(terms), torch.tensor(L * free) - terms.log_px.mean())
    torch.testing.assert_close(FreeBits(0.0)(terms), bound)
    tight = -log_mean_exp(terms.log_px + terms.log_p - terms.log_q).mean()
    torch.testing.assert_close(IWAE(5)(terms), tight)


def test_weights_are_the_same_however_many_are_drawn_at_once():
    made, x = linear_gaussian("one", 4), some(4, rows=5)
    batch = whole(made, x, None)
    for chunk in (1, 3, 5, 7, 1000):
        weights = made.log_weights(batch, samples=4, chunk=chunk)
        torch.testing.assert_close(weights, exact("one", x).expand(4, -1))


def test_a_learned_prior_is_known_by_draws(tmp_path):
    made = excited("one", prior=Mixture)
    with torch.no_grad():
        terms = made.terms(windows())
    assert terms.kl is None and terms.divergence.shape == (1, B)
    torch.testing.assert_close(terms.log_p, made.latents.prior.log_prob(terms.z, None))
    assert made.infer(windows()).kl.shape == (B, 1)


@pytest.mark.parametrize("loss", [DReG(), BetaTC()], ids=lambda loss: type(loss).__name__)
def test_losses_of_one_posterior_are_refused_where_each_step_has_its_own(loss):
    excited("one", loss=loss).training_step(windows(), 0)["loss"].backward()
    with pytest.raises(
        ValueError, match=f"^{type(loss).__name__} needs one posterior for all draws, and with a"
    ):
        excited("steps", loss=loss)


@pytest.mark.parametrize("latents", LATENTS)
def test_series_have_densities(latents):
    made, one = excited(latents, **SERIES), series()
    with torch.no_grad():
        terms = made.terms(one)
    assert torch.isfinite(terms.log_px).all() and terms.log_px.shape == (1, B)
    torch.manual_seed(0)
    before = torch.cat([torch.zeros(B, 1, 2), one.target[:, :-1]], 1)
    expected = made.log_weights(one._replace(input=before), samples=2)
    torch.manual_seed(0)
    torch.testing.assert_close(made.log_prob(one.target, samples=2), log_mean_exp(expected))


def test_data_that_judge_the_rest_of_windows_are_refused_before_the_training():
    made = model()
    data = SimpleNamespace(windows_overlap=True)
    made._trainer = SimpleNamespace(datamodule=data, estimated_stepping_batches=1, max_steps=1)
    with pytest.raises(UserError) as error:
        made.configure_optimizers()
    assert str(error.value) == (
        "with this data.windows and data.stride the windows of validation overlap, and this "
        "model has latents of its own for each: set data.windows=apart and data.stride=null"
    )
    for trainer in (SimpleNamespace(datamodule=SimpleNamespace(windows_overlap=False)), SimpleNamespace()):
        check_apart(trainer)
