"""Two sides, measured in turns."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Measured = float
"""What one run of one side gives."""


@dataclass(frozen=True)
class Row:
    """A line of the tables: medians of both sides, and how many times as good ours is as the other."""

    name: str
    unit: str
    ours: float
    other: float
    ratio: float
    reach: float | None = None
    """The ratio to reach at least; None where there is none to reach."""
    pairs: list[tuple[Measured, Measured]] = field(default_factory=list)
    """What was measured: ours, the other."""


class NotMeasured(Exception):
    """Why a section cannot be measured here, in a sentence."""


def compare(
    name: str,
    unit: str,
    *,
    ours: Callable[[], Measured],
    other: Callable[[], Measured],
    repeats: int,
    reach: float | None = None,
    rates: bool = False,
) -> Row:
    """Medians of both sides, and the median over neighbouring pairs of other / ours; of `rates`, ours / other."""
    turns = in_turns({"other": other, "ours": ours}, repeats)
    pairs = [(turn["ours"], turn["other"]) for turn in turns]
    if rates:
        return compare_rates(name, unit, pairs, reach=reach)
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    return Row(name, unit, *_medians(pairs), ratio, reach, pairs)


def compare_rates(
    name: str, unit: str, pairs: list[tuple[float, float]], *, reach: float | None = None
) -> Row:
    """The same of rates that are measured already, ours and the other's, of which more is better."""
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    return Row(name, unit, *_medians(pairs), ratio, reach, pairs)


def in_turns(sides: dict[str, Callable[[], Any]], repeats: int) -> list[dict[str, Any]]:
    """Runs every side once a turn, each second turn in the opposite order.

    So a machine that slows down favours none.
    """
    orders = [list(sides), list(reversed(sides))]
    return [{name: sides[name]() for name in orders[turn % 2]} for turn in range(repeats)]


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    mine, theirs = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(theirs)
