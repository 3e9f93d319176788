"""What every pair of networks keeps, whatever its architecture; the pairs are those of conf/."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn
from torch.testing import assert_close

from genlab.contracts import Decoder, Encoder

PAIRS = sorted((Path(__file__).parents[2] / "conf" / "model" / "pair").glob("vae_*.yaml"))
SHAPES = [(1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 100, 100), (1, 33, 47), (3, 33, 47)]


def build(path, image_shape, **changes):
    """The encoder (6 features) and decoder (5 latents, 2 parameters a value) of a file in conf/model/pair."""
    pair = OmegaConf.merge(OmegaConf.load(path), {"encoder": changes, "decoder": changes})
    config = OmegaConf.create({"data": {"image_shape": list(image_shape)}, "pair": pair})
    partials = instantiate(config.pair)
    return partials.encoder(out_features=6), partials.decoder(latent_dim=5, params_per_value=2)


def narrow(path):
    return {"hidden": [8]} if "hidden" in path.read_text() else {"width": 4}


def test_the_pairs_are_found():
    assert {path.stem for path in PAIRS} == {"vae_mlp", "vae_iwae", "vae_dcgan", "vae_resnet"}


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_a_pair_runs_as_it_stands_in_conf(path):
    encoder, decoder = build(path, (1, 32, 32))
    assert isinstance(encoder, Encoder) and isinstance(decoder, Decoder)
    assert encoder(torch.randn(2, 1, 32, 32)).shape == (2, 6)
    assert decoder(torch.randn(2, 5)).shape == (2, 2, 1, 32, 32)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_any_size_of_image_gets_exact_shapes_and_a_gradient_at_every_parameter(path, shape):
    encoder, decoder = build(path, shape, **narrow(path))
    features = encoder(torch.randn(3, *shape))
    assert features.shape == (3, 6)
    params = decoder(features[:, :5])
    assert params.shape == (3, 2, *shape)
    params.square().mean().backward()
    silent = [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.any()]
    silent += [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_the_parameters_of_each_channel_stand_together(path):
    """Output [B, P, C, H, W]: the weights of (p, c) are row p * C + c of the last layer."""
    _, decoder = build(path, (3, 8, 8), **narrow(path))
    decoder.eval()
    z = torch.randn(2, 5)
    weight = decoder.layers[-1].weight
    before = decoder(z)
    outputs = 1 if isinstance(decoder.layers[-1], nn.ConvTranspose2d) else 0
    rows = weight.shape[outputs] // 6
    with torch.no_grad():
        weight.narrow(outputs, 4 * rows, rows).zero_()  # p = 1, c = 1
    after = decoder(z)
    assert not after[:, 1, 1].any()
    after[:, 1, 1] = before[:, 1, 1]
    assert_close(after, before)


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_the_last_layer_of_a_decoder_has_no_bias(path):
    assert build(path, (1, 12, 12), **narrow(path))[1].layers[-1].bias is None


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_an_encoder_takes_label_channels_beside_the_image(path):
    pair = OmegaConf.merge(OmegaConf.load(path), {"encoder": narrow(path), "decoder": narrow(path)})
    config = OmegaConf.create({"data": {"image_shape": [3, 12, 12]}, "pair": pair})
    encoder = instantiate(config.pair).encoder(out_features=6, extra_channels=4).eval()
    image = torch.randn(1, 7, 12, 12).requires_grad_()
    encoder(image).sum().backward()
    assert image.grad.flatten(2).any(2).all()


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_equal_seeds_give_equal_networks(path):
    outputs = []
    for _ in range(2):
        torch.manual_seed(3)
        encoder, _ = build(path, (1, 12, 12), **narrow(path))
        outputs.append(encoder(torch.ones(2, 1, 12, 12)))
    assert torch.equal(*outputs)
