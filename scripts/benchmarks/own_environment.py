"""A virtual environment for a library that is measured beside ours: its own packages, this one's torch."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import torch

from benchmarks.measure import NotMeasured

VERSION = "0.1.2"
"""Of pythae; the last one there is."""
MISSING = ("cloudpickle", "imageio", "pydantic", "scikit-learn", "tqdm")
"""What pythae imports beside torch, numpy and scipy. It also lists `dataclasses`, which Python has had since 3.7."""


def python_with_pythae() -> str:
    """The interpreter of the environment, which is made where there is none that works.

    It lies in the user's cache folder (XDG_CACHE_HOME) and sees the packages of this environment behind its own, so
    that both sides compute with the very same torch, which is not downloaded again.

    Raises:
        NotMeasured: it cannot be made here.
    """
    folder = _place()
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not _works(python):
        try:
            _run(sys.executable, "-m", "venv", "--clear", str(folder))
            _see_these_packages(python)
            _run(str(python), "-m", "pip", "install", "--quiet", "--no-deps", f"pythae=={VERSION}")
            _run(str(python), "-m", "pip", "install", "--quiet", *MISSING)
            _run(str(python), "-c", "import pythae.pipelines")
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            raise NotMeasured(f"pythae {VERSION} cannot be installed in {folder}: {said[-1]}") from error
    return str(python)


def _place() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "genlab" / f"pythae-{VERSION}-python{sys.version_info[0]}.{sys.version_info[1]}"


def _works(python: Path) -> bool:
    if not python.exists():
        return False
    try:
        _see_these_packages(python)
        _run(str(python), "-c", "import pythae.pipelines")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _see_these_packages(python: Path) -> None:
    """Puts the packages of this environment behind those of the other."""
    own = _run(str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip()
    paths = sysconfig.get_paths()
    seen = {str(Path(torch.__file__).parents[1]): None, paths["purelib"]: None, paths["platlib"]: None}
    (Path(own) / "behind.pth").write_text("\n".join(seen) + "\n")


def _run(*command: str) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
