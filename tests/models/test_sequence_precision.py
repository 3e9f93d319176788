"""Sequences in other precisions than single: what is counted, drawn and turned keeps its digits."""

import math
from pathlib import Path

import latent_sequence_stubs as latent
import pytest
import sequence_stubs as plain
import torch
from pytorch_lightning import Callback
from sequence_stubs import B, Batches, T, batch, fit, tokens

from genlab.models.carrying import weighted
from genlab.models.row_noise import RowNoise
from genlab.models.sequence_bounds import counted
from genlab.networks.transformer import Transformer

MODELS = {**dict.fromkeys(["lstm", "transformer"], plain), **dict.fromkeys(["one", "steps"], latent)}


class Draws(Callback):
    """What the callbacks that show samples do while a model trains."""

    def on_validation_epoch_end(self, trainer, made):
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            self.drawn = made.sample(3, seed=1).double()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["tokens", "values"])
@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_it_trains_and_samples(name, kind, precision, tmp_path: Path):
    changes = {} if kind == "tokens" else latent.SERIES
    one = batch(tokens(B * (T + 1)).view(B, T + 1), True) if kind == "tokens" else latent.series()
    made, draws = MODELS[name].model(name, **changes), Draws()
    trainer = fit(tmp_path, made, draws, train=Batches(one), max_epochs=1, precision=precision)
    assert math.isfinite(trainer.callback_metrics["val/loss"]) and torch.isfinite(draws.drawn).all()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32, torch.float64])
def test_targets_are_counted_exactly(kind):
    weight = torch.ones(1, 301, dtype=kind)
    one = batch(tokens(302).view(1, 302), True)
    nats = torch.ones(1, 301)
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        for given in (one, one._replace(weight=weight)):
            assert weighted(nats, given)[1].item() == 301
            assert counted(given).weight.sum().item() == 301
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_noise_is_the_same_whatever_the_precision(kind):
    expected = RowNoise(3, 2, 4).next()
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        torch.testing.assert_close(RowNoise(3, 2, 4).next(), expected, rtol=0, atol=0)
    finally:
        torch.set_default_dtype(before)


def test_positions_are_told_apart_in_half_precision():
    place = torch.tensor([[257, 1001]])
    single, half = (
        Transformer(8, 1, 2, in_features=8).to(kind)._turn(place) for kind in (torch.float32, torch.bfloat16)
    )
    for mine, other in zip(half, single, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0)
    torch.testing.assert_close(single[0][0, 0, :, 0], torch.tensor([257.0, 1001.0]).cos())
