"""What a trained model of sequences with latents does: samples, texts, latents."""

import itertools

import pytest
import torch
from latent_sequence_stubs import LATENTS, SERIES, A, B, C, L, T, excited, linear_gaussian, series, windows
from sequence_stubs import Letters

from genlab.contracts import LatentModel, LatentSampler, Sampler
from genlab.errors import UserError
from genlab.objectives.priors import Mixture
from genlab.sequence_contracts import TextGenerator

BOTH = pytest.mark.parametrize("latents", LATENTS)


def writer(latents, **changes):
    made = excited(latents, **changes)
    made.codec = Letters()
    return made


@BOTH
def test_equal_seeds_give_equal_samples_whatever_their_number(latents):
    for made in (excited(latents), excited(latents, **SERIES)):
        one, many = made.sample(2, seed=1), made.sample(5, seed=1)
        torch.testing.assert_close(one, many[:2])
        assert not torch.equal(one, made.sample(2, seed=2)) and not torch.equal(many[0], many[1])
        assert one.shape[:2] == (2, T) and made.sample(1, length=9).shape[1] == 9
        torch.manual_seed(0)
        before = torch.get_rng_state()
        made.sample(2, seed=1)
        assert torch.equal(torch.get_rng_state(), before)
        free = made.sample(2)
        assert not torch.equal(made.sample(2), free)
        torch.manual_seed(0)
        assert torch.equal(made.sample(2), free)


@BOTH
def test_samples_are_drawn_as_often_as_they_are_likely(latents):
    made = excited(latents)
    drawn = made.sample(4000, length=2, seed=0)
    texts = torch.tensor(list(itertools.product(range(5), repeat=2)))
    shares = torch.bincount(drawn[:, 0] * 5 + drawn[:, 1], minlength=25) / 4000
    # importance samples of the prior itself: unbiased, and steady for so short texts
    with torch.no_grad():
        likely = torch.stack([_by_the_prior(made, text, 2000) for text in texts])
    torch.testing.assert_close(shares, likely, atol=0.04, rtol=0)


def _by_the_prior(made, text, draws):
    """P(text), the mean over latents of the prior; of steps each is drawn where its step is reached."""
    total, before = torch.ones(draws), made.beginning(draws)
    torch.manual_seed(0)
    if hasattr(made.latents, "prior"):
        z = made.noise(draws)
        shifted = torch.cat([before, text[:-1].expand(draws, -1)], 1)
        features, _ = made.latents.tell(made.latents.input(shifted, None), z)
        logs = made.latents.head(features).log_softmax(2)
        return logs.gather(2, text.expand(draws, -1)[..., None])[..., 0].sum(1).exp().mean()
    network = made.latents.network
    state = network.begin(made.latents.input(before, None)[:, 0])
    for token in text:
        mean, log_var = network.prior(state)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        total = total * made.latents.head(network.features(state, z)).softmax(1)[:, token]
        state = network.after(state, z, made.latents.input(token.expand(draws, 1), None)[:, 0])
    return total.mean()


@pytest.mark.parametrize(("latents", "variance"), [("one", [1, 1]), ("steps", [1, 1 + A**2])])
def test_series_are_drawn_from_their_covariance(latents, variance):
    made = linear_gaussian(latents, 2).float()
    drawn = made.sample(20_000, seed=0)[..., 0]
    covariance = torch.cov(drawn.T)
    expected = C**2 * torch.tensor(variance) + 0.25
    torch.testing.assert_close(covariance.diag(), expected.to(covariance), atol=0.15, rtol=0)
    cross = C**2 * (1 if latents == "one" else A)
    assert covariance[0, 1].item() == pytest.approx(cross, abs=0.12)


@BOTH
def test_decoding_goes_on_from_its_own_steps(latents):
    made, one = excited(latents), windows()
    z = made.encode(one.target)
    assert z.shape == ((B, L) if latents == "one" else (B, T, L))
    steps = made.decode(z)
    with torch.no_grad():
        read = torch.cat([made.beginning(B), steps], 1)
        if latents == "one":
            features, _ = made.latents.tell(made.latents.input(read[:, :-1], None), z)
        else:
            features = _replayed(made, made.latents.input(read, None), z)
        free = made.latents.head(features)
    assert torch.equal(free.argmax(2), steps)
    assert torch.equal(made.reconstruct(one.target), steps) and torch.equal(made.decode(z), steps)
    # teacher forcing reads the true steps, and says something else of the same latents
    true = torch.cat([made.beginning(B), one.target], 1)
    with torch.no_grad():
        if latents == "one":
            features, _ = made.latents.tell(made.latents.input(true[:, :-1], None), z)
        else:
            features = _replayed(made, made.latents.input(true, None), z)
    assert not torch.equal(steps, one.target) and not torch.allclose(made.latents.head(features), free)


def _replayed(made, read, z):
    network, features = made.latents.network, []
    state = network.begin(read[:, 0])
    for t in range(z.shape[1]):
        features.append(network.features(state, z[:, t]))
        state = network.after(state, z[:, t], read[:, t + 1])
    return torch.stack(features, 1)


@BOTH
def test_series_are_reconstructed_by_the_peaks_of_their_densities(latents):
    made, one = excited(latents, **SERIES), series()
    again = made.reconstruct(one.target)
    assert again.shape == one.target.shape and not again.requires_grad
    assert torch.equal(again, made.reconstruct(one.target))


