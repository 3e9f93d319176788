"""How this process was started, word for word: for result.json, dashboards, and to start it again."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_typed: list[str] = []


def note() -> None:
    """Keeps the command line as it was typed, before it is made ready for Hydra."""
    _typed[:] = sys.argv


def command(more: Sequence[str] = ()) -> str:
    """What was typed to start this process, ready for a shell.

    Args:
        more: arguments to add, unless they are there.
    """
    typed = _typed or sys.argv
    return shlex.join([Path(sys.executable).name, *typed, *[a for a in more if a not in typed]])
