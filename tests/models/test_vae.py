import math
from functools import partial

import pytest
import torch
from torch import Tensor

from genlab.contracts import (
    Density,
    ImageBatch,
    ImportanceSampler,
    LatentModel,
    Reconstructor,
    Sampler,
)
from genlab.errors import UserError
from genlab.models.vae import VAE
from genlab.networks.mlp import MLPDecoder, MLPEncoder
from genlab.objectives.bounds import ELBO
from genlab.objectives.likelihoods import Bernoulli
from genlab.schedules import Constant
from linear_gaussian import SHAPE, SIGMA, W, drawn, exact_log_prob, linear_gaussian


@pytest.fixture
def image() -> Tensor:
    return torch.tensor([[0.3, -0.8, 0.5, 0.9], [-0.2, 0.1, -0.7, 0.4]], dtype=torch.float64).view(2, *SHAPE)


def bound(model: VAE, image: Tensor, draws: int) -> tuple[Tensor, Tensor]:
    """Mean of the ELBO over draws, and its standard error, for each image."""
    terms = model.terms(ImageBatch(image.repeat(draws, 1, 1, 1), torch.zeros(draws * len(image)).long()))
    elbo = (terms.log_px - terms.divergence).view(draws, len(image)).detach()
    return elbo.mean(0), elbo.std(0) / math.sqrt(draws)


def test_the_bound_is_log_p_at_the_true_posterior(image):
    torch.manual_seed(0)
    elbo, error = bound(linear_gaussian(), image, 40_000)
    assert (error < 0.01).all()
    torch.testing.assert_close(elbo, exact_log_prob(image), rtol=0, atol=0.03)


def test_the_bound_lies_below_log_p_by_the_kl_to_the_true_posterior(image):
    torch.manual_seed(0)
    shift = 0.4
    elbo, _ = bound(linear_gaussian(shift), image, 40_000)
    # KL between normals of equal covariance S whose means differ by d: 1/2 d' S^-1 d
    gap = 0.5 * (shift**2 * (1 + W.square().sum(0) / SIGMA**2)).sum()
    torch.testing.assert_close(elbo, exact_log_prob(image) - gap, rtol=0, atol=0.04)


def test_every_importance_weight_is_p_of_x_at_the_true_posterior(image):
    got = linear_gaussian().log_prob(image, samples=3)
    torch.testing.assert_close(got, exact_log_prob(image))


def test_importance_sampling_closes_the_gap_of_a_wrong_posterior(image):
    torch.manual_seed(0)
    model, exact = linear_gaussian(0.3), exact_log_prob(image)
    one = torch.stack([model.log_prob(image, samples=1) for _ in range(300)]).mean(0)
    many = torch.stack([model.log_prob(image, samples=50) for _ in range(300)]).mean(0)
    assert (one < many).all()
    torch.testing.assert_close(many, exact, rtol=0, atol=0.05)


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 12, 10_000])
def test_the_chunk_of_importance_sampling_changes_nothing_but_memory(chunk):
    model = linear_gaussian(0.3)
    torch.manual_seed(1)
    batch = drawn(3)
    weights = []
    for size in (chunk, 21):
        torch.manual_seed(0)
        weights.append(model.log_weights(batch, samples=7, chunk=size))
    assert weights[0].shape == (7, 3)
    torch.testing.assert_close(*weights, rtol=1e-12, atol=1e-12)


def test_no_more_latents_are_decoded_at_once_than_the_chunk_says():
    model, sizes = linear_gaussian(), []
    model.decoder.register_forward_hook(lambda _, inputs, output: sizes.append(len(inputs[0])))
    for chunk in (2, 3, 7):
        sizes.clear()
        model.log_weights(drawn(3), samples=5, chunk=chunk)
        assert max(sizes) <= chunk and sum(sizes) == 15


def test_all_importance_weights_of_an_image_are_under_one_draw_of_its_target():
    model, seen = small_vae(), []
    log_prob = model.likelihood.log_prob
    model.likelihood.log_prob = lambda params, target: seen.append(target) or log_prob(params, target)
    model.log_weights(ImageBatch(torch.zeros(2, 1, 8, 8), torch.zeros(2).long()), samples=6, chunk=4)
    assert len(seen) == 3 and all(torch.equal(target, seen[0]) for target in seen)
    assert seen[0].shape == (2, 1, 8, 8)  # no copy for each draw


