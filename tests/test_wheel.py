"""What `pip install .` gives: the commands and conf/ without a checkout, and room for packages from outside."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ROOT, environment

pytest.importorskip("setuptools", minversion="77", reason="it builds without a network")
pytestmark = pytest.mark.xdist_group("wheel")  # one worker builds for all tests
SHIPPED = (
    "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "conf", "src", "tests", "examples",
)  # fmt: skip
FAST = ("debug=fast", "trainer=cpu", "logger=csv")


def build(kind: str, source: Path, out: Path) -> Path:
    """Builds an sdist, a wheel or an editable wheel of a project with the setuptools that is here."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = [file for file in out.iterdir() if file.suffix in (".whl", ".gz")]
    return built


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the checkout: a build leaves folders behind."""
    copy = tmp_path_factory.mktemp("checkout")
    no_litter = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "logs")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=no_litter)
        else:
            shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory) -> Path:
    """The wheel as it reaches people: built from the sdist."""
    sdist = build("sdist", checkout, tmp_path_factory.mktemp("sdist"))
    unpacked = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(sdist, unpacked)
    return build("wheel", next(unpacked.iterdir()), tmp_path_factory.mktemp("wheel"))


def files_of(folder: Path, pattern: str) -> set[str]:
    found = {file.relative_to(folder).as_posix() for file in folder.rglob(pattern)}
    assert found
    return found


def test_the_wheel_holds_all_code_and_config_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    code = files_of(ROOT / "src", "*.py")
    assert names == code | {f"genlab/conf/{name}" for name in files_of(ROOT / "conf", "*.yaml")}


def test_plugins_are_in_the_wheel_where_hydra_looks_for_them(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith("hydra_plugins/genlab_") for name in names)
    assert "hydra_plugins/__init__.py" not in names  # it would hide everybody else's plugins


def test_a_second_build_drops_an_option_that_is_gone(checkout, tmp_path):
    again = shutil.copytree(checkout, tmp_path / "again")
    (again / "conf/data/gone.yaml").write_text("# Soon gone\n")
    first = build("wheel", again, tmp_path)
    assert "genlab/conf/data/gone.yaml" in zipfile.ZipFile(first).namelist()
    first.unlink()
    (again / "conf/data/gone.yaml").unlink()
    assert "genlab/conf/data/gone.yaml" not in zipfile.ZipFile(build("wheel", again, tmp_path)).namelist()


def test_an_editable_install_reads_the_live_conf_of_the_checkout(checkout, tmp_path):
    archive = zipfile.ZipFile(build("editable", checkout, tmp_path))
    inside = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert len(inside) == 1 and inside[0].endswith(".pth")  # a plain path, nothing copied, no import hook
    assert Path(archive.read(inside[0]).decode().strip()) == checkout / "src"
    assert not (checkout / "src/genlab/conf").exists()


# -- in an environment without a checkout -----------------------------------------------------------------


@pytest.fixture(scope="module")
def scripts(wheel, checkout, tmp_path_factory) -> Path:
    """The folder of commands of a fresh environment, with genlab and my_project installed from wheels.

    Everything else, torch above all, it sees in the current environment. That path comes last and brings no
    .pth file into effect: an editable genlab of the current environment is not seen.
    """
    pytest.importorskip("pip")
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=os.name != "nt")
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    theirs = build("wheel", checkout / "examples/my_project", tmp_path_factory.mktemp("theirs"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(scripts / "python")]
    done = subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel), str(theirs)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (packages,) = home.rglob("site-packages")
    (packages / "zz_rest.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


@pytest.fixture
def call(scripts, tmp_path, monkeypatch) -> Callable[..., str]:
    """Runs a command of that environment in an empty folder but for `their conf`; gives what it printed."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    shutil.copytree(ROOT / "examples/my_project/conf", tmp_path / "their conf")

    def run(name: str, *words: str) -> str:
        done = subprocess.run(
            [str(scripts / name), *words],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


@pytest.mark.slow
def test_without_a_checkout_genlab_trains_samples_and_judges(call, scripts, tmp_path):
    where = Path(call("python", "-c", "import genlab; print(genlab.__file__)").strip())
    assert where.is_relative_to(scripts.parent)
    call("genlab-train", "model=vae", "data=digits", *FAST, "hydra.run.dir=run")
    call("genlab-sample", "run=run", "n=4", "out=four.png")
    call("genlab-evaluate", "run=run", "metrics.nll.k=2", "metrics.nll.n=10")
    assert result(tmp_path / "run")["ended"] == "finished"
    assert (tmp_path / "four.png").exists() and (tmp_path / "run/evaluation.json").exists()


@pytest.mark.slow
def test_an_installed_package_adds_its_options_and_is_trusted(call, tmp_path):
    theirs = ("--config-dir", "their conf")
    listed = call("genlab-train", *theirs, "--list")
    assert "model=ppca" in listed and "model=vae" in listed
    options = ("data=shapes", "model/network=broadcast", "model/loss=ceiling", *FAST, "hydra.run.dir=run")
    call("genlab-train", *theirs, *options)
    call("genlab-train", "resume=run", "trainer.max_epochs=3")
    assert result(tmp_path / "run")["epochs"] == 3
    call("genlab-sample", "run=run", "n=4", "out=four.png")
    call("genlab-evaluate", "run=run", "metrics.nll.k=2", "metrics.nll.n=10")


@pytest.mark.slow
def test_a_sweep_over_theirs_and_ours_gives_its_jobs_the_same_config_dir(call, tmp_path):
    sweep = (
        "-m",
        "--config-dir",
        "their conf",
        "model=vae,ppca",
        "data=digits,shapes",
        "hydra.sweep.dir=sweep",
    )
    call("genlab-train", *sweep, *FAST)
    results = [json.loads(file.read_text()) for file in (tmp_path / "sweep").rglob("result.json")]
    assert [one["ended"] for one in results] == ["finished"] * 4