def test_latents_between_two_make_sequences_between_them():
    made = excited("one")
    ends = made.noise(2)
    way = torch.lerp(ends[:1], ends[1:], torch.linspace(0, 1, 5)[:, None])
    between = made.decode(way, length=30)
    assert between.shape == (5, 30) and torch.equal(between[[0, -1]], made.decode(ends, length=30))
    assert made.spherical and not excited("one", prior=Mixture).spherical
    torch.manual_seed(0)
    few = made.noise(2)
    torch.manual_seed(0)
    assert torch.equal(made.noise(7)[:2], few) and few.std() > 0
    with pytest.raises(
        UserError, match="^this model has a latent at each step, whose prior depends on the steps"
    ):
        excited("steps").noise(2)


@BOTH
def test_texts_go_on_from_what_the_latents_make_of_a_prompt(latents):
    made = writer(latents)
    texts = made.generate("abe", n=4, seed=3, length=30)
    assert made.generate("abe", seed=3, length=30) == texts[:1] and len(set(texts)) == 4
    assert "".join(made.stream("abe", seed=3, length=30)) == texts[0]
    assert made.generate("ade", n=4, seed=3, length=30) != texts
    drawn = made.sample(1, seed=3, length=30)[0].tolist()
    assert made.generate(seed=3, length=30) == [Letters().decode(drawn)]
    assert isinstance(made, TextGenerator) and isinstance(made, Sampler) and isinstance(made, LatentSampler)


def test_of_a_prompt_one_latent_is_inferred():
    made, seen = writer("one"), []
    made.latents.encoder.register_forward_hook(lambda _, args, out: seen.append(args[0]))
    made.generate("a", length=2)
    assert not seen  # the first letter only precedes what is told
    made.generate("abe", length=2, n=3)
    torch.testing.assert_close(seen[0], made.latents.input(torch.tensor([[1, 4]] * 3), None))


def test_of_a_prompt_step_latents_are_inferred_one_by_one():
    made = linear_gaussian("steps", 3)
    known = torch.full((4000, 2, 1), 2.0).double()
    drawn = next(made.latents.draws(torch.cat([torch.zeros(4000, 1, 1).double(), known], 1), None, seed=0))
    # z_1 ~ q(. | x_1), z_2 ~ q(. | z_1, x_2), z_3 = A z_2 + noise, x_3 = C z_3 + noise
    precision = 1 + C**2 / 0.25
    first = C / 0.25 * 2 / precision
    second = (A * first + C / 0.25 * 2) / precision
    assert drawn.mean().item() == pytest.approx(C * A * second, abs=0.1)
    assert drawn.var().item() == pytest.approx(
        C**2 * (1 + A**2 * (1 / precision + (A / precision) ** 2 / precision)) + 0.25, abs=0.2
    )


@BOTH
def test_items_end_with_their_end_token(latents):
    made = writer(latents, end_token=2)
    made.latents.head.bias.data[2] += 2
    drawn = made.sample(30, length=19, seed=0)
    texts = made.generate(n=30, length=19, seed=0)
    for row, text in zip(drawn.tolist(), texts, strict=True):
        end = row.index(2) if 2 in row else 19
        assert Letters().decode(row[:end]) == text and set(row[end:]) <= {2}
    decoded = made.decode(made.encode(drawn))
    for row in decoded.tolist():
        assert 2 not in row or set(row[row.index(2) :]) == {2}


@BOTH
def test_a_prompt_of_an_item_stands_behind_the_end_of_another(latents):
    made, seen = writer(latents, end_token=2), []
    made.latents.input.register_forward_hook(lambda _, args, out: seen.append(args[0].tolist()))
    made.generate("ab", length=1)
    assert [[2, 0, 1]] in seen


def test_dimensions_in_use_are_those_of_one_latent():
    posterior = excited("one").infer(windows())
    assert posterior.mean.shape == posterior.kl.shape == (B, L) and isinstance(excited("one"), LatentModel)
    with pytest.raises(UserError, match="^a posterior of each step is of the latents drawn before it"):
        excited("steps").infer(windows())


@BOTH
def test_all_that_learns_is_averaged(latents):
    made = excited(latents)
    averaged = {p for module in made.sampling_modules().values() for p in module.parameters()}
    assert averaged == set(made.parameters())


@BOTH
@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda made: made.sample(0), "n must be at least 1, got 0"),
        (lambda made: made.sample(1, length=0), "length must be at least 1, got 0"),
        (lambda made: made.sample(1, label=1), "this model knows no classes: it was trained without labels"),
        (lambda made: made.generate("z"), "'z' is not in the vocabulary"),
        (lambda made: made.log_prob(windows().target, samples=0), "samples and chunk must be at least 1, got 0 and 1000"),
        (lambda made: made.encode(torch.zeros(2, 3)), "sequences must be tokens [B, T], got torch.float32 [2, 3]"),
        (
            lambda made: made.decode(torch.zeros(2, 7)),
            "latents must be [B, 2], or [B, T, 2] where each step has one, got torch.float32 [2, 7]",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_a_sentence(latents, call, sentence):
    with pytest.raises(UserError) as error:
        call(writer(latents))
    assert str(error.value) == sentence


def test_step_latents_end_with_a_sentence_and_one_latent_goes_on():
    made = excited("steps")
    z = made.encode(windows().target)  # of four steps
    assert torch.equal(made.decode(z, length=3), made.decode(z)[:, :3])
    with pytest.raises(UserError) as error:
        made.decode(z, length=5)
    with pytest.raises(UserError, match="^length must be at least 1, got 0$"):
        made.decode(z, length=0)
    assert str(error.value) == (
        "length=5: these latents are of 4 steps, and each step needs its own: give latents of more steps, or leave length"
        " out"
    )
    one = excited("one")
    assert one.decode(one.encode(windows().target), length=9).shape == (3, 9)
