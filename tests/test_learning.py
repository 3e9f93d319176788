"""Models learn: more than the best guess that looks at no image."""

import torch

from genlab import assembly, load_model
from genlab.config import compose
from genlab.metrics.modes import report_modes
from genlab.objectives.likelihoods import Bernoulli
from genlab.train import train


def constant_guess(cfg, folder):
    """Nats per validation image of the constant prediction at the training data's mean image."""
    data = assembly.read_data(cfg, folder)
    likelihood = Bernoulli()
    constant = likelihood.initial_params(data.mean_image())[None]  # [1, 1, C, H, W]
    torch.manual_seed(0)
    images = torch.cat([data.on_after_batch_transfer(batch, 0).image for batch in data.val_dataloader()])
    params = constant.expand(len(images), -1, -1, -1, -1)
    return float(-likelihood.log_prob(params, likelihood.target(images)).mean())


def test_the_vae_beats_the_best_constant_predictor_on_real_digits(tmp_path):
    cfg = compose(
        ["model/network=mlp", "model.latent_dim=8", "trainer=cpu", "trainer.max_epochs=4", "logger=none"]
    )
    guess = constant_guess(cfg, tmp_path)
    result = train(cfg, folder=tmp_path / "run")
    assert 400 < guess < 500
    assert result["final"]["val/loss"] < guess - 60
    assert result["final"]["val/kl"] > 5  # by what it encodes, not by a better constant


def test_an_adversarial_pair_finds_every_mode_of_a_ring(tmp_path):
    cfg = compose(
        ["experiment=ring_relativistic", "model.generator.hidden=[64,64]", "model.discriminator.hidden=[64,64]",
         "data.points.modes=4", "data.points.sigma=0.05", "trainer=cpu", "trainer.max_steps=600", "logger=none",
         "trainer.max_epochs=-1", "callbacks.ema.half_life=10000", "trainer.enable_progress_bar=false"]
    )  # fmt: skip
    train(cfg, folder=tmp_path)
    samples = load_model(tmp_path).sample(1000, seed=0)
    report = report_modes(samples, torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), 0.05)
    assert (
        report.covered == 4 and report.high_quality > 0.1 and report.reverse_kl < 0.1
    )  # 0.19 and 0.003 seen


def test_the_vqvae_beats_it_even_where_its_codes_are_paid_for(tmp_path):
    cfg = compose(
        ["model=vqvae", "model.encoder.width=16", "model.decoder.width=16", "model.prior.layers=3",
         "trainer=cpu", "trainer.max_epochs=4", "logger=none"]
    )  # fmt: skip
    guess = constant_guess(cfg, tmp_path)
    final = train(cfg, folder=tmp_path / "run")["final"]
    assert final["val/reconstruction"] < guess - 80
    assert final["val/loss"] < guess - 30
    assert final["val/prior"] < 48  # knows more than that there are 16 codes of 32: 16 log 32 = 55.5
    assert final["val/used_codes"] > 10
