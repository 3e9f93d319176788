"""The comparison with pythae: both sides are given the same, and are timed from and to where the document says."""

import json
import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from conftest import ROOT

sys.path.append(str(ROOT / "scripts"))  # the scripts are no part of the package

import benchmark
from benchmarks import against_pythae, images, our_child, own_environment, processes
from benchmarks.measure import NotMeasured, Row, compare_rates, in_turns
from benchmarks.pages import block, text
from benchmarks.plain_vae import networks
from genlab.config import compose

EPOCHS = {"began": [0.0, 10.0, 20.0], "trained": [6.0, 14.0, 25.0], "ended": 30.0}
"""Seconds: the first epoch trains for 6, the others for 4 and 5; those two take 20 with all that is between."""


def test_rates_are_of_all_epochs_but_the_first():
    assert against_pythae.steps(EPOCHS, 900) == pytest.approx(2 * 900 / (4 + 5))
    assert against_pythae.whole(EPOCHS, 900) == pytest.approx(2 * 900 / 20)


def test_the_ratio_of_rates_is_that_of_neighbours_and_more_is_better():
    # the machine is ten times as slow from the second turn on; medians alone would say 4 / 2
    row = compare_rates("", "images/s", [(40.0, 10.0), (4.0, 2.0), (3.0, 1.0)], reach=1.1)
    assert (row.ours, row.other, row.ratio, row.reach) == (4.0, 2.0, 3.0, 1.1)


def test_every_second_turn_is_in_the_opposite_order():
    order = []
    sides = {name: lambda n=name: order.append(n) or n.upper() for name in "abc"}
    assert in_turns(sides, 3) == [{"a": "A", "b": "B", "c": "C"}] * 3
    assert "".join(order) == "abc" + "cba" + "abc"


def test_large_numbers_are_written_out():
    row = Row("a / b", "images/s", 22_512.3, 999.6, 1.5, None, [(1.0, 1.0)])
    assert "| a / b | 22,500 | 1e+03 | images/s | 1.500 |  |" in block("pythae", [row], {})


def test_equal_nats_are_asked_of_both_sides():
    against_pythae.check_nats(10, 100.9, 100.0)
    with pytest.raises(SystemExit, match=r"^NLL with 10 draws: ours is 98.90 nats, that of pythae 100.00$"):
        against_pythae.check_nats(10, 98.9, 100.0)


def test_rows_of_training_hold_the_right_sides_against_each_other(tmp_path, monkeypatch):
    told = {"ours": 2.0, "bare": 1.0, "train": 4.0, "fused": 3.0}  # seconds of a training part

    def answer(folder, *command, python=None):
        assert (python == "theirs") == ("benchmarks.pythae_child" in command)
        (side,) = [name for name in ("bare", "fused") if name in command] or ["train"]
        seconds = told["ours"] if command[0].endswith("train.py") else told[side]
        return {"began": [0, 10], "trained": [9, 10 + seconds], "ended": 10 + 2 * seconds}

    monkeypatch.setattr(against_pythae, "_told", answer)
    torch.save({"train": torch.zeros(250, 1)}, tmp_path / "images.pt")
    (tmp_path / "overrides.json").write_text("[]")
    rows = against_pythae.training(tmp_path, "theirs", epochs=2, turns=2, pixels="MNIST")
    assert [row.ratio for row in rows] == [4 / 2, 3 / 2, 3 / 1, 3 / 2]
    assert [row.reach for row in rows] == [1.1, 1.1, None, None]
    assert rows[0].ours == 200 / 2 and rows[3].ours == 200 / 4  # of 250 images two batches of 100 are seen
    assert rows[0].name == "training steps, MNIST: ours / pythae 0.1.2"


def test_rows_of_judging_ask_both_sides_for_the_same(tmp_path, monkeypatch):
    asked = []

    def answer(folder, *command, python=None):
        asked.append(command[1:2] + command[4:])
        return {"seconds": 0.5 if "benchmarks.our_child" in command else 4.0, "nats": 100.0}

    monkeypatch.setattr(against_pythae, "_told", answer)
    rows = against_pythae.likelihood(tmp_path, "theirs", turns=1)
    assert [row.ratio for row in rows] == [8.0] * 3 and {row.reach for row in rows} == {20}
    assert [(row.ours, row.other) for row in rows] == [(2 * n, n / 4) for n in (500, 300, 100)]
    assert [a[1:] for a in asked[::2]] == [b[1:] for b in asked[1::2]]  # K and the images
    assert asked[0] == ("benchmarks.our_child", "10", "500")


