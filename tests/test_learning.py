"""Models learn: more than the best guess that looks at no image."""

import torch

from genlab import assembly
from genlab.config import compose
from genlab.objectives.likelihoods import Bernoulli
from genlab.train import train


def test_the_vae_beats_the_best_constant_predictor_on_real_digits(tmp_path):
    cfg = compose(
        ["model/network=mlp", "model.latent_dim=8", "trainer=cpu", "trainer.max_epochs=4", "logger=none"]
    )
    data = assembly.read_data(cfg, tmp_path)
    likelihood = Bernoulli()
    constant = likelihood.initial_params(data.mean_image())[None]  # [1, 1, C, H, W]
    torch.manual_seed(0)
    images = torch.cat([data.on_after_batch_transfer(batch, 0).image for batch in data.val_dataloader()])
    guess = -likelihood.log_prob(
        constant.expand(len(images), -1, -1, -1, -1), likelihood.target(images)
    ).mean()
    result = train(cfg, folder=tmp_path / "run")
    assert 400 < guess < 500
    assert result["final"]["val/loss"] < float(guess) - 60
    assert result["final"]["val/kl"] > 5  # by what it encodes, not by a better constant
