"""An exact resume of a VQ-VAE: codebook, both optimizers, both schedules."""

from functools import partial

import pytest
import torch
from vqvae_stubs import Kill, Killed, fit, vqvae

from comparisons import assert_same
from genlab.networks.ema_quantizer import EMAQuantizer
from genlab.networks.pixelcnn import GatedPixelCNN
from genlab.schedules import Cosine, Plateau

SETTINGS = {
    "plain": dict,
    "codes revived at each turn": lambda: {"quantizer": partial(EMAQuantizer, revive_after=1)},
    "accumulated": lambda: {"accumulate": 2},
    "scheduled": lambda: {"scheduler": Cosine(), "prior_scheduler": Plateau(0.5, 0)},
    "noise in the prior": lambda: {"prior": partial(GatedPixelCNN, 4, 2, dropout=0.5)},
}


@pytest.mark.parametrize("batches", [4, 10])  # the first between two batches that are accumulated
@pytest.mark.parametrize("name", SETTINGS)
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, name, batches):
    settings = {"max_epochs": 2}
    fit(tmp_path / "whole", vqvae(**SETTINGS[name]()), every=1, **settings)
    with pytest.raises(Killed):
        fit(tmp_path / "killed", vqvae(**SETTINGS[name]()), Kill(batches), every=1, **settings)
    fit(tmp_path / "killed", vqvae(**SETTINGS[name]()), every=1, resume=True, **settings)
    for file in ("last.ckpt", "best.ckpt"):
        whole, killed = (
            torch.load(tmp_path / side / "checkpoints" / file, weights_only=True)
            for side in ("whole", "killed")
        )
        assert_same(whole, killed)
    rows = [(tmp_path / side / "metrics.csv").read_bytes() for side in ("whole", "killed")]
    assert rows[0] == rows[1]
