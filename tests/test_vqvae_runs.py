"""Runs of a VQ-VAE as a user makes them: train, draw, judge, and go wrong."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from genlab import load_model
from genlab.config import compose
from genlab.train import train

TINY = ("model=vqvae", "model.downsampling=4", "model.encoder.width=4", "model.decoder.width=4", "data.image_size=8",
        "data.batch_size=16", "trainer=cpu", "debug=fast")  # fmt: skip


@pytest.fixture(scope="module")
def vqvae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vqvae") / "run"
    train(compose([*TINY, "callbacks.ema.half_life=100"]), folder=folder)
    return folder


def test_a_run_leaves_samples_and_reconstructions_from_the_first_epoch_on(vqvae):
    names = {file.name for file in (vqvae / "samples").iterdir()}
    assert names == {f"{kind}_epoch_000{k}.png" for kind in ("samples", "reconstructions") for k in (1, 2)}


def test_its_numbers_are_in_the_table(vqvae):
    header = (vqvae / "metrics.csv").read_text().splitlines()[0].split(",")
    train_names = ["objective", "reconstruction", "commitment", "prior", "perplexity", "used_codes"]
    train_names += ["autoencoder_lr", "prior_lr", "autoencoder_grad_norm", "prior_grad_norm"]
    val_names = ["loss", "reconstruction", "prior", "perplexity", "used_codes"]
    assert {f"train/{name}" for name in train_names} | {f"val/{name}" for name in val_names} <= set(header)


def test_its_charts_show_what_it_logs(vqvae):
    header = set((vqvae / "metrics.csv").read_text().splitlines()[0].split(","))
    charted = {name for names in load_model(vqvae).charts.values() for name in names}
    assert charted <= header | {"rate/images_per_second"}


@pytest.mark.parametrize("show", ["samples", "reconstruct"])
def test_pictures_are_drawn(command, vqvae, show, tmp_path):
    code, _, err = command("sample", f"run={vqvae}", "n=4", f"show={show}", "out=x.png")
    assert (code, err) == (0, "")
    assert min(Image.open(tmp_path / "x.png").size) > 8


@pytest.mark.parametrize("show", ["interpolate", "traverse"])
def test_there_is_no_way_from_one_code_to_another(command, vqvae, show):
    code, _, err = command("sample", f"run={vqvae}", f"show={show}")
    assert code != 0
    assert err.strip() == f"show={show} needs latents with ways between them; those of VQVAE are codes"


def test_callbacks_that_move_latents_are_refused_in_a_sentence(command):
    code, _, err = command("train", *TINY, "callbacks=vae")
    assert code != 0
    assert err.strip() == (
        "InterpolationStrip needs latents that can be moved, and those of VQVAE are codes: set this callback to null"
    )


def test_it_is_judged_on_the_test_set(command, vqvae):
    code, _, err = command("evaluate", f"run={vqvae}")
    assert (code, err) == (0, "")
    judged = json.loads((vqvae / "evaluation.json").read_text())
    metrics = judged["metrics"]
    assert metrics["test/loss"] == pytest.approx(metrics["test/reconstruction"] + metrics["test/prior"])
    assert metrics["test/perplexity"] >= 1 and judged["weights"] == "ema"


def test_a_loaded_model_draws_what_sample_draws_and_knows_its_codebook(vqvae):
    live, average = (load_model(vqvae, weights=weights) for weights in ("live", "ema"))
    torch.testing.assert_close(live.quantizer.embedding, average.quantizer.embedding, rtol=0, atol=0)
    codes = average.encode(torch.zeros(3, 1, 8, 8))
    assert codes.shape == (3, 2, 2) and average.decode(codes).shape == (3, 1, 8, 8)
    torch.testing.assert_close(average.sample(3, seed=1), average.sample(3, seed=1), rtol=0, atol=0)


@pytest.mark.filterwarnings("error:.*The lr scheduler dict contains")
@pytest.mark.parametrize(
    "changes",
    [
        ("model/network=resnet", "data=stacked_digits"),
        ("model/likelihood=gaussian", "model.likelihood.learned=pixel", "model/scheduler=plateau"),
        (
            "trainer.precision=bf16-mixed",
            "channels_last=true",
            "model.accumulate=2",
            "model.gradient_clip=1.0",
        ),
    ],
    ids=["color", "pixel", "half"],
)
def test_other_parts_fit_in(changes, tmp_path):
    result = train(compose([*TINY, *changes, "logger=none"]), folder=tmp_path / "run")
    assert result["ended"] == "finished" and result["final"]["val/loss"] > -1e5


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "trainer.gradient_clip_val=0.5",
            "trainer.gradient_clip_val does not reach a model that steps several optimizers: "
            "set model.gradient_clip=0.5",
        ),
        ("model/network=mlp", "model=vqvae has no network mlp; it has: dcgan, resnet (model/network=...)"),
        ("model.downsampling=16", "model.downsampling=16 needs images of at least 16x16, got 8x8: lower it, "
         "or raise data.image_size"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(command, setting, sentence):
    code, _, err = command("train", *[t for t in TINY if t != setting.partition("=")[0]], setting)
    assert code != 0 and err.strip() == sentence
