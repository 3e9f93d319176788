"""A network, a loss, a dataset and a family of models from outside: examples/my_project, not installed."""

import json
import re
import shlex
import shutil

import pytest

import genlab
from conftest import ROOT
from genlab.config import compose
from genlab.errors import UserError
from genlab.options import options
from genlab.validation import validate

PROJECT = ROOT / "examples" / "my_project"
CONF = PROJECT / "conf"
FAST = ("debug=fast", "trainer=cpu", "logger=none", "hydra.run.dir=run")
PAGES = [ROOT / "docs" / "extend.md", PROJECT / "README.md"]


def commands() -> list[str]:
    """The training commands of the pages, without those that go on with a run or only list."""
    lines = [line for page in PAGES for line in re.findall(r"^genlab-train (.+)$", page.read_text(), re.M)]
    return sorted({line for line in lines if "resume=" not in line and "--list" not in line})


@pytest.fixture
def conf(tmp_path):
    """Their config folder at a place with a space in it, relative to where the command is run."""
    shutil.copytree(CONF, tmp_path / "their conf")
    return "their conf"


@pytest.mark.parametrize(
    "choice",
    [
        ("model/network=broadcast", "model.decoder.width=4"),
        ("model/network=mlp", "model/loss=ceiling"),
        ("model/network=mlp", "data=shapes"),
        ("model=ppca",),
    ],
    ids=["network", "loss", "dataset", "family"],
)
def test_each_addition_trains_by_itself_beside_what_genlab_has(choice, command, conf, tmp_path):
    code, _, err = command("train", "--config-dir", conf, *choice, *FAST)
    assert (code, err) == (0, "")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["ended"] == "finished"
    assert len(list((tmp_path / "run" / "samples").glob("reconstructions_*.png"))) == 2
    model = genlab.load_model(tmp_path / "run", trust=["my_project"])
    assert model.sample(2, seed=0).shape == (2, 1, 32, 32)


def test_a_trainer_of_ones_own_says_how_long_it_trains_on_any_data(command, tmp_path):
    (tmp_path / "own" / "trainer").mkdir(parents=True)
    (tmp_path / "own" / "trainer" / "mine.yaml").write_text(
        "defaults: [base/default, _self_]\nmax_epochs: 70\n"
    )
    for data in ("digits", "python_source"):
        words = (
            "model=lstm",
            f"data={data}",
            "trainer=mine",
            "--cfg",
            "job",
            "--resolve",
            "--package",
            "trainer",
        )
        code, out, err = command("train", "--config-dir", "own", *words)
        assert (code, err) == (0, "") and "max_epochs: 70\n" in out


def test_all_additions_together_sample_and_are_judged_like_ours(command, tmp_path):
    choice = ("data=shapes", "model/network=broadcast", "model.decoder.width=4", "model/loss=ceiling")
    assert command("train", "--config-dir", str(CONF), *choice, *FAST)[0] == 0
    model = genlab.load_model(tmp_path / "run", trust=["my_project"])
    assert model.loss.steps == 2000
    trust = ("run=run", "trust=[my_project]")
    assert command("sample", *trust, "n=4", "out=four.png")[0] == 0
    assert command("evaluate", *trust, "metrics.nll.k=2", "metrics.nll.n=10")[0] == 0
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["images"] == 1000


def test_a_family_with_an_exact_density_is_judged_by_it(command, tmp_path):
    assert command("train", "--config-dir", str(CONF), "model=ppca", "data=shapes", *FAST)[0] == 0
    code, _, err = command("evaluate", "run=run", "trust=[my_project]", "metrics.nll.n=null")
    assert (code, err) == (0, "")
    metrics = json.loads((tmp_path / "run" / "evaluation.json").read_text())["metrics"]
    assert metrics["test/nll"] == pytest.approx(metrics["test/loss"], rel=1e-5)


def test_a_package_that_nobody_registered_has_to_be_trusted_by_name(command, tmp_path):
    assert command("train", "--config-dir", str(CONF), "model=ppca", *FAST)[0] == 0
    with pytest.raises(UserError, match=r"my_project is not trusted; if you trust this file, pass trust="):
        genlab.load_model(tmp_path / "run")


def test_a_sweep_mixes_their_options_with_ours(command, conf, tmp_path):
    sweep = ("-m", "--config-dir", conf, "model=vae,ppca", "data=shapes", "hydra/launcher=basic")
    code, _, err = command("train", *sweep, *FAST[:-1], "hydra.sweep.dir=sweep")
    assert (code, err) == (0, "")
    results = [json.loads(file.read_text()) for file in (tmp_path / "sweep").rglob("result.json")]
    assert [result["ended"] for result in results] == ["finished", "finished"]


def test_help_and_list_show_their_options_beside_ours(command, conf):
    code, text, _ = command("train", "--config-dir", conf, "--help")
    assert code == 0
    assert re.search(
        r"^model/network: broadcast, dcgan, iwae, iwae_2l, mlp, points, r3gan, resnet, sngan$", text, re.M
    )
    code, text, err = command("train", "--list", "--config-dir", conf)
    assert (code, err) == (0, "")
    assert re.search(r"^data=digits +1,797 handwritten", text, re.M)
    assert re.search(r"^data=shapes +Discs, squares and diamonds", text, re.M)


def test_a_config_dir_that_is_not_there_is_one_sentence(command):
    for words in (("--config-dir", "nowhere"), ("--config-dir=nowhere", "--list")):
        code, _, err = command("train", *words)
        assert code in (1, 2) and len(err.strip().splitlines()) == 1 and "nowhere" in err


def test_their_options_are_described_and_validate():
    found = {(group, name): text for group, names in options([CONF]).items() for name, text in names.items()}
    assert {name for _, name in found} == {"broadcast", "ceiling", "shapes", "ppca"}
    assert all(found.values())
    for group, name in found:
        family = ["model=ppca"] if group == "callbacks" else []
        validate(compose([f"{group}={name}", *family], config_dir=CONF), facts_known=False)


@pytest.mark.parametrize("line", commands())
def test_every_training_command_of_the_pages_is_a_right_config(line):
    words = shlex.split(line)
    assert words[words.index("--config-dir") + 1] == "conf"
    settings = [re.sub(r",.*", "", word) for word in words if "=" in word]  # of a sweep its first job
    validate(compose(settings, config_dir=CONF), facts_known=False)


def test_the_pages_link_to_what_there_is():
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
