"""Whole sweeps, as a user would type them."""

import csv
import json
from pathlib import Path

import pytest

from conftest import ROOT

SMALL = ("model/network=mlp", "trainer=cpu", "debug=fast", "logger=none", "hydra.sweep.dir=sweep")
ONE_PROCESS = (*SMALL, "hydra/launcher=basic")
FAULT = "+callbacks.fault._target_=stand_ins.Fault"


def job(sweep: Path, name: str) -> Path:
    """The folder of the job whose folder's name ends so."""
    (folder,) = sweep.glob(f"*_{name}")
    return folder


def table(sweep: Path) -> dict[str, dict[str, str]]:
    """The rows of sweep.csv by what differs, in the order of the file."""
    with (sweep / "sweep.csv").open(newline="") as file:
        return {next(iter(row.values())): row for row in csv.DictReader(file)}


def test_each_job_is_a_process_and_one_that_fails_fails_alone(run, command, tmp_path):
    typed = ("-m", "model.latent_dim=2,0", *SMALL, "hydra.launcher.n_jobs=2")
    done = run("train.py", *typed)
    assert (done.returncode, done.stderr) == (1, "")
    good, bad = job(tmp_path / "sweep", "latent_dim-2"), job(tmp_path / "sweep", "latent_dim-0")
    sentence = "model.latent_dim must be at least 1, got 0"
    lines = done.stdout.splitlines()
    assert lines[0] == "sweep of 2 jobs, 2 at a time, into sweep"
    assert {"[1/2] latent_dim=2: begins", "[2/2] latent_dim=0: begins", f"  {bad.name}: {sentence}"} <= set(
        lines
    )
    assert [line for line in lines if line.startswith("[2/2] latent_dim=0: failed after ")][0].endswith(
        sentence
    )
    assert f"  python {ROOT / 'sample.py'} run=sweep/{good.name}" in lines
    assert "\r" not in done.stdout and "\x1b" not in done.stdout  # quiet where it is no terminal

    rows = table(tmp_path / "sweep")
    assert list(rows) == ["2", "0"]
    assert (rows["2"]["ended"], rows["2"]["folder"], rows["2"]["error"]) == ("finished", good.name, "")
    best = json.loads((good / "result.json").read_text())["best"]["metrics"]["val/loss"]
    assert float(rows["2"]["val/loss"]) == best
    assert (rows["0"]["ended"], rows["0"]["error"], rows["0"]["val/loss"]) == ("failed", sentence, "")
    assert sentence in (bad / "run.log").read_text() and sentence in (bad / "console.log").read_text()
    assert sentence not in (good / "console.log").read_text()
    assert json.loads((good / "result.json").read_text())["command"].endswith("hydra.job.num=0")
    assert not (good / "progress.json").exists()

    before = {path: path.stat().st_mtime_ns for path in good.rglob("*") if path.name != ".lock"}
    code, out, _ = command("train", *typed)
    assert code == 1
    assert out.splitlines()[0] == "sweep of 2 jobs, 1 of them done already, 2 at a time, into sweep"
    assert "latent_dim=2: begins" not in out and "[2/2] latent_dim=0: goes on" in out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list((tmp_path / "sweep").glob("*/job.json"))) == 2


@pytest.mark.parametrize(
    ("wrong", "code", "sentence"),
    [
        (["model.latent_dm=2,3"], 1, "model.latent_dm is no setting of model; did you mean latent_dim?"),
        (["model/network=mlp,mpl"], 1, "model/network=mpl is no option; did you mean mlp?"),
        (["seed=0,1", "hydra.launcher.n_jobs=0"], 2, "hydra.launcher.n_jobs must be a whole number, at least 1, got 0"),
        (["seed=0,1", "hydra.launcher.n_job=2"], 1, "hydra.launcher.n_job is no setting"),
        (["seed=0,1", "hydra.sweep.subdir=x"], 2, "x: would be the folder of two jobs; leave hydra.sweep.subdir out"),
        (["seed=0,1", "data=folder"], 2, "data.path: no value; give data.path=...\n(in the job "),
        (["seed=0,1", "resume=logs/x"], 2, "resume= goes on with one run; to go on with a sweep repeat its command"),
        (["model.latent_dim=2,x"], 2, "(in the job trainer=cpu debug=fast logger=none model.latent_dim=x; no"),
    ],
)  # fmt: skip
def test_a_wrong_job_is_refused_before_anything_is_written(command, tmp_path, wrong, code, sentence):
    got, out, err = command("train", "-m", *[s for s in SMALL if s != "model/network=mlp"], *wrong)
    assert (got, out) == (code, "") and sentence in err
    assert not list(tmp_path.iterdir())


