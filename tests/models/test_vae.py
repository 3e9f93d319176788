import math
from functools import partial

import pytest
import torch
from torch import Tensor

from genlab.contracts import Decoder, Density, Encoder, ImageBatch, Reconstructor, Sampler
from genlab.errors import UserError
from genlab.models.vae import VAE
from genlab.networks.mlp import MLPDecoder, MLPEncoder
from genlab.objectives.bounds import ELBO
from genlab.objectives.likelihoods import Bernoulli, Gaussian
from genlab.schedules import Constant

SHAPE = [1, 2, 2]
SIGMA = 0.5
# orthogonal columns, so that the true posterior of the linear-Gaussian model is diagonal
W = torch.tensor([[0.6, 0.0], [0.0, 0.4], [0.8, 0.0], [0.0, -0.3]], dtype=torch.float64)


class LinearDecoder(Decoder):
    """x = W z, as `[B, 1, 1, 2, 2]`."""

    def forward(self, z: Tensor) -> Tensor:
        return (z @ W.to(z).T).view(-1, 1, *SHAPE)


class PosteriorEncoder(Encoder):
    """The true posterior of z, its mean shifted by `error`: precision I + W'W / sigma^2."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def forward(self, image: Tensor) -> Tensor:
        precision = 1 + W.square().sum(0) / SIGMA**2
        mean = (image.flatten(1).double() @ W) / SIGMA**2 / precision
        return torch.cat([mean + self.error, (-precision.log()).expand_as(mean)], dim=1)


def linear_gaussian(error: float = 0.0) -> VAE:
    return VAE(
        encoder=lambda out_features: PosteriorEncoder(error),
        decoder=lambda latent_dim, params_per_value: LinearDecoder(),
        likelihood=Gaussian(scale=SIGMA, dequantize=False),
        loss=ELBO(),
        optimizer=torch.optim.Adam,
        scheduler=Constant(),
        image_shape=SHAPE,
        latent_dim=2,
    ).double()


def exact_log_prob(image: Tensor) -> Tensor:
    """log N(x; 0, W W' + sigma^2 I), the density that the linear-Gaussian model has."""
    covariance = W @ W.T + SIGMA**2 * torch.eye(4, dtype=torch.float64)
    return torch.distributions.MultivariateNormal(torch.zeros(4).double(), covariance).log_prob(
        image.flatten(1)
    )


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


def test_the_chunk_of_importance_sampling_changes_nothing_but_memory(image):
    model = linear_gaussian(0.3)
    estimates = []
    for chunk in (1, 10_000):
        torch.manual_seed(0)
        estimates.append(
            torch.stack([model.log_prob(image, samples=7, chunk=chunk) for _ in range(400)]).mean(0)
        )
    torch.testing.assert_close(*estimates, rtol=0, atol=0.03)


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
    assert isinstance(model, Sampler) and isinstance(model, Reconstructor) and isinstance(model, Density)


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