def test_what_the_encoder_says_is_the_true_posterior_with_its_kl():
    torch.manual_seed(0)
    batch = drawn(5)
    posterior = linear_gaussian().infer(batch)
    precision = 1 + W.square().sum(0) / SIGMA**2
    torch.testing.assert_close(posterior.log_var, -precision.log().expand(5, 2))
    q = torch.distributions.Normal(posterior.mean, (0.5 * posterior.log_var).exp())
    p = torch.distributions.Normal(torch.zeros(2).double(), torch.ones(2).double())
    torch.testing.assert_close(posterior.kl, torch.distributions.kl_divergence(q, p))


def small_vae(beta: float = 1.0) -> VAE:
    torch.manual_seed(0)
    return VAE(
        encoder=partial(MLPEncoder, image_shape=[1, 8, 8], hidden=[16], activation="relu"),
        decoder=partial(MLPDecoder, image_shape=[1, 8, 8], hidden=[16], activation="relu"),
        likelihood=Bernoulli(),
        loss=ELBO(beta=beta),
        optimizer=torch.optim.Adam,
        scheduler=Constant(),
        image_shape=[1, 8, 8],
        latent_dim=3,
    )


def test_it_is_what_callbacks_and_verbs_ask_for():
    model = small_vae()
    for kind in (Sampler, Reconstructor, Density, ImportanceSampler, LatentModel):
        assert isinstance(model, kind)


def test_equal_seeds_give_equal_samples_and_leave_the_global_stream_alone():
    model = small_vae()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = model.sample(4, seed=1), model.sample(4, seed=1), model.sample(4, seed=2)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())
    assert first.shape == (4, 1, 8, 8) and first.abs().max() <= 1


def test_the_output_starts_at_the_mean_image():
    model = small_vae()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
    mean = torch.linspace(-0.9, 0.9, 64).view(1, 8, 8)
    model.start_from(mean)
    torch.testing.assert_close(model.decode(torch.randn(2, 3))[0], mean)


def test_what_is_trained_and_what_is_judged_are_two_numbers():
    class Batch:
        image, label = torch.rand(16, 1, 8, 8) * 2 - 1, torch.zeros(16).long()

    logged: dict[str, Tensor] = {}
    model = small_vae(beta=7.0)
    model.log_dict = lambda values, **_: logged.update(values)  # type: ignore[method-assign]
    torch.manual_seed(1)
    trained = model.training_step(Batch(), 0)
    torch.manual_seed(1)
    model.validation_step(Batch(), 0)
    torch.testing.assert_close(trained["objective"], trained["reconstruction"] + 7 * trained["kl"])
    torch.testing.assert_close(
        logged["val/loss"], trained["reconstruction"] + trained["kl"], check_dtype=False
    )
    assert "val/bits_per_dim" not in logged  # binarized pixels have no bits per 8-bit value


def test_bad_numbers_are_refused_in_a_sentence():
    with pytest.raises(UserError, match="^model.latent_dim must be at least 1, got 0$"):
        VAE(
            encoder=MLPEncoder, decoder=MLPDecoder, likelihood=Bernoulli(), loss=ELBO(),
            optimizer=torch.optim.Adam, scheduler=Constant(), image_shape=SHAPE, latent_dim=0,
        )  # fmt: skip
    with pytest.raises(UserError, match="^n must be at least 1, got 0$"):
        small_vae().sample(0)


def test_tensors_of_a_wrong_shape_are_refused_in_a_sentence():
    model = small_vae()
    with pytest.raises(UserError) as error:
        model.log_prob(torch.zeros(1, 8, 8))
    assert str(error.value) == "images must be floats [B, 1, 8, 8] in [-1, 1], got torch.float32 [1, 8, 8]"
    with pytest.raises(UserError, match="got torch.uint8"):
        model.encode(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(UserError, match=r"^latents must be \[B, 3\], got \[2, 5\]$"):
        model.decode(torch.zeros(2, 5))
