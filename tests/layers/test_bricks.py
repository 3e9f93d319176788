from typing import get_args

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genlab.layers.activations import ActivationName, make_activation
from genlab.layers.dense import hidden_layers
from genlab.layers.norms import NormName, norm2d
from genlab.layers.resampling import halve
from genlab.layers.residual import ResidualBlock


@pytest.mark.parametrize("name", get_args(ActivationName))
def test_every_activation_is_the_function_of_its_name(name):
    x = torch.linspace(-3, 3, 7)
    slope = {"negative_slope": 0.2} if name == "leaky_relu" else {}
    function = torch.tanh if name == "tanh" else getattr(nn.functional, name)
    assert_close(make_activation(name)(x), function(x, **slope))


def test_an_unknown_activation_is_refused_with_the_known_ones():
    message = r"^activation must be one of relu, leaky_relu, elu, gelu, silu, tanh; got 'swish'$"
    with pytest.raises(ValueError, match=message):
        make_activation("swish")


def test_an_unknown_norm_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"^norm must be one of batch, group, none; got 'layer'$"):
        norm2d("layer", 8)


def test_batch_norm_centres_a_channel_over_the_batch_and_none_leaves_it():
    x = 3 + 2 * torch.randn(16, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    y = norm2d("batch", 4)(x)
    assert_close(y.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    assert_close(y.var((0, 2, 3), correction=0), torch.ones(4), atol=1e-4, rtol=0)
    assert torch.equal(norm2d("none", 4)(x), x)


@pytest.mark.parametrize(("channels", "groups"), [(32, 8), (12, 4), (7, 1)])
def test_group_norm_centres_groups_of_one_image_for_any_number_of_channels(channels, groups):
    x = 3 + 2 * torch.randn(2, channels, 5, 5, generator=torch.Generator().manual_seed(0))
    y = norm2d("group", channels)(x)
    assert_close(y.view(2, groups, -1).mean(2), torch.zeros(2, groups), atol=1e-5, rtol=0)
    assert_close(y[:1], norm2d("group", channels)(x[:1]))


@pytest.mark.parametrize(
    ("resize", "size"),
    [(nn.AvgPool2d(2), (4, 5)), (nn.Upsample((17, 23)), (17, 23)), (nn.Identity(), (8, 11))],
)
@pytest.mark.parametrize("norm", get_args(NormName))
def test_a_residual_block_halves_grows_or_keeps_odd_sizes(resize, size, norm):
    x = torch.randn(2, 3, 8, 11)
    before = x.clone()
    assert ResidualBlock(3, 6, resize, norm=norm)(x).shape == (2, 6, *size)
    assert torch.equal(x, before)


def test_a_residual_block_is_its_skip_connection_where_the_convolutions_are_silent():
    x = torch.randn(2, 4, 8, 8)
    block = ResidualBlock(4, 4, nn.AvgPool2d(2), norm="group")
    nn.init.zeros_(block.residual[-1].weight)
    nn.init.zeros_(block.residual[-1].bias)
    assert_close(block(x), nn.functional.avg_pool2d(x, 2))


def test_a_hidden_width_below_one_is_refused():
    with pytest.raises(ValueError, match=r"^hidden widths must be at least 1, got \[4, 0\]$"):
        hidden_layers([64, 4, 0], "relu")


def test_hidden_layers_are_pairs_of_a_linear_layer_and_an_activation():
    layers = hidden_layers([3, 5, 2], "tanh")
    assert [type(layer) for layer in layers] == [nn.Linear, nn.Tanh] * 2
    assert [layer.weight.shape for layer in layers[::2]] == [(5, 3), (2, 5)]


def test_halving_averages_pairs_on_even_sides_and_overlapping_triples_on_odd_ones():
    # rows 0 1 | 2 3 in pairs; columns 0 1 2 | 2 3 4 in threes
    x = torch.arange(20.0).view(1, 1, 4, 5)
    assert_close(halve((4, 5))(x), torch.tensor([[[[3.5, 5.5], [13.5, 15.5]]]]))


@pytest.mark.parametrize("size", [(6, 7), (33, 47), (7, 7), (8, 3)])
def test_halving_rounds_down_and_leaves_no_pixel_out(size):
    x = torch.ones(1, 1, *size, requires_grad=True)
    half = halve(size)(x)
    assert half.shape == (1, 1, size[0] // 2, size[1] // 2)
    half.sum().backward()
    assert (x.grad > 0).all()
