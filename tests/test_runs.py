"""Whole runs of the commands, as a user would type them."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genlab
from conftest import ROOT, write_pictures
from genlab.config import compose
from genlab.train import train

SMALL = ("model/network=mlp", "model.latent_dim=4", "trainer=cpu")
FAST = (*SMALL, "debug=fast")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short finished run with a moving average."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(compose([*FAST, "callbacks.ema.half_life=100", "seed=3"]), folder=folder)
    return folder


def test_a_run_folder_explains_itself(run, tmp_path):
    done = run("train.py", *FAST)
    assert (done.returncode, done.stderr) == (0, "")
    (folder,) = (tmp_path / "logs").iterdir()
    assert re.fullmatch(r"vae_digits_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d+", folder.name)
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    expected = {
        ".hydra/config.yaml", ".hydra/overrides.yaml", "config.yaml", "metrics.csv", "result.json", "run.log",
        "checkpoints/best.ckpt", "checkpoints/last.ckpt",
        "samples/samples_epoch_0001.png", "samples/samples_epoch_0002.png", "samples/reconstructions_epoch_0002.png",
    }  # fmt: skip
    assert expected <= files
    assert any(f.startswith("events.out.tfevents") for f in files)
    result = json.loads((folder / "result.json").read_text())
    assert (result["ended"], result["epochs"], result["steps"], result["error"]) == ("finished", 2, 6, None)
    assert result["final"]["val/loss"] > 0 and result["best"]["metrics"]["val/loss"] > 0
    assert result["parameters"]["total"] == sum(v for k, v in result["parameters"].items() if k != "total")
    assert {"torch", "genlab", "python"} <= set(result["versions"])
    assert "train.py model/network=mlp" in result["command"]
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "3"), ("2", "6")]
    assert all(float(row["val/loss"]) > 0 and float(row["train/objective"]) > 0 for row in rows)
    assert done.stdout.splitlines()[0] == "vae_digits: 1,350 training and 150 validation images of 1x32x32"
    assert f"  python {ROOT / 'sample.py'} run=logs/{folder.name}" in done.stdout.splitlines()
    assert "\r" not in done.stdout and "\x1b" not in done.stdout  # quiet where it is no terminal


def test_composing_and_training_from_a_notebook_is_two_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = compose([*FAST, "logger=none"])
    result = train(cfg)
    assert result["ended"] == "finished"
    (folder,) = (tmp_path / "logs").iterdir()
    assert train(cfg)["ended"] == "finished"  # a second run in one process gets a folder of its own
    assert len(list((tmp_path / "logs").iterdir())) == 2
    assert not (folder / "metrics.csv").exists() and (folder / "checkpoints" / "last.ckpt").exists()


def test_load_model_gives_a_model_ready_to_use(finished):
    model = genlab.load_model(finished)
    assert not model.training and model.weights == "ema"
    images = model.sample(5, seed=1)
    assert images.shape == (5, 1, 32, 32)
    torch.testing.assert_close(images, genlab.load_model(finished).sample(5, seed=1), rtol=0, atol=0)
    assert model.log_prob(images, samples=2).shape == (5,)
    assert model.decode(model.encode(images)).shape == images.shape


def test_moving_average_and_live_weights_are_two_models(finished):
    average, live = (genlab.load_model(finished, weights=w) for w in ("ema", "live"))
    assert (average.weights, live.weights) == ("ema", "live")
    assert not torch.equal(average.sample(2, seed=0), live.sample(2, seed=0))


def test_a_checkpoint_is_plain_data_and_says_what_it_is(finished):
    content = torch.load(finished / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["genlab"]["format"] == 1
    assert content["genlab"]["config"]["model"]["_target_"] == "genlab.models.vae.VAE"
    assert content["genlab"]["config"]["seed"] == 3


@pytest.mark.parametrize("show", ["samples", "reconstruct", "interpolate", "traverse"])
def test_sample_draws_a_picture(command, finished, show):
    code, out, err = command("sample", f"run={finished}", "n=6", f"show={show}", "seed=5")
    assert (code, err) == (0, "")
    picture = Image.open(out.splitlines()[-1].strip())
    assert picture.format == "PNG" and min(picture.size) > 32
    assert np.asarray(picture).std() > 1


def test_samples_come_in_every_format_and_in_batches(command, finished, tmp_path):
    for name in ("a.npz", "b.pt"):
        arguments = (f"run={finished}", "n=1070", f"out={name}", f"format={name[2:]}")
        assert command("sample", *arguments)[0] == 0
    array, tensor = np.load(tmp_path / "a.npz")["images"], torch.load(tmp_path / "b.pt")
    assert array.shape == (1070, 1, 32, 32) and np.abs(array).max() <= 1
    torch.testing.assert_close(torch.from_numpy(array), tensor, rtol=0, atol=0)
    assert len(np.unique(array.reshape(1070, -1), axis=0)) == 1070  # no batch repeats another


def test_single_images_are_files_of_the_images_size(command, finished, tmp_path):
    assert command("sample", f"run={finished}", "n=3", "single=true", "out=faces, all")[0] == 0
    files = sorted((tmp_path / "faces, all").iterdir())
    assert [f.name for f in files] == ["000000.png", "000001.png", "000002.png"]
    assert Image.open(files[0]).size == (32, 32)


def test_sample_overwrites_nothing_unasked(command, finished, tmp_path):
    (tmp_path / "thesis.png").write_text("precious")
    code, _, err = command("sample", f"run={finished}", "out=thesis.png")
    assert code == 2
    assert (
        err.strip()
        == "out=thesis.png: is there already; choose another name, or replace a file by overwrite=true"
    )
    assert (tmp_path / "thesis.png").read_text() == "precious"
    assert command("sample", f"run={finished}", "out=thesis.png", "overwrite=true")[0] == 0
    (tmp_path / "folder.png").mkdir()
    assert command("sample", f"run={finished}", "out=folder.png", "overwrite=true")[0] == 2
    assert "should end in .png" in command("sample", f"run={finished}", "out=x.npz")[2]
    assert not list(tmp_path.glob("*.log"))


def test_evaluate_judges_on_the_test_set(command, finished):
    code, out, err = command("evaluate", f"run={finished}", "metrics.nll.k=8")
    assert (code, err) == (0, "")
    judged = json.loads((finished / "evaluation.json").read_text())
    assert (judged["split"], judged["images"], judged["weights"]) == ("test", 297, "ema")
    assert judged["unit"] == "nats, binarized anew each batch"
    metrics = judged["metrics"]
    assert metrics["test/nll"] < metrics["test/loss"]  # more importance samples, a tighter bound
    assert metrics["test/loss"] == pytest.approx(
        metrics["test/reconstruction"] + metrics["test/kl"], rel=1e-4
    )
    assert "test/nll" in out and judged["standard_error"]["test/nll"] > 0


def test_own_images_train_whatever_their_folder_is_called(command, tmp_path):
    write_pictures(tmp_path / "my photos, a=b 'x' 中文")
    code, out, err = command(
        "train", *SMALL, "debug=fast", "data=folder", "data.path=my photos, a=b 'x' 中文",
        "data.image_size=20", "data.batch_size=4", "name=holiday 1/2",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "images of 3x20x20" in out
    (folder,) = (tmp_path / "logs").iterdir()
    assert folder.name.startswith("holiday-1-2_")
    assert genlab.load_model(folder).sample(1).shape == (1, 3, 20, 20)
    assert genlab.load_model(folder).run_config["data"]["num_classes"] == 2


def test_own_images_of_one_size_need_not_be_told_their_size(command, tmp_path):
    for k in range(24):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(np.full((18, 26, 3), k * 10, dtype=np.uint8)).save(tmp_path / "photos" / f"{k}.png")
    settings = ("data=folder", "data.path=photos", "data.image_size=null", "data.batch_size=4")
    code, out, err = command("train", *FAST, *settings)
    assert (code, err) == (0, "")
    assert "images of 3x18x26" in out


def test_a_run_does_not_write_into_another_ones_folder(command, finished):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*")}
    code, _, err = command("train", *FAST, f"hydra.run.dir={finished}")
    assert code == 2 and "already holds a run; go on with it by resume=" in err
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*")} == before


def test_init_from_takes_the_weights_and_names_what_does_not_fit(command, finished, tmp_path):
    code, out, _ = command(
        "train",
        "model/network=mlp",
        "model.latent_dim=5",
        "debug=fast",
        "trainer=cpu",
        f"init_from={finished}",
    )
    assert code == 0
    assert f"all but 3 tensors from {finished}" in out
    assert "decoder.layers.0.weight: [400, 4] there, [400, 5] here" in out


@pytest.mark.parametrize(
    "choice",
    [
        "likelihood=gaussian",
        "optimizer=rmsprop",
        "optimizer=sgd",
        "optimizer=adamw",
        "scheduler=cosine",
        "scheduler=plateau",
    ],
)
def test_parts_are_chosen_from_the_command_line(command, choice):
    code, _, err = command("train", *FAST, f"model/{choice}", "logger=none", "model.optimizer.lr=1e-4")
    assert (code, err) == (0, "")


def test_bits_per_dim_are_logged_where_they_mean_something(tmp_path):
    result = train(compose([*FAST, "model/likelihood=gaussian", "logger=none"]), folder=tmp_path / "run")
    # a wide constant prediction: -log2 N(x; mu, .1) + log2(127.5), well above 0 and below 8 bits times a few
    assert 0 < result["final"]["val/bits_per_dim"] < 200


@pytest.mark.parametrize(
    "setting",
    [
        "trainer.precision=bf16-mixed",
        "trainer.precision=64-true",
        "channels_last=true",
        "trainer.accumulate_grad_batches=2",
        "trainer.gradient_clip_val=1.0",
        "trainer.max_time=00:00:01:00",
    ],
)
def test_hardware_and_length_are_chosen_from_the_command_line(command, setting):
    code, _, err = command(
        "train", *FAST, "model/network=dcgan", "model.encoder.width=4", "model.decoder.width=4", setting
    )
    assert (code, err) == (0, "")


def test_half_precision_without_a_gpu_is_said_to_be_bfloat16(command):
    code, out, _ = command("train", *FAST, "trainer.precision=16-mixed")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, and 16-mixed is what it says")
    assert code == 0
    assert "note     trainer.precision=16-mixed needs a GPU: training in bf16-mixed" in out


@pytest.mark.parametrize("debug", ["fast", "overfit", "profile"])
def test_debug_options_run(command, tmp_path, debug):
    code, _, err = command(
        "train", *SMALL, f"debug={debug}", *(["trainer.max_epochs=2"] if debug == "overfit" else [])
    )
    assert (code, err) == (0, "")
    assert any(tmp_path.rglob("fit-profile.txt")) == (debug == "profile")


def test_early_stopping_is_told_in_the_result(tmp_path):
    settings = ["callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=1000000.0"]
    result = train(
        compose([*SMALL, *settings, "trainer.max_epochs=9", "logger=none"]), folder=tmp_path / "run"
    )
    assert (result["ended"], result["epochs"]) == ("early_stopping", 2)


@pytest.mark.slow
def test_two_processes_on_the_cpu_train_one_model(run, tmp_path):
    done = run("train.py", *FAST, "trainer=ddp_cpu")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "logs").iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert (result["ended"], result["processes"]) == ("finished", 2)


@pytest.mark.slow
def test_torchrun_gives_all_ranks_one_folder(tmp_path):
    import subprocess
    import sys

    from conftest import ROOT, environment

    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29555"]
    arguments = [str(ROOT / "train.py"), *SMALL, "debug=fast", "trainer=ddp_cpu"]
    done = subprocess.run(
        [*launch, *arguments], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "logs").iterdir()
    assert json.loads((folder / "result.json").read_text())["processes"] == 2
