"""What is peculiar to each architecture: its layers counted by hand, its weights, its refusals."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genlab.errors import UserError
from genlab.networks.dcgan import DCGANDecoder, DCGANEncoder
from genlab.networks.mlp import MLPDecoder, MLPEncoder
from genlab.networks.resnet import ResNetDecoder, ResNetEncoder


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("hidden", "encoder_count", "decoder_count"),
    [
        ([], 12 * 6 + 6, 5 * 24),
        ([8], 12 * 8 + 8 + 8 * 6 + 6, 5 * 8 + 8 + 8 * 24),
        ([8, 7], 12 * 8 + 8 + 8 * 7 + 7 + 7 * 6 + 6, 5 * 8 + 8 + 8 * 7 + 7 + 7 * 24),
        (
            [8, 7, 9],
            12 * 8 + 8 + 8 * 7 + 7 + 7 * 9 + 9 + 9 * 6 + 6,
            5 * 8 + 8 + 8 * 7 + 7 + 7 * 9 + 9 + 9 * 24,
        ),
    ],
)
def test_mlp_has_a_layer_for_each_hidden_width_and_a_linear_last_one(hidden, encoder_count, decoder_count):
    encoder = MLPEncoder((3, 2, 2), hidden, "tanh", out_features=6)
    decoder = MLPDecoder((3, 2, 2), hidden, "tanh", latent_dim=5, params_per_value=2)
    assert (count(encoder), count(decoder)) == (encoder_count, decoder_count)
    assert sum(isinstance(layer, nn.Tanh) for layer in decoder.layers) == len(hidden)
    assert encoder(torch.randn(4, 3, 2, 2)).shape == (4, 6)
    assert decoder(torch.randn(4, 5)).shape == (4, 2, 3, 2, 2)


def test_mlp_without_hidden_layers_is_linear():
    decoder = MLPDecoder((1, 2, 2), [], latent_dim=3, params_per_value=1)
    z = torch.randn(5, 3)
    assert_close(decoder(2 * z), 2 * decoder(z))


def test_dcgan_counts_its_layers_as_in_the_paper():
    # 28 -> 14 -> 7 -> 3 with 4, 8, 16 channels and 4x4 kernels: no norm after the first convolution of the
    # encoder, none after the last of the decoder; no bias where a norm follows, nor at the output
    encoder = (1 * 4 * 16 + 4) + (4 * 8 * 16 + 16) + (8 * 16 * 16 + 32) + (16 * 9 * 6 + 6)
    decoder = (5 * 16 * 9 + 32) + (16 * 8 * 16 + 16) + (8 * 4 * 16 + 8) + 4 * 1 * 16
    assert count(DCGANEncoder((1, 28, 28), 4, out_features=6)) == encoder
    assert count(DCGANDecoder((1, 28, 28), 4, latent_dim=5, params_per_value=1)) == decoder


def test_dcgan_gets_its_biases_back_where_nothing_is_normalised():
    network = DCGANDecoder((1, 28, 28), 4, "none", latent_dim=5, params_per_value=1)
    assert count(network) == 5 * 144 + 144 + 16 * 8 * 16 + 8 + 8 * 4 * 16 + 4 + 4 * 16


def test_dcgan_starts_from_the_weights_of_the_paper():
    torch.manual_seed(0)
    for network in (
        DCGANEncoder((1, 32, 32), 32, out_features=64),
        DCGANDecoder((1, 32, 32), 32, latent_dim=64, params_per_value=1),
    ):
        for layer in network.layers:
            if isinstance(layer, nn.BatchNorm2d):
                # 32 scales or more: 5 standard errors of their mean are .018
                assert layer.weight.mean().item() == pytest.approx(1, abs=0.018)
                assert 0.01 < layer.weight.std().item() < 0.03
                assert not layer.bias.any()
            elif hasattr(layer, "weight"):
                assert layer.weight.mean().item() == pytest.approx(0, abs=0.005)
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.12)
                assert layer.bias is None or not layer.bias.any()


def test_resnet_counts_its_layers():
    # 12 -> 6 -> 3 with 4, 8, 16 channels; a block from a to b: norm 2a, 3x3 conv, norm 2b, 3x3 conv, 1x1 skip
    def block(a, b):
        return 2 * a + (9 * a * b + b) + 2 * b + (9 * b * b + b) + (a * b + b if a != b else 0)

    encoder = (9 * 4 + 4) + block(4, 8) + block(8, 16) + 32 + (16 * 9 * 6 + 6)
    decoder = (5 * 144 + 144) + block(16, 8) + block(8, 4) + 8 + 9 * 4 * 1
    assert count(ResNetEncoder((1, 12, 12), 4, out_features=6)) == encoder
    assert count(ResNetDecoder((1, 12, 12), 4, latent_dim=5, params_per_value=1)) == decoder
    deeper = ResNetEncoder((1, 12, 12), 4, 3, out_features=6)
    assert count(deeper) == encoder + 2 * block(8, 8) + 2 * block(16, 16)
    wider = ResNetDecoder((1, 12, 12), 4, 2, latent_dim=5, params_per_value=1)
    assert count(wider) == decoder + block(8, 8) + block(4, 4)


def test_resnet_with_group_norm_treats_each_image_alone():
    encoder = ResNetEncoder((1, 12, 12), 4, out_features=6)
    image = torch.randn(3, 1, 12, 12)
    assert_close(encoder(image)[:1], encoder(image[:1]))
    training = encoder(image)
    assert_close(encoder.eval()(image), training)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: DCGANEncoder((1, 4, 4), 8, out_features=2),
            "dcgan needs images of at least 6x6, got 4x4: use model/network=mlp",
        ),
        (
            lambda: DCGANDecoder((1, 32, 5), 8, latent_dim=2, params_per_value=1),
            "dcgan needs images of at least 6x6, got 32x5: use model/network=mlp",
        ),
        (
            lambda: ResNetEncoder((1, 5, 5), 8, out_features=2),
            "resnet needs images of at least 6x6, got 5x5: use model/network=mlp",
        ),
        (
            lambda: ResNetDecoder((3, 4, 32), 8, latent_dim=2, params_per_value=1),
            "resnet needs images of at least 6x6, got 4x32: use model/network=mlp",
        ),
        (lambda: ResNetEncoder((1, 8, 8), 8, 0, out_features=2), "blocks must be at least 1, got 0"),
    ],
)
def test_an_impossible_network_is_refused_in_a_sentence(build, message):
    with pytest.raises(UserError) as error:
        build()
    assert str(error.value) == message


@pytest.mark.parametrize("network", [DCGANEncoder, ResNetEncoder])
def test_the_smallest_size_that_is_named_works(network):
    assert network((1, 6, 6), 4, out_features=2)(torch.randn(2, 1, 6, 6)).shape == (2, 2)
