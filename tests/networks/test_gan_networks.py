"""What every generator and discriminator keeps, whatever its architecture; the pairs are those of conf/."""

from functools import cache

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn
from torch.testing import assert_close

from genlab.config import conf_dir
from genlab.contracts import Discriminator, Generator

PAIRS = sorted(file.stem for file in (conf_dir() / "model" / "pair").glob("*gan_*.yaml"))
GANS = [pair for pair in PAIRS if pair.startswith("gan_")]
IMAGE_GANS = [pair for pair in GANS if pair != "gan_points"]
SHAPES = [(1, 28, 28), (3, 32, 32), (1, 33, 47), (3, 6, 6), (1, 6, 9)]
NARROW = {"gan_mlp": {"hidden": [8]}, "gan_points": {"hidden": [8, 8]}}
CONDITIONAL = ["gan_dcgan", "gan_sngan"]


@cache
def factories(pair, image_shape):
    """What constructs the generator and the discriminator that conf/model/pair offers by this name."""
    facts = [f"+data.image_shape={list(image_shape)}", "+data.num_features=2"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose(f"model/pair/{pair}", facts)
    halves = instantiate(cfg.model.pair, _convert_="all")
    return halves["generator"], halves["discriminator"]


def build(pair, image_shape=(1, 6, 6), *, extra_channels=0, pack=1, num_classes=None):
    """Narrow networks with 5 latents, no weight of which is zero: R3GAN's are at first."""
    size = NARROW.get(pair, {"width": 4})
    generator, discriminator = factories(pair, image_shape)
    halves = (
        generator(**size, latent_dim=5, num_classes=num_classes),
        discriminator(**size, extra_channels=extra_channels, pack=pack),
    )
    for parameter in (p for half in halves for p in half.parameters() if not p.any()):
        nn.init.normal_(parameter, 0.0, 0.3)
    return halves


def samples(pair, n, image_shape=(1, 6, 6)):
    return torch.randn(n, 2) if pair == "gan_points" else torch.randn(n, *image_shape)


def test_every_architecture_serves_both_adversarial_families():
    names = {"mlp", "dcgan", "sngan", "r3gan", "points"}
    assert set(PAIRS) == {f"{family}_{name}" for family in ("gan", "cgan") for name in names}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_pair_as_it_stands_in_conf_fits_together(pair):
    generator, discriminator = factories(pair, (1, 28, 28))
    generator, discriminator = generator(latent_dim=5, num_classes=None), discriminator()
    assert isinstance(generator, Generator) and isinstance(discriminator, Discriminator)
    features = discriminator(generator(torch.randn(2, 5)))
    assert features.shape == (2, discriminator.num_features)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("pair", IMAGE_GANS)
def test_any_size_of_image_gets_exact_shapes_and_a_gradient_at_every_parameter(pair, shape):
    torch.manual_seed(0)
    generator, discriminator = build(pair, shape, extra_channels=2, pack=3)
    fake = generator(torch.randn(6, 5))
    assert fake.shape == (6, *shape)
    assert fake.abs().max() <= 1
    packed = torch.cat([fake, torch.randn(6, 2, *shape[1:])], dim=1).reshape(2, -1, *shape[1:])
    features = discriminator(packed)
    assert features.shape == (2, discriminator.num_features)
    features.square().sum().backward()
    parameters = [*generator.named_parameters(), *discriminator.named_parameters()]
    assert not [name for name, p in parameters if p.grad is None or not p.grad.any()]


def test_points_of_any_dimension_are_unbounded_and_packed():
    torch.manual_seed(0)
    generator, discriminator = factories("gan_points", (1, 6, 6))
    fake = generator(dimensions=4, latent_dim=3)(100 * torch.randn(6, 3))
    assert fake.shape == (6, 4)
    assert fake.abs().max() > 1
    packed = torch.cat([fake, torch.randn(6, 1)], dim=1).reshape(3, 10)
    assert discriminator(dimensions=4, extra_channels=1, pack=2)(packed).shape == (3, 256)


@pytest.mark.parametrize("pair", IMAGE_GANS)
def test_pixels_stay_within_tanh_however_large_the_latent(pair):
    image = build(pair)[0].eval()(1e3 * torch.randn(4, 5))
    assert image.abs().max() <= 1
    assert image.abs().max() > 0.99


@pytest.mark.parametrize("pair", GANS)
def test_weights_survive_being_stored(pair):
    for half, other in zip(build(pair), build(pair), strict=True):
        x = torch.randn(4, 5) if isinstance(half, Generator) else samples(pair, 4)
        half(x)  # moves running statistics and the vectors of spectral norm
        other.load_state_dict(half.state_dict())
        assert torch.equal(half.eval()(x), other.eval()(x))


@pytest.mark.parametrize("pair", GANS)
def test_equal_seeds_give_equal_pairs(pair):
    features = []
    for _ in range(2):
        torch.manual_seed(3)
        generator, discriminator = build(pair)
        features.append(discriminator(generator(torch.ones(4, 5))))
    assert torch.equal(*features)


def penalty(discriminator, x):
    """The squared gradient of the features' sum at x."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return gradient.square().sum()


@pytest.mark.parametrize("pair", GANS)
def test_a_gradient_penalty_has_the_right_gradient(pair):
    """Double backward against the difference of two values along a random direction."""
    torch.manual_seed(0)
    discriminator = build(pair)[1].double().eval()
    x = samples(pair, 3).double()
    weights = [p for p in discriminator.parameters() if p.dim() > 1]
    directions = [torch.randn_like(w) for w in weights]
    gradients = torch.autograd.grad(penalty(discriminator, x), weights, allow_unused=True)
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None)
    values = []
    with torch.no_grad():
        for step in (1e-6, -2e-6):
            for weight, direction in zip(weights, directions, strict=True):
                weight += step * direction
            with torch.enable_grad():
                values.append(penalty(discriminator, x).detach())
    assert slope.abs() > 1e-3
    assert_close(slope, (values[0] - values[1]) / 2e-6, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pair", GANS)
def test_a_gradient_penalty_trains_every_weight_but_the_biases(pair):
    torch.manual_seed(0)
    discriminator = build(pair)[1]
    penalty(discriminator, samples(pair, 6)).backward()
    weights = {name: p for name, p in discriminator.named_parameters() if p.dim() > 1}
    assert weights
    assert not [name for name, w in weights.items() if w.grad is None or not w.grad.any()]


@pytest.mark.parametrize("pair", CONDITIONAL)
def test_a_generator_with_conditional_norms_is_told_the_class_by_them(pair):
    generator = build(pair, num_classes=4)[0].eval()
    assert generator.conditional_norm
    z = torch.randn(1, 5).expand(4, 5)
    assert_close(generator(z, torch.full((4,), 2)), generator(z[:1], torch.tensor([2])).expand(4, -1, -1, -1))
    images = generator(z, torch.arange(4))
    assert torch.pdist(images.flatten(1)).min() > 1e-4
    with pytest.raises(ValueError, match="^a network with a norm for each class needs the label"):
        generator(z)


@pytest.mark.parametrize("pair", sorted(set(GANS) - set(CONDITIONAL)))
def test_a_generator_without_them_refuses_classes(pair):
    assert not build(pair)[0].conditional_norm
    with pytest.raises(ValueError, match=r"has no norm to tell 4 classes: labels have to be joined to z$"):
        build(pair, num_classes=4)


def test_halves_of_different_architectures_fit():
    pairs = [build(pair, (3, 7, 10)) for pair in IMAGE_GANS]
    for generator, _ in pairs:
        for _, discriminator in pairs:
            features = discriminator(generator(torch.randn(2, 5)))
            assert features.shape == (2, discriminator.num_features)
