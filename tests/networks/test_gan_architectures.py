"""What is peculiar to each adversarial architecture: layers counted by hand, first weights, refusals."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.testing import assert_close

from genlab.errors import UserError
from genlab.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genlab.networks.mlp import MLPDiscriminator, MLPGenerator
from genlab.networks.points import PointsDiscriminator, PointsGenerator
from genlab.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from genlab.networks.sngan import SNGANDiscriminator, SNGANGenerator

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def convolutions(network):
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def test_fully_connected_networks_have_the_layers_that_are_named():
    assert count(MLPGenerator((3, 2, 2), [8], latent_dim=5)) == 5 * 8 + 8 + 8 * 12 + 12
    discriminator = MLPDiscriminator((3, 2, 2), [8, 7], extra_channels=1, pack=2)
    assert count(discriminator) == 2 * (3 * 4 + 1) * 8 + 8 + 8 * 7 + 7
    assert discriminator.num_features == 7
    assert count(PointsGenerator(2, [8], latent_dim=5)) == 5 * 8 + 8 + 8 * 2 + 2
    assert count(PointsDiscriminator(2, [8], extra_channels=1, pack=3)) == 9 * 8 + 8


def test_fully_connected_discriminators_see_one_number_of_each_label_channel():
    discriminator = MLPDiscriminator((2, 3, 3), [4], extra_channels=2, pack=2)
    images, labels = torch.rand(5, 4, 3, 3), torch.rand(5, 4)  # [B, m C, H, W], [B, m E]
    joined = torch.cat([images, labels[..., None, None].expand(-1, -1, 3, 3)], dim=1)
    plain = torch.cat([images.flatten(1), labels], dim=1)
    torch.testing.assert_close(discriminator(joined), discriminator.layers(plain))


def test_dcgan_counts_its_layers_as_in_the_paper():
    # as encoder and decoder, but for the head, which is the family's, and the bias of the output
    discriminator = (3 * 4 * 16 + 4) + (4 * 8 * 16 + 16) + (8 * 16 * 16 + 32)
    generator = (5 * 16 * 9 + 32) + (16 * 8 * 16 + 16) + (8 * 4 * 16 + 8) + (4 * 1 * 16 + 1)
    assert count(DCGANDiscriminator((1, 28, 28), 4, extra_channels=2)) == discriminator
    assert count(DCGANGenerator((1, 28, 28), 4, latent_dim=5)) == generator
    # ten classes: ten scales and shifts for one at each of the three norms
    conditional = DCGANGenerator((1, 28, 28), 4, latent_dim=5, num_classes=10)
    assert count(conditional) == generator + 9 * (32 + 16 + 8)


def test_dcgan_normalises_neither_the_output_of_the_generator_nor_the_input_of_the_discriminator():
    discriminator = [type(layer) for layer in DCGANDiscriminator((1, 28, 28), 4).layers]
    assert discriminator[:2] == [nn.Conv2d, nn.LeakyReLU]
    generator = [type(layer) for layer in DCGANGenerator((1, 28, 28), 4, latent_dim=5).layers]
    assert generator[-2:] == [nn.ConvTranspose2d, nn.Tanh]
    assert generator.count(nn.BatchNorm2d) == 3 and discriminator.count(nn.BatchNorm2d) == 2


@pytest.mark.parametrize("num_classes", [None, 4])
def test_dcgan_starts_from_the_weights_of_the_paper(num_classes):
    torch.manual_seed(0)
    generator = DCGANGenerator((1, 32, 32), 32, latent_dim=64, num_classes=num_classes)
    discriminator = DCGANDiscriminator((1, 32, 32), 32)
    for name, parameter in [*generator.named_parameters(), *discriminator.named_parameters()]:
        if name.endswith(("bias", "shift")):
            assert not parameter.any()
        elif parameter.dim() == 1 or name.endswith("scale"):
            assert parameter.mean().item() == pytest.approx(1, abs=0.018)
            assert 0.01 < parameter.std().item() < 0.03
        else:
            assert parameter.mean().item() == pytest.approx(0, abs=0.005)
            assert parameter.std().item() == pytest.approx(0.02, rel=0.12)


def test_sngan_counts_its_layers():
    # 12 -> 6 -> 3; the generator has 4, 8, 16 channels, the discriminator 4 and 8 after its input
    def up(a, b):
        return 2 * a + 9 * a * b + 2 * b + (9 * b * b + b) + (a * b + b)

    def down(a, b):
        return (9 * a * b + b) + (9 * b * b + b) + (a * b + b)

    generator = (5 * 144 + 144) + up(16, 8) + up(8, 4) + 8 + (9 * 4 * 1 + 1)
    assert count(SNGANGenerator((1, 12, 12), 4, latent_dim=5)) == generator
    assert count(SNGANDiscriminator((1, 12, 12), 4, pack=2)) == down(2, 4) + down(4, 8) + down(8, 8)


def test_spectral_norm_brings_the_largest_singular_value_of_every_layer_to_one():
    torch.manual_seed(0)
    discriminator = SNGANDiscriminator((1, 12, 12), 8)
    layers = convolutions(discriminator)
    assert len(layers) == 9 and all(is_parametrized(layer, "weight") for layer in layers)
    with torch.no_grad():
        for layer in layers:
            layer.parametrizations.weight.original *= 7
        for _ in range(30):
            discriminator(torch.randn(1, 1, 12, 12))
    largest = torch.stack([torch.linalg.matrix_norm(layer.weight.flatten(1), 2) for layer in layers])
    assert_close(largest, torch.ones(9), atol=0.02, rtol=0)


def test_sngan_sums_over_all_places():
    discriminator = SNGANDiscriminator((1, 12, 12), 4).eval()
    x = torch.randn(2, 1, 12, 12)
    maps = discriminator.layers(x)
    assert maps.shape == (2, 8, 3, 3) and maps.min() >= 0
    assert_close(discriminator(x), 9 * maps.mean((2, 3)))


def test_sngan_judges_the_darkest_pixels_too():
    """No ReLU before the first convolution: it would make all below zero alike."""
    first = SNGANDiscriminator((1, 12, 12), 4).layers[0]
    dark, darker = (first.residual(torch.full((1, 1, 12, 12), pixel)) for pixel in (-0.5, -1.0))
    assert not torch.allclose(dark, darker)


def test_sngan_starts_its_generator_from_the_bounds_of_glorot():
    torch.manual_seed(0)
    generator = SNGANGenerator((1, 12, 12), 16, latent_dim=5)
    residual = [layer for block in generator.layers if hasattr(block, "residual") for layer in block.residual]
    layers = [m for m in generator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 8
    for layer in layers:
        gain = math.sqrt(2) if layer in residual else 1
        places = math.prod(layer.weight.shape[2:])
        bound = gain * math.sqrt(6 / (places * sum(layer.weight.shape[:2])))
        # of 144 uniform weights or more, the largest lies within 5 % of its bound but once in 1,000
        assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.05)
        assert layer.weight.abs().max() <= bound
        assert layer.bias is None or not layer.bias.any()


def test_sngan_has_spectral_norm_in_the_discriminator_alone():
    assert SNGANDiscriminator.spectral_norm
    assert not any(is_parametrized(m) for m in SNGANGenerator((1, 12, 12), 4, latent_dim=5).modules())
    assert not any(d.spectral_norm for d in (DCGANDiscriminator, MLPDiscriminator, R3GANDiscriminator))


def test_r3gan_counts_its_layers():
    # 6 -> 3 with 4 and 8 channels, expansion 3, 2 groups
    def block(a):
        return (a * 3 * a + 3 * a) + (9 * 3 * a * 3 * a // 2 + 3 * a) + 3 * a * a

    generator = (8 * 9 + 5 * 8) + block(8) + 8 * 4 + block(4) + (4 * 3 + 3)
    discriminator = 4 * 4 + block(4) + 4 * 8 + block(8) + 8 * 9
    size = {"groups": 2, "expansion": 3}
    assert count(R3GANGenerator((3, 6, 6), 4, **size, latent_dim=5)) == generator
    assert count(R3GANDiscriminator((3, 6, 6), 4, **size, extra_channels=1)) == discriminator
    deeper = R3GANDiscriminator((3, 6, 6), 4, 2, **size, extra_channels=1)
    assert count(deeper) == discriminator + block(4) + block(8)


@pytest.mark.parametrize(
    "network", [R3GANGenerator((1, 12, 12), 4, latent_dim=5), R3GANDiscriminator((1, 12, 12), 4)], ids=type
)
def test_r3gan_normalises_nothing_and_its_blocks_are_their_skip_connections_at_first(network):
    assert not any(isinstance(module, NORMS) or is_parametrized(module) for module in network.modules())
    blocks = [layer for layer in network.layers if hasattr(layer, "residual")]
    assert len(blocks) == 3
    for block in blocks:
        x = torch.randn(2, block.residual[0].in_channels, 3, 3)
        assert torch.equal(block(x), x)
        nn.init.ones_(block.residual[-1].weight)
        assert not torch.allclose(block(x), x)


def test_r3gan_is_linear_at_first_and_then_no_more():
    discriminator = R3GANDiscriminator((1, 7, 10), 4)
    x = torch.randn(3, 1, 7, 10)
    assert_close(discriminator(-2 * x), -2 * discriminator(x))
    for layer in convolutions(discriminator):
        nn.init.normal_(layer.weight)
    assert not torch.allclose(discriminator(-2 * x), -2 * discriminator(x), rtol=0.1)


def test_r3gan_starts_from_weights_that_shrink_with_its_depth():
    torch.manual_seed(0)
    for blocks in (1, 4):
        network = R3GANDiscriminator((1, 12, 12), 32, blocks)
        first = next(layer for layer in network.layers if hasattr(layer, "residual")).residual
        gain = math.sqrt(2 / (1 + 0.2**2)) * (3 * blocks) ** -0.25
        assert first[0].weight.std().item() == pytest.approx(gain / math.sqrt(32), rel=0.08)
        assert first[2].weight.std().item() == pytest.approx(gain / math.sqrt(9 * 64 / 4), rel=0.08)
        assert not any(layer.bias.any() for layer in convolutions(network) if layer.bias is not None)


def test_r3gan_scales_its_basis_by_a_linear_map_of_the_latent():
    basis = R3GANGenerator((1, 6, 6), 4, latent_dim=5).layers[0]
    z = torch.randn(2, 5)
    assert_close(basis(z)[1, 3], basis.basis[3] * (basis.scale.weight[3] * z[1]).sum())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: DCGANDiscriminator((1, 4, 4), 8),
            "dcgan needs images of at least 6x6, got 4x4: use model/network=mlp",
        ),
        (
            lambda: SNGANGenerator((1, 5, 32), 8, latent_dim=2),
            "sngan needs images of at least 6x6, got 5x32: use model/network=mlp",
        ),
        (
            lambda: SNGANDiscriminator((3, 5, 5), 8),
            "sngan needs images of at least 6x6, got 5x5: use model/network=mlp",
        ),
        (
            lambda: R3GANGenerator((1, 5, 5), 8, latent_dim=2),
            "r3gan needs images of at least 6x6, got 5x5: use model/network=mlp",
        ),
        (lambda: R3GANDiscriminator((1, 8, 8), 8, 0), "blocks must be at least 1, got 0"),
        (
            lambda: R3GANDiscriminator((1, 8, 8), 5, groups=4),
            "groups must divide expansion * width = 10, got 4",
        ),
    ],
)
def test_an_impossible_network_is_refused_in_a_sentence(build, message):
    with pytest.raises(UserError) as error:
        build()
    assert str(error.value) == message
