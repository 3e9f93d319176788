"""Conditional variational runs as a user makes them: train, draw, transfer, and go wrong."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import genlab
from genlab.config import compose
from genlab.train import train

TINY = ("model/network=mlp", "data.image_size=8", "data.batch_size=16", "trainer=cpu", "debug=fast")


@pytest.fixture(scope="module")
def cvae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cvae") / "run"
    settings = ["model=cvae", "model/prior=learned", *TINY, "callbacks.latent_traversal.every_n_epochs=1"]
    train(compose([*settings, "trainer.enable_progress_bar=false"]), folder=folder)
    return folder


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vae") / "run"
    train(compose([*TINY, "trainer.enable_progress_bar=false"]), folder=folder)
    return folder


def test_a_conditional_run_leaves_samples_classes_reconstructions_and_looks_at_its_latents(cvae):
    names = {file.name for file in (cvae / "samples").iterdir()}
    kinds = ("samples", "classes", "reconstructions", "traversal")
    rare = {
        f"{kind}_epoch_0002.png" for kind in ("interpolation", "latents", "arithmetic")
    }  # at the end at least
    assert names == {f"{kind}_epoch_000{k}.png" for kind in kinds for k in (1, 2)} | rare


def test_it_is_judged_by_its_likelihood_and_by_what_a_classifier_reads_in_its_samples(command, cvae):
    assert list(compose(["model=cvae"]).metrics) == ["nll", "latents", "classifier"]
    assert list(compose(["model=cvae", "metrics=likelihood"]).metrics) == ["nll", "latents"]
    small = {"n": 200} | {
        f"classifier.{k}": v for k, v in dict(width=2, min_steps=1, epochs=1, folder="null").items()
    }
    quick = ["metrics.nll.k=2", "metrics.nll.n=5", *(f"metrics.classifier.{k}={v}" for k, v in small.items())]
    code, out, err = command("evaluate", f"run={cvae}", *quick)
    assert (code, err) == (0, "") and "classifier/label_agreement" in out and "test/nll" in out
    judged = json.loads((cvae / "evaluation.json").read_text())
    assert 0 <= judged["metrics"]["classifier/label_agreement"] <= 1
    assert judged["protocols"]["classifier"]["fakes"] == 200


def test_the_rows_of_a_traversal_are_of_the_class_of_their_image(cvae, monkeypatch):
    from types import SimpleNamespace

    from genlab.callbacks import latent_traversal
    from genlab.contracts import ImageBatch

    model, image, label = validation(cvae, 8)
    first = int(label.nonzero()[0])  # of class 0 are those that nothing is said of
    seen = {}
    decode = model.decode
    model.decode = lambda z, label: seen.update(label=label) or decode(z, label)
    monkeypatch.setattr(latent_traversal, "publish", lambda *_: None)
    trainer = SimpleNamespace(
        sanity_checking=False, current_epoch=0, max_epochs=1, is_global_zero=True,
        precision_plugin=SimpleNamespace(forward_context=torch.no_grad),
    )  # fmt: skip
    callback = latent_traversal.LatentTraversal(n=3, steps=2)
    callback.on_validation_batch_end(trainer, model, None, ImageBatch(image[first:], label[first:]), 0)
    callback.on_validation_epoch_end(trainer, model)
    assert seen["label"].tolist() == 6 * [int(label[first])]


@pytest.mark.parametrize("show", ["samples", "reconstruct", "interpolate", "traverse", "transfer"])
def test_every_picture_is_drawn(command, cvae, show, tmp_path):
    code, _, err = command("sample", f"run={cvae}", "n=4", f"show={show}", "out=x.png")
    assert (code, err) == (0, "")
    assert min(Image.open(tmp_path / "x.png").size) > 8


def test_samples_of_one_class_are_those_of_load_model(command, cvae, tmp_path):
    assert command("sample", f"run={cvae}", "n=4", "label=3", "format=pt", "out=x.pt")[0] == 0
    drawn = torch.load(tmp_path / "x.pt")
    torch.testing.assert_close(drawn, genlab.load_model(cvae).sample(4, seed=0, label=3))


def validation(run: Path, n: int):
    from genlab.checkpoint import load_data

    model = genlab.load_model(run)
    datamodule = load_data(model, trust=[])
    batch = datamodule.on_after_batch_transfer(next(iter(datamodule.val_dataloader())), 0)
    return model, batch.image[:n], batch.label[:n]


def test_a_transfer_decodes_the_style_of_each_image_under_every_class(command, cvae, tmp_path):
    assert command("sample", f"run={cvae}", "n=2", "show=transfer", "format=pt", "out=x.pt")[0] == 0
    rows = torch.load(tmp_path / "x.pt").unflatten(0, (2, 11))
    model, image, label = validation(cvae, 2)
    z = model.encode(image, label)
    torch.testing.assert_close(rows[:, 0], image)
    for k in range(10):
        torch.testing.assert_close(rows[:, 1 + k], model.decode(z, k))


def test_a_reconstruction_and_a_way_keep_the_class_of_their_image(command, cvae, tmp_path):
    from genlab.latents import interpolate, traverse

    model, image, label = validation(cvae, 4)
    z = model.encode(image, label)
    command("sample", f"run={cvae}", "n=2", "show=reconstruct", "format=pt", "out=x.pt")
    torch.testing.assert_close(torch.load(tmp_path / "x.pt")[3], model.decode(z[1:2], label[1])[0])
    command("sample", f"run={cvae}", "n=2", "show=interpolate", "steps=3", "format=pt", "out=y.pt")
    way = model.decode(interpolate(z[2], z[3], 3, spherical=False), label[2])
    torch.testing.assert_close(torch.load(tmp_path / "y.pt")[3:], way)
    command("sample", f"run={cvae}", "show=traverse", "dims=[1,0]", "steps=3", "format=pt", "out=z.pt")
    rows = traverse(z[0], [1, 0], torch.linspace(-3, 3, 3)).flatten(0, 1)
    torch.testing.assert_close(torch.load(tmp_path / "z.pt"), model.decode(rows, label[0]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("show=transfer", "label=3"),
            "label=3: show=transfer encodes images under their own classes; leave label out",
        ),
        (
            ("show=reconstruct", "label=3"),
            "label=3: show=reconstruct encodes images under their own classes; leave label out",
        ),
        (("label=10",), "label must be from 0 to 9, got 10"),
    ],
)
def test_a_wrong_wish_of_a_conditional_model_is_one_sentence(command, cvae, words, message):
    code, _, err = command("sample", f"run={cvae}", "n=2", *words)
    assert (code, err.strip()) == (2, message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("show=transfer",),
            "show=transfer needs an encoder and classes, as model=cvae has; this VAE is trained without labels",
        ),
        (("label=3",), "this model knows no classes: it was trained without labels"),
    ],
)
def test_a_wish_for_classes_of_a_model_without_is_one_sentence(command, vae, words, message):
    code, _, err = command("sample", f"run={vae}", "n=2", *words)
    assert (code, err.strip()) == (2, message)


def test_a_resumed_conditional_run_ends_where_the_whole_one_does(command, tmp_path):
    from comparisons import assert_same

    few = (
        "model=cvae",
        "model/network=iwae_2l",
        "model/loss=dreg",
        "model.latent_dim=4",
        *TINY[1:4],
        "logger=csv",
    )
    more = ("trainer.limit_train_batches=6", "callbacks.ema.half_life=100")
    assert command("train", *few, *more, "trainer.max_epochs=2", "hydra.run.dir=whole")[0] == 0
    assert command("train", *few, *more, "trainer.max_epochs=1", "hydra.run.dir=run")[0] == 0
    assert command("train", "resume=run", "trainer.max_epochs=2")[0] == 0
    ours, theirs = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)
        for name in ("run", "whole")
    )
    for part in ("state_dict", "ema", "optimizer_states", "global_step"):
        assert_same(ours[part], theirs[part], part)
