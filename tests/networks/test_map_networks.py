"""What every pair between images and maps of features keeps; the pairs are those of conf/."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.testing import assert_close

from genlab.code_contracts import MapDecoder, MapEncoder
from genlab.errors import UserError
from genlab.networks.resnet_maps import ResNetMapEncoder
from genlab.networks.stages import map_sizes

PAIRS = sorted((Path(__file__).parents[2] / "conf" / "model" / "pair").glob("vqvae_*.yaml"))
SHAPES = [(1, 28, 28), (3, 32, 32), (1, 33, 47), (3, 8, 9)]


def build(path, image_shape, downsampling):
    """A narrow encoder (6 features) and decoder (2 parameters a value) of a file in conf/model/pair."""
    narrow = {"width": 4}
    pair = OmegaConf.merge(OmegaConf.load(path), {"encoder": narrow, "decoder": narrow})
    partials = instantiate(
        OmegaConf.create({"data": {"image_shape": list(image_shape)}, "pair": pair}).pair, _convert_="all"
    )
    return (
        partials["encoder"](out_channels=6, downsampling=downsampling),
        partials["decoder"](in_channels=6, downsampling=downsampling, params_per_value=2),
    )


def test_the_pairs_are_found():
    assert {path.stem for path in PAIRS} == {"vqvae_dcgan", "vqvae_resnet"}


@pytest.mark.parametrize("downsampling", [2, 4, 8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_any_size_of_image_gets_exact_shapes_and_a_gradient_at_every_parameter(path, shape, downsampling):
    encoder, decoder = build(path, shape, downsampling)
    assert isinstance(encoder, MapEncoder) and isinstance(decoder, MapDecoder)
    features = encoder(torch.randn(3, *shape))
    grid = (shape[1] // downsampling, shape[2] // downsampling)
    assert features.shape == (3, 6, *grid) and encoder.grid == grid
    params = decoder(features)
    assert params.shape == (3, 2, *shape)
    params.square().mean().backward()
    silent = [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.any()]
    silent += [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    # a norm over a single value gives zero, and what lies before it then learns nothing
    assert not silent or grid == (1, 1)


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_a_place_of_the_map_stands_for_its_place_of_the_image(path):
    encoder, decoder = build(path, (1, 64, 64), 4)
    encoder.eval(), decoder.eval()
    features = torch.randn(1, 6, 16, 16)
    for layer in (encoder, decoder):
        for norm in layer.modules():
            if isinstance(norm, torch.nn.GroupNorm):  # looks at the whole map
                norm.forward = lambda x: x
    changed = features.clone()
    changed[0, :, 3, 12] += 1
    moved = (decoder(changed) != decoder(features)).flatten(1, 2).any(1)[0]  # [64, 64]
    rows, columns = moved.nonzero().T
    assert rows.min() > 0 and rows.max() < 40 and columns.min() > 24
    assert moved[3 * 4 : 4 * 4, 12 * 4 : 13 * 4].all()


def test_the_parameters_of_each_channel_stand_together():
    for path in PAIRS:
        _, decoder = build(path, (3, 8, 8), 2)
        assert decoder(torch.randn(2, 6, 4, 4)).shape == (2, 2, 3, 8, 8)
        assert decoder.layers[-1].bias is None
        flat = decoder.layers(torch.ones(2, 6, 4, 4))
        assert_close(decoder(torch.ones(2, 6, 4, 4))[:, 1, 2], flat[:, 5])


def test_sizes_are_halved_and_rounded_down():
    assert map_sizes([1, 33, 47], 8) == [(33, 47), (16, 23), (8, 11), (4, 5)]


@pytest.mark.parametrize(
    ("shape", "downsampling", "sentence"),
    [
        ((1, 28, 28), 3, "model.downsampling must be a power of two from 2 on, got 3"),
        ((1, 28, 28), 1, "model.downsampling must be a power of two from 2 on, got 1"),
        (
            (1, 28, 7),
            8,
            "model.downsampling=8 needs images of at least 8x8, got 28x7: lower it, or raise data.image_size",
        ),
    ],
)
def test_an_impossible_map_is_refused_in_a_sentence(shape, downsampling, sentence):
    for path in PAIRS:
        with pytest.raises(UserError) as error:
            build(path, shape, downsampling)
        assert str(error.value) == sentence


def test_a_stage_needs_a_block():
    with pytest.raises(UserError, match="^blocks must be at least 1, got 0$"):
        ResNetMapEncoder((1, 8, 8), 4, 0, out_channels=2, downsampling=2)
