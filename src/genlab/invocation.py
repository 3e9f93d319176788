"""How this process was started, word for word: for result.json, dashboards, and to start it again."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from genlab.run_folder import as_typed

_typed: list[str] = []


def note() -> None:
    """Keeps the command line as it was typed, before it is made ready for Hydra."""
    _typed[:] = sys.argv


CONFIG_DIR = ("--config-dir", "-cd")
WHERE = (*CONFIG_DIR, "--config-name", "-cn", "--config-path", "-cp")
"""Hydra's flags that say where configs lie."""


def config_flags(arguments: Sequence[str], flags: tuple[str, ...] = WHERE) -> list[str]:
    """Those of a command line's flags that say where configs lie, each followed by its value."""
    found: list[str] = []
    for k, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in flags:
            found += [flag, value] if equals else arguments[k : k + 2]
    return found


def config_dirs(arguments: Sequence[str]) -> list[Path]:
    """The folders of further options that a command line names."""
    return [Path(folder) for folder in config_flags(arguments, CONFIG_DIR)[1::2]]


def command() -> str:
    """What was typed to start this process, ready for a shell."""
    script, *arguments = _typed or sys.argv
    if Path(script).name.startswith(_INSTALLED):
        return shlex.join([Path(script).name, *arguments])
    return shlex.join([Path(sys.executable).name, script, *arguments])


_INSTALLED = "genlab-"
"""How the names of the commands begin that `pip install` makes."""


def verb(name: str) -> str:
    """What to type for another verb where this process was started: `python sample.py`, or `genlab-sample`."""
    script = Path((_typed or sys.argv)[0])
    if script.name.startswith(_INSTALLED):
        return f"{_INSTALLED}{name}"
    beside = script.with_name(f"{name}.py")
    there = script.name == "train.py" and beside.is_file() and beside.parent != Path(__file__).parent
    return shlex.join(["python", str(as_typed(beside)) if there else beside.name])
