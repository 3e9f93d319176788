"""The mathematics of the example, against numbers derived by hand and closed forms."""

import math

import pytest
import torch
from torch.testing import assert_close

from genlab.contracts import Density, Reconstructor, Sampler
from genlab.errors import UserError
from genlab.objectives.bounds import Terms, Training
from genlab.schedules import Constant
from my_project.broadcast import SpatialBroadcastDecoder, coordinates
from my_project.ceiling import Ceiling
from my_project.ppca import PPCA, LinearGaussian
from my_project.shapes import Shapes, draw


def test_coordinates_run_from_minus_one_to_one():
    grid = coordinates(3, 5)
    assert_close(grid[0, :, 0], torch.tensor([-1.0, 0.0, 1.0]))
    assert_close(grid[1, 0], torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0]))


@pytest.mark.parametrize("image_shape", [[1, 32, 32], [3, 7, 5]])
def test_the_decoder_gives_parameters_for_images_of_any_size(image_shape):
    decoder = SpatialBroadcastDecoder(image_shape, width=4, latent_dim=3, params_per_value=2)
    assert decoder(torch.zeros(2, 3)).shape == (2, 2, *image_shape)


def test_without_its_coordinates_the_decoder_says_the_same_at_every_pixel():
    torch.manual_seed(0)
    decoder = SpatialBroadcastDecoder([1, 9, 9], width=4, depth=1, latent_dim=3, params_per_value=1)
    z = torch.randn(1, 3)
    inside = slice(2, -2)  # two convolutions of 3x3 see the border from two pixels away
    assert decoder(z)[..., inside, inside].std() > 1e-3
    decoder.grid.zero_()
    assert_close(decoder(z)[..., inside, inside].std(), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_the_ceiling_rises_with_the_steps_and_then_stays():
    # KL 3 and 7 nats, reconstruction 10 and 20; gamma 2; the ceiling is 0, 2, 4, 4, 4
    loss = Ceiling(gamma=2.0, ceiling=4.0, steps=2)
    kl, zero = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.zeros(2, 2)
    terms = Terms(torch.tensor([[-10.0, -20.0]]), zero[None], zero, zero, kl)
    values = [loss(terms, Training(step=step)).item() for step in range(5)]
    assert values == [(16 + 34) / 2, (12 + 30) / 2, *[(10 + 26) / 2] * 3]


@pytest.mark.parametrize("wrong", [{"gamma": -1.0}, {"ceiling": -1.0}, {"steps": 0}])
def test_the_ceiling_refuses_numbers_out_of_range(wrong):
    with pytest.raises(UserError, match="^gamma and ceiling must be at least 0 and steps at least 1, got"):
        Ceiling(**wrong)


@pytest.mark.parametrize(("kind", "area"), [("disc", math.pi), ("square", 4.0), ("diamond", 2.0)])
def test_a_shape_has_its_area_and_its_centre(kind, area):
    # of the image's area of 4, a shape of radius r covers area * r^2
    factors = torch.tensor([[0.4, 0.25, -0.5]])
    image = draw(torch.tensor([Shapes.classes.index(kind)]), factors, 64)[0, 0] / 255
    assert_close(image.mean(), torch.tensor(area * 0.16 / 4), rtol=0.02, atol=0)
    middle = (torch.arange(64) + 0.5) / 32 - 1
    centre = torch.stack([image.sum(1) @ middle, image.sum(0) @ middle]) / image.sum()
    assert_close(centre, factors[0, 1:], atol=2e-3, rtol=0)


def test_shapes_are_the_same_each_time_and_others_for_testing():
    first, again, test = (Shapes(train=train, n=20, size=16) for train in (True, True, False))
    assert torch.equal(first.data, again.data) and not torch.equal(first.data, test.data)
    assert first.data.shape == (20, 1, 16, 16) and first.data.dtype == torch.uint8


def random_model(dim: int = 6, latent_dim: int = 2) -> LinearGaussian:
    torch.manual_seed(0)
    model = LinearGaussian(dim, latent_dim).double()
    torch.nn.init.normal_(model.weight)
    torch.nn.init.normal_(model.mean)
    return model


def test_the_density_is_that_of_the_normal_distribution_with_the_whole_covariance():
    model, x = random_model(), torch.randn(5, 6, dtype=torch.float64)
    covariance = model.weight @ model.weight.T + torch.exp(2 * model.log_sigma) * torch.eye(6)
    whole = torch.distributions.MultivariateNormal(model.mean, covariance)
    assert_close(model.log_prob(x), whole.log_prob(x))
    # E[z|x] = Cov(z, x) Cov(x)^-1 (x - mean), and Cov(z, x) = W'
    expected = (x - model.mean) @ torch.linalg.solve(covariance, model.weight)
    assert_close(model.posterior_mean(x), expected)


def test_the_maximum_likelihood_solution_is_where_the_gradient_vanishes():
    # W = U (L - sigma^2)^(1/2) of the largest eigenvalues L, sigma^2 the mean of the others
    torch.manual_seed(1)
    x = torch.randn(50, 6, dtype=torch.float64) * torch.tensor([3.0, 2.0, 1.0, 0.5, 0.4, 0.3])
    values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))  # ascending
    noise, model = values[:4].mean(), random_model()
    with torch.no_grad():
        model.mean.copy_(x.mean(0))
        model.weight.copy_(vectors[:, 4:] * (values[4:] - noise).sqrt())
        model.log_sigma.copy_(0.5 * noise.log())
    model.log_prob(x).mean().backward()
    for parameter in model.parameters():
        assert_close(parameter.grad, torch.zeros_like(parameter), atol=1e-9, rtol=0)


def family(latent_dim: int = 3) -> PPCA:
    return PPCA(
        optimizer=torch.optim.Adam, scheduler=Constant(), image_shape=[1, 4, 4], latent_dim=latent_dim
    )


def test_the_family_can_do_what_genlab_asks_of_a_model():
    model = family()
    assert all(isinstance(model, kind) for kind in (Sampler, Reconstructor, Density))
    images = model.sample(5, seed=0)
    assert images.shape == (5, 1, 4, 4) and images.abs().max() <= 1
    assert torch.equal(images, model.sample(5, seed=0))
    assert model.log_prob(images).shape == (5,) and model.reconstruct(images).shape == images.shape


def test_the_family_refuses_a_latent_as_large_as_the_image():
    with pytest.raises(UserError, match=r"^model.latent_dim must lie in 1..15, got 16$"):
        family(latent_dim=16)
