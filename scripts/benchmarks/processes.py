"""Commands as a user types them, in processes of their own."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]

Seconds = float


def seconds(*command: str, folder: str | Path, python: str = sys.executable) -> Seconds:
    """How long `python <command>` takes, from start to exit, in a folder.

    Raises:
        SystemExit: it failed; with what it said.
    """
    path = os.pathsep.join(filter(None, [str(ROOT / "scripts"), os.environ.get("PYTHONPATH")]))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HYDRA", "GENLAB", "PYTORCH_NVML"))}
    began = time.perf_counter()
    done = subprocess.run(
        [python, *command],
        cwd=folder,
        env={**env, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return took