def test_variants_of_ours_are_told_by_what_they_set(tmp_path, monkeypatch):
    def run(folder, epochs, overrides):
        seconds = 1.0 + ("compile=true" in overrides) + 2 * ("trainer.precision=bf16-mixed" in overrides)
        return {"began": [0, 10], "trained": [9, 10 + seconds], "ended": 0}

    monkeypatch.setattr(against_pythae, "ours", run)
    rows = against_pythae.variants(tmp_path, turns=1)
    assert {row.name.split(" with ")[1]: row.ratio for row in rows} == {
        "bf16 / ours": 1 / 3,
        "compile / ours": 1 / 2,
        "bf16, compile / ours": 1 / 4,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What both sides are given, where there is no MNIST: 1,000 training images."""
    place = tmp_path_factory.mktemp("given")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENLAB_DATA", str(place / "nothing"))
        patch.setattr(images, "IMAGES", 6000)
        assert against_pythae.prepare(place) == "random pixels"
    return place


def test_both_sides_are_given_the_same_images_weights_and_settings(folder):
    given = torch.load(folder / "images.pt")
    assert {split: len(x) for split, x in given.items()} == {"train": 1000, "val": 5000, "test": 500}
    assert given["train"].dtype == torch.uint8 and given["train"].shape[1:] == (1, 28, 28)
    cfg = compose(json.loads((folder / "overrides.json").read_text()))
    assert cfg.model.encoder.hidden == cfg.model.decoder.hidden == [200, 200]
    assert cfg.model.encoder.activation == cfg.model.decoder.activation == "tanh"
    assert (cfg.model.latent_dim, cfg.data.batch_size, cfg.model.optimizer.lr) == (50, 100, 1e-3)
    assert cfg.model.scheduler._target_.endswith("Constant") and cfg.trainer.precision == "32-true"


def test_the_plain_networks_are_ours(folder):
    from genlab import assembly

    weights = torch.load(folder / "weights.pt")
    weights["output.bias"] = torch.randn_like(weights["output.bias"])
    model = assembly.assemble(
        compose(json.loads((folder / "overrides.json").read_text())), folder / "other"
    ).model
    model.load_state_dict(weights)
    encoder, decoder = networks(weights)
    x, z = torch.rand(3, 1, 28, 28), torch.randn(3, 50)
    assert_close(encoder(x.flatten(1)), torch.cat(model.posterior(2 * x - 1), 1), atol=1e-4, rtol=1e-4)
    assert_close(decoder(z), model.params(z).flatten(1), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_our_nll_is_that_of_the_same_images_and_weights(folder):
    encoder, decoder = networks(torch.load(folder / "weights.pt"))
    x = (torch.load(folder / "images.pt")["test"][:20] > 127).float().flatten(1)
    mean, log_var = encoder(x).chunk(2, 1)
    noise = torch.randn(200, *mean.shape)
    z = mean + torch.exp(0.5 * log_var) * noise
    log_px = -F.binary_cross_entropy_with_logits(decoder(z), x.expand(200, -1, -1), reduction="none").sum(-1)
    weights = log_px + 0.5 * (noise.square() + log_var - z.square()).sum(-1)
    expected = -float((weights.logsumexp(0) - math.log(200)).mean())
    told = our_child.nll(folder, "200", "20")
    assert told["nats"] == pytest.approx(expected, rel=2e-3) and 0 < told["seconds"] < 60


def test_the_bare_loop_learns_and_tells_its_epochs(folder):
    told = our_child.bare(folder, "2")
    assert len(told["began"]) == len(told["trained"]) == 2
    assert told["began"][0] < told["trained"][0] <= told["began"][1] < told["trained"][1] == told["ended"]


@pytest.mark.slow
def test_a_run_of_ours_tells_its_epochs(folder):
    told = against_pythae.ours(folder, 2, ["trainer.limit_train_batches=2", "trainer.limit_val_batches=1"])
    assert len(told["began"]) == len(told["trained"]) == 2
    assert told["began"][0] < told["trained"][0] < told["began"][1] < told["trained"][1] < told["ended"]


def test_what_cannot_be_installed_is_a_sentence(tmp_path, monkeypatch):
    def refuse(*command, **options):
        raise subprocess.CalledProcessError(
            1, command, stderr="Looking for it\nERROR: No matching distribution\n"
        )

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(NotMeasured) as told:
        own_environment.python_with_pythae()
    place = tmp_path / "genlab" / f"pythae-0.1.2-python3.{sys.version_info[1]}"
    assert str(told.value) == f"pythae 0.1.2 cannot be installed in {place}: ERROR: No matching distribution"


def test_the_environment_is_made_once_and_installs_no_torch(tmp_path, monkeypatch):
    ran = []

    def run(*command):
        ran.append(command)
        if "venv" in command:
            own_environment._place().joinpath("bin").mkdir(parents=True)
            own_environment._place().joinpath("bin", "python").touch()
        return f"{tmp_path}\n"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(own_environment, "_run", run)
    python = own_environment.python_with_pythae()
    installs = [command[command.index("install") + 1 :] for command in ran if "install" in command]
    assert ("--quiet", "--no-deps", "pythae==0.1.2") in installs and "torch" not in str(installs)
    behind = (tmp_path / "behind.pth").read_text().split()
    assert str(torch.__path__[0]).startswith(behind[0])
    ran.clear()
    assert own_environment.python_with_pythae() == python
    assert not [command for command in ran if "install" in command or "venv" in command]


def test_a_section_that_cannot_be_measured_is_left_out_and_its_place_kept(tmp_path, monkeypatch, capsys):
    def refuse(quick):
        raise NotMeasured("there is no network")

    row = Row("this / that", "s", 1.0, 2.0, 2.0)
    monkeypatch.setattr(benchmark, "SECTIONS", {"pythae": refuse, "data": lambda quick: [row]})
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8"), encoding="utf-8")
    before = page.read_text(encoding="utf-8").partition("<!-- pythae: made")[2]
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "--write", str(page)])
    benchmark.main()
    told = capsys.readouterr()
    assert "pythae is left out: there is no network" in told.err and text("data", [row]) in told.out
    after = page.read_text(encoding="utf-8")
    assert after.partition("<!-- pythae: made")[2] == before and "| this / that |" in after


def test_a_process_is_run_by_the_interpreter_that_is_named(tmp_path):
    with pytest.raises(FileNotFoundError):
        processes.seconds("-c", "pass", folder=tmp_path, python=str(tmp_path / "python"))
