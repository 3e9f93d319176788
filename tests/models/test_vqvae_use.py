"""What is done with a VQ-VAE: codes are drawn, images encoded and decoded."""

from functools import partial

import pytest
import torch
from gan_stubs import SHAPE
from torch.testing import assert_close
from vqvae_stubs import all_grids, trained, vqvae

from genlab.contracts import Reconstructor, Sampler
from genlab.errors import UserError
from genlab.models.code_grids import draw_codes
from genlab.networks.resnet_maps import ResNetMapDecoder, ResNetMapEncoder
from genlab.objectives.likelihoods import Gaussian


def test_codes_are_drawn_one_after_the_other_from_their_conditionals():
    torch.manual_seed(1)
    model = trained()
    with torch.no_grad():
        exact = (-model.code_nll(all_grids(model))).exp()  # [81]
        codes = draw_codes(model.prior, torch.rand(20_000, 2, 2))
    places = codes.flatten(1) @ torch.tensor([27, 9, 3, 1])  # the number of each grid
    seen = torch.bincount(places, minlength=81) / len(codes)
    assert exact.max() < 0.9 and exact.min() < 1e-3  # neither one grid alone nor all alike
    assert_close(seen, exact, rtol=0, atol=0.015)  # 4 standard errors at most


def test_equal_seeds_give_equal_samples_and_leave_the_global_stream_alone():
    model = trained()
    before = torch.get_rng_state()
    first, second, other = model.sample(6, seed=1), model.sample(6, seed=1), model.sample(6, seed=2)
    assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())
    assert first.shape == (6, *SHAPE) and first.abs().max() <= 1


def test_it_is_what_callbacks_and_verbs_ask_for():
    model = vqvae()
    assert isinstance(model, Sampler) and isinstance(model, Reconstructor)
    assert set(model.sampling_modules()) == {
        "encoder", "quantizer", "decoder", "output", "likelihood", "prior",
    }  # fmt: skip


def test_images_become_codes_and_codes_images():
    model = trained()
    image = torch.rand(5, *SHAPE) * 2 - 1
    codes = model.encode(image)
    assert codes.shape == (5, 2, 2) and codes.dtype == torch.int64
    assert_close(model.reconstruct(image), model.decode(codes))


def test_the_output_starts_at_the_mean_image():
    model = vqvae().eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
    mean = torch.linspace(-0.9, 0.9, 16).view(SHAPE)
    model.start_from(mean)
    assert_close(model.sample(2, seed=0)[0], mean)


def test_color_and_odd_sides_and_residual_networks_go(tmp_path):
    shape = [3, 9, 11]
    model = vqvae(
        encoder=partial(ResNetMapEncoder, shape, 4),
        decoder=partial(ResNetMapDecoder, shape, 4),
        likelihood=Gaussian(),
        image_shape=shape,
        downsampling=4,
    )
    image = torch.rand(2, *shape) * 2 - 1
    assert model.encode(image).shape == (2, 2, 2)
    assert model.reconstruct(image).shape == model.sample(2, seed=0).shape == (2, *shape)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.sample(0), "n must be at least 1, got 0"),
        (
            lambda m: m.encode(torch.zeros(1, 4, 4)),
            "images must be floats [B, 1, 4, 4] in [-1, 1], got torch.float32 [1, 4, 4]",
        ),
        (
            lambda m: m.decode(torch.zeros(3, 2)),
            "codes must be int64 [B, 2, 2], got torch.float32 [3, 2]",
        ),
        (
            lambda m: m.decode(torch.zeros(3, 2, 2)),
            "codes must be int64 [B, 2, 2], got torch.float32 [3, 2, 2]",
        ),
        (lambda m: m.decode(torch.full((1, 2, 2), 3)), "codes must be from 0 to 2, got 3"),
    ],
)
def test_tensors_of_a_wrong_kind_are_refused_in_a_sentence(call, sentence):
    with pytest.raises(UserError) as error:
        call(vqvae())
    assert str(error.value) == sentence
