"""What several tests share: runs of the real commands, in real processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: workers share the cores

ROOT = Path(__file__).parents[1]
LAUNCHER = {"LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK"}


def environment(**changes: str) -> dict[str, str]:
    """The process's environment with one thread, and without what a launcher or Hydra left in it."""
    kept = {
        k: v for k, v in os.environ.items() if k not in LAUNCHER and not k.startswith(("HYDRA", "GENLAB"))
    }
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **changes}


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen]:
    """Starts a command as a user would type it, e.g. `start("train.py", "seed=1")`, in an empty folder."""

    def begin(verb: str, *arguments: str, **env: str) -> subprocess.Popen:
        command = [sys.executable, str(ROOT / verb), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=environment(**env), **pipes)  # type: ignore[call-overload]

    return begin


@pytest.fixture
def run(start: Callable[..., subprocess.Popen]) -> Callable[..., subprocess.CompletedProcess]:
    """Runs a command to its end."""

    def finish(verb: str, *arguments: str, **env: str) -> subprocess.CompletedProcess:
        process = start(verb, *arguments, **env)
        out, err = process.communicate(timeout=180)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return finish


def write_pictures(folder: Path, n: int = 24) -> Path:
    """A user's folder of photographs: two subfolders of small colour PNGs."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for k in range(n):
        place = folder / ("cats" if k % 2 else "dogs")
        place.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (40, 30 + k, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{k}.png")
    return folder


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> Callable[..., tuple[int, str, str]]:
    """Runs a verb's main in this process, e.g. `command("train", "seed=x")`: exit code, stdout, stderr."""
    import importlib

    from hydra.core.global_hydra import GlobalHydra

    def call(verb: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(ROOT / f"{verb}.py"), *arguments])
        for name in ("HYDRA_FULL_ERROR", "GENLAB_ERRORS", "GENLAB_DATA", *LAUNCHER):
            monkeypatch.delenv(name, raising=False)
        GlobalHydra.instance().clear()
        code = 0
        try:
            importlib.import_module(f"genlab.{verb}").main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return call
