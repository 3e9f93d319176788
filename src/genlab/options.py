"""What can be chosen: the groups and options of one or several folders of config files, read as text.

Imports neither Hydra nor torch, so that `python train.py --list` answers at once.
"""

from collections.abc import Sequence
from pathlib import Path

from genlab.errors import UserError

FIRST = (
    "model", "data", "model/network", "model/output", "model/likelihood", "model/loss", "model/kl_schedule", "model/prior",
    "model/optimizer", "model/scheduler", "trainer", "logger", "experiment", "debug",
)  # fmt: skip
"""The groups that people choose from most, in the order in which they are shown; others follow by name."""

SHARED = {"base", "parts", "pair"}
"""Folders of what options are made of; nobody chooses from them."""


def options(folders: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Finds all that can be chosen.

    Args:
        folders: of config files, in Hydra's order: where two have an option of one name, the first counts.

    Returns:
        One-line descriptions by group and option, e.g. `found["model/network"]["mlp"]`.

    Raises:
        UserError: a folder is not there.
    """
    found: dict[str, dict[str, str]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder of config files; --config-dir wants one")
        for file in sorted(folder.rglob("*.yaml")):
            group = file.parent.relative_to(folder).as_posix()
            if group != "." and not SHARED & set(group.split("/")):
                found.setdefault(group, {}).setdefault(file.stem, describe(file))
    order = [group for group in FIRST if group in found] + sorted(found.keys() - set(FIRST))
    return {group: dict(sorted(found[group].items())) for group in order}


def describe(option: Path) -> str:
    """An option file's one-line description: the comment that it begins with, empty without one."""
    for line in option.read_text(encoding="utf-8").splitlines():
        if "@package" in line:
            continue
        return line.lstrip("# ").rstrip(".") if line.startswith("#") else ""
    return ""


def listing(folders: Sequence[Path]) -> str:
    """A line for each option, as it is typed and what it is, and an empty one between two groups.

    Args:
        folders: as in `options`.

    Raises:
        UserError: a folder is not there.
    """
    found = options(folders)
    width = max((len(f"{group}={name}") for group, names in found.items() for name in names), default=0)
    blocks = [
        "\n".join(f"{f'{group}={name}':{width}}  {text}".rstrip() for name, text in names.items())
        for group, names in found.items()
    ]
    return "\n\n".join(blocks)
