"""The tables as text and as docs/benchmarks.md holds them."""

import os
import platform
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.measure import Row
from genlab.run_folder import git_commit
from genlab.tables import table

HEADER = ["ours / other", "ours", "other", "unit", "ratio", "to reach"]
NOT_MEASURED = "not measured"


def text(name: str, rows: Sequence[Row]) -> str:
    """A table for the terminal."""
    return f"\n{name}\n{table([_cells(row) for row in rows], HEADER)}"


def block(name: str, rows: Sequence[Row], about: dict[str, str]) -> str:
    """A table in Markdown, between its marks, with what it takes to measure it again."""
    lines = ["| " + " | ".join(HEADER) + " |", "| --- |" + " ---: |" * (len(HEADER) - 1)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    repeats = sorted({len(row.pairs) for row in rows if row.pairs})
    facts = [f"`python scripts/benchmark.py --only {name}`"]
    facts += [f"medians of {' or '.join(map(str, repeats))} pairs"] if repeats else []
    facts += [f"{key} {value}" for key, value in about.items() if key != "command"]
    return "\n".join([_begin(name), *lines, "", "; ".join(facts) + ".", _end(name)])


def replaced(page: str, name: str, new: str) -> str:
    """The document with a section's block exchanged.

    Raises:
        SystemExit: it has no marks of this section.
    """
    pattern = re.compile(re.escape(_begin(name)) + ".*?" + re.escape(_end(name)), re.S)
    if not pattern.search(page):
        raise SystemExit(f"the document has no place for {name}: add {_begin(name)} and {_end(name)}")
    return pattern.sub(lambda _: new, page)


def _begin(name: str) -> str:
    return f"<!-- {name}: made by scripts/benchmark.py -->"


def _end(name: str) -> str:
    return f"<!-- end of {name} -->"


def _cells(row: Row) -> list[str]:
    reach = "" if row.reach is None else f"{row.reach:.2f}"
    return [row.name, _three_digits(row.ours), _three_digits(row.other), row.unit, f"{row.ratio:.3f}", reach]


def _three_digits(number: float) -> str:
    return f"{float(f'{number:.3g}'):,.0f}" if number >= 1000 else f"{number:.3g}"


def machine() -> dict[str, str]:
    """Where and what: enough to know whether two tables may be compared."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    versions = [f"{name} {version(name)}" for name in ("torch", "pytorch-lightning", "hydra-core")]
    return {
        "command": " ".join(["python", *sys.argv]),
        "commit": git_commit(Path(__file__).parent) or "unknown",
        "CPU": f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "GPU": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *versions]),
    }


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