def test_a_sweep_does_not_write_into_somebodys_folder(command, tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "thesis.tex").touch()
    code, out, err = command("train", "-m", "seed=0,1", *SMALL)
    assert (code, out) == (2, "")
    assert err.strip() == (
        "sweep: holds files that are no sweep's (thesis.tex, ...); choose another hydra.sweep.dir"
    )
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["thesis.tex"]


def test_a_sweep_in_one_process_goes_past_a_bug_and_repeats_only_what_failed(command, tmp_path):
    sweep = ("-m", *ONE_PROCESS, FAULT, "+callbacks.fault.says=boom,nothing")
    code, out, _ = command("train", *sweep)
    assert code == 1
    bad, good = job(tmp_path / "sweep", "says-boom"), job(tmp_path / "sweep", "says-nothing")
    assert {line for line in out.splitlines() if line.startswith("[")} >= {"[1/2] says=boom"}
    assert table(tmp_path / "sweep")["boom"]["error"] == "boom"
    assert list(table(tmp_path / "sweep")) == ["nothing", "boom"]
    log = (bad / "run.log").read_text()
    assert "Traceback" in log and "RuntimeError: boom" in log
    assert "Traceback" not in (good / "run.log").read_text()
    before = {path: path.stat().st_mtime_ns for path in good.glob("checkpoints/*")}
    code, out, _ = command("train", *sweep)
    assert code == 1 and before
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (bad / "run.log").read_text().count("RuntimeError: boom") > log.count("RuntimeError: boom")
    assert json.loads((good / "job.json").read_text())["exit_code"] == 0


def test_a_sweep_that_is_extended_keeps_its_folders(command, tmp_path):
    assert command("train", "-m", *ONE_PROCESS, "seed=0,1")[0] == 0
    before = {path.name for path in (tmp_path / "sweep").glob("*_*") if path.is_dir()}
    assert len(before) == 2
    code, out, err = command("train", "-m", "seed=0,1", *ONE_PROCESS, "model.latent_dim=16")
    assert (code, err) == (0, "") and "over seeds:" in out
    after = {path.name for path in (tmp_path / "sweep").glob("*_*") if path.is_dir()}
    assert before < after and len(after) == 4


def test_further_ranks_are_refused_in_one_process_with_a_sentence(command, tmp_path):
    code, out, _ = command("train", "-m", *ONE_PROCESS, "trainer=ddp_cpu", "seed=0,1")
    assert code == 1
    sentence = (
        "trainer.devices=2 needs processes of its own, which hydra/launcher=basic has not: "
        "use hydra/launcher=subprocess, the default"
    )
    assert out.count(sentence) == 2 and "2 of 2 jobs failed:" in out


def test_a_value_that_is_missing_is_told_by_a_sweep_in_one_process_too(command):
    code, out, err = command("train", "-m", *ONE_PROCESS, "data=folder", "seed=0,1")
    assert code in (1, 2) and "data.path: no value; give data.path=..." in out + err
    assert "sweep.csv could not be written" not in err


def test_a_choice_by_pattern_is_swept(command, tmp_path):
    others = [setting for setting in ONE_PROCESS if setting != "debug=fast"]
    code, out, err = command("train", "-m", *others, "debug=glob(fas*)")
    assert (code, err) == (0, "")
    assert job(tmp_path / "sweep", "debug-fast").is_dir() and "[1/?] debug=fast" in out.splitlines()


def test_models_and_data_that_are_swept_share_one_folder(command, tmp_path):
    """`hydra.sweep.dir` names a model and a data set, of which each job has its own."""
    typed = [s for s in ONE_PROCESS if not s.startswith("hydra.sweep.dir")]
    code, out, err = command("train", "-m", "model=vae,gan", *typed)
    assert (code, err) == (0, "")
    (sweep,) = (tmp_path / "logs").iterdir()
    assert sweep.name.startswith("sweep_vae-gan_digits_")
    assert list(table(sweep)) == ["vae", "gan"]
    assert sorted(p.name for p in sweep.iterdir() if p.is_dir()) == sorted(
        row["folder"] for row in table(sweep).values()
    )


def test_a_sweep_that_is_written_in_a_config_counts_its_jobs(command, tmp_path):
    folder = tmp_path / "theirs" / "experiment"
    folder.mkdir(parents=True)
    (folder / "seeds.yaml").write_text(
        "# @package _global_\nhydra: {sweeper: {params: {seed: 'range(0,2)'}}}\n"
    )
    code, out, err = command("train", "-m", "--config-dir", "theirs", "experiment=seeds", *ONE_PROCESS)
    assert (code, err) == (0, "")
    assert [line.split(":")[0] for line in out.splitlines() if line.startswith("[")] == [
        "[1/2] seed=0",
        "[2/2] seed=1",
    ]
