"""Adversarial runs as a user makes them: train, draw, judge, and go wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genlab.config import compose
from genlab.train import train

TINY = ("model/network=mlp", "data.image_size=8", "data.batch_size=16", "trainer=cpu", "debug=fast")
POINTS = (
    "model=gan",
    "model/network=points",
    "data=ring",
    "data.num_train=1024",
    "trainer=cpu",
    "debug=fast",
)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cgan") / "run"
    train(compose(["model=cgan", *TINY, "trainer.enable_progress_bar=false"]), folder=folder)
    return folder


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ring") / "run"
    train(compose([*POINTS]), folder=folder)
    return folder


def test_a_conditional_run_leaves_samples_ways_and_classes(conditional):
    names = {file.name for file in (conditional / "samples").iterdir()}
    assert names == {
        f"{kind}_epoch_000{k}.png" for kind in ("samples", "interpolation", "classes") for k in (1, 2)
    }


def test_its_losses_are_in_the_table(conditional):
    header = (conditional / "metrics.csv").read_text().splitlines()[0].split(",")
    wanted = ["g_loss", "d_loss", "real_logit", "fake_logit", "real_wins", "g_grad_norm", "d_grad_norm"]
    assert {f"train/{name}" for name in [*wanted, "penalty", "diversity"]} <= set(header)


@pytest.mark.parametrize("show", ["samples", "interpolate", "traverse"])
@pytest.mark.parametrize("label", ["null", "3"])
def test_pictures_are_drawn_from_latents_and_of_a_class(command, conditional, show, label, tmp_path):
    code, out, err = command(
        "sample", f"run={conditional}", "n=4", f"show={show}", f"label={label}", "out=x.png"
    )
    assert (code, err) == (0, "")
    assert min(Image.open(tmp_path / "x.png").size) > 8


def test_a_row_of_an_interpolation_is_of_one_class(command, conditional, tmp_path):
    command(
        "sample",
        f"run={conditional}",
        "n=2",
        "show=interpolate",
        "label=3",
        "format=pt",
        "out=x.pt",
        "steps=3",
    )
    from genlab import load_model
    from genlab.latents import interpolate
    from genlab.seeding import seeded

    model = load_model(conditional)
    with seeded(0):
        z = model.noise(4)
    way = model.decode(interpolate(z[2], z[3], 3), 3)
    torch.testing.assert_close(torch.load(tmp_path / "x.pt")[3:], way)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["label=10"], "label must be from 0 to 9, got 10"),
        (["show=traverse", "label=-1"], "label must be from 0 to 9, got -1"),
        (["show=reconstruct"], "show=reconstruct needs a model with an encoder; GAN has none"),
        (["show=traverse", "dims=[64]"], "dims: the latent has dimensions 0 to 63, got 64"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(command, conditional, arguments, sentence):
    code, _, err = command("sample", f"run={conditional}", *arguments)
    assert code != 0 and err.strip() == sentence


def test_many_samples_are_made_in_pieces_and_equal_one_batch(conditional):
    from genlab import load_model

    model = load_model(conditional)
    some = model.sample(1203, seed=1)
    with torch.no_grad():
        torch.manual_seed(1)
        z = torch.randn(1203, model.latent_dim)
        whole = model.fake(z, torch.arange(1203) % 10)
    torch.testing.assert_close(some, whole)


def test_points_are_drawn_over_real_ones_and_judged_by_their_modes(command, ring, tmp_path):
    code, out, err = command("sample", f"run={ring}", "n=50", "out=x.png")
    assert (code, err) == (0, "") and "50 points from ema weights" in out
    pixels = np.asarray(Image.open(tmp_path / "x.png"))
    assert pixels.shape[2] == 3 and {(140, 191, 242), (217, 26, 26)} <= {
        tuple(pixel) for pixel in pixels.reshape(-1, 3).tolist()
    }
    assert command("sample", f"run={ring}", "n=50", "format=npz", "out=x.npz")[0] == 0
    assert np.load(tmp_path / "x.npz")["points"].shape == (50, 2)
    code, out, err = command("evaluate", f"run={ring}")
    assert (code, err) == (0, "")
    judged = json.loads((ring / "evaluation.json").read_text())
    assert {"modes/modes", "modes/high_quality", "modes/modes_kl"} <= judged["metrics"].keys()
    assert (
        judged["protocols"]["modes"] | {"fakes": 2500, "within_sigmas": 3.0, "of_modes": 8, "weights": "ema"}
        == (judged["protocols"]["modes"])
    )


def test_points_have_no_folder_of_data(ring, monkeypatch, tmp_path):
    from genlab import load_model
    from genlab.checkpoint import load_data

    monkeypatch.setenv("GENLAB_DATA", str(tmp_path))
    assert load_data(load_model(ring)).num_test == 2500


@pytest.mark.parametrize("argument", ["single=true", "show=traverse"])
def test_points_are_no_images(command, ring, argument):
    code, _, err = command("sample", f"run={ring}", argument)
    assert code != 0 and err.startswith("samples of this model are points") and "\n" not in err.strip()


def test_a_run_that_diverges_says_so_and_keeps_the_last_good_weights(command, tmp_path):
    code, _, err = command(
        "train", "model=gan", *TINY, "trainer.limit_train_batches=20", "model.generator_optimizer.lr=1e30",
        "callbacks.watchdog.every_n_steps=5", "callbacks.checkpoints.every_n_steps=1", "hydra.run.dir=out",
    )  # fmt: skip
    assert code == 3 and "Traceback" not in err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["ended"] == "diverged"
    saved = list((tmp_path / "out" / "checkpoints").glob("*.ckpt"))
    assert saved
    for file in saved:
        weights = torch.load(file, weights_only=True)["state_dict"]
        assert all(torch.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize(
    ("setting", "instead"),
    [
        ("trainer.gradient_clip_val=0.5", "model.gradient_clip=0.5"),
        ("trainer.accumulate_grad_batches=2", "model.accumulate=2"),
    ],
)
def test_settings_of_the_trainer_that_do_not_reach_it_are_named(command, setting, instead):
    code, _, err = command("train", "model=gan", *TINY, setting)
    name = setting.partition("=")[0]
    assert code != 0
    assert err.strip() == f"{name} does not reach a model that steps several optimizers: set {instead}"


def test_doubtful_pairs_are_noted_at_the_start(command):
    code, out, _ = command("train", "model=gan", "model/loss=wasserstein", *TINY)
    assert code == 0 and "note     Wasserstein has no lower limit unless" in out


def test_judges_ask_for_every_class_alike():
    from genlab.sample_metrics import draw

    class Asked:
        def classes_of(self, n):
            return torch.arange(n) % 700

        def sample(self, n, *, seed, label):
            assert len(label) == n
            return label[:, None].float()

    drawn = draw(Asked(), 1400, seed=0)
    assert drawn.label.bincount().tolist() == [2] * 700
    assert torch.equal(drawn.x[:, 0].long(), drawn.label)


def test_one_half_has_an_optimizer_of_its_own(command, tmp_path):
    override = "model/optimizer@model.discriminator_optimizer=rmsprop"
    assert command("train", "model=gan", *TINY, override, "hydra.run.dir=out")[0] == 0
    from genlab import load_model

    config = load_model(tmp_path / "out").run_config["model"]
    kinds = [config[f"{half}_optimizer"]["_target_"] for half in ("generator", "discriminator")]
    assert kinds == ["torch.optim.Adam", "torch.optim.RMSprop"]


def test_stacked_digits_train_and_count_their_modes(tmp_path):
    cfg = compose(["model=gan", "data=stacked_digits", "trainer=cpu", "debug=fast"])
    result = train(cfg, folder=tmp_path / "run")
    assert result["ended"] == "finished" and cfg.metrics.stacked_modes.n == 26000
