"""A script of a training, run by one process and by two on halves of its batches."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import torch


def trained(script: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `script` saves as `<processes>.pt` in its first argument, run by one process and by two.

    Its second argument is the number of processes; `{paths!r}` stands for the folders of stubs, and other braces are
    doubled.
    """
    here = Path(__file__).parent
    file = folder / "ranks.py"
    file.write_text(textwrap.dedent(script).format(paths=[str(here), str(here.parent / "callbacks")]))
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE", "NODE_RANK")}
    for processes in ("1", "2"):
        command = [sys.executable, str(file), str(folder), processes]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (torch.load(folder / f"{processes}.pt", weights_only=True) for processes in (1, 2))
    return one, two
