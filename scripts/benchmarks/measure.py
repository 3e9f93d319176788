"""Two sides, measured in turns."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

Measured = float
"""What one run of one side gives, in any unit in which less is better."""


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


def compare(
    name: str,
    unit: str,
    *,
    ours: Callable[[], Measured],
    other: Callable[[], Measured],
    repeats: int,
    reach: float | None = None,
) -> Row:
    """Medians of both sides, and the median over neighbouring pairs of other / ours.

    Which side comes first alternates, so that a machine that slows down favours neither.
    """
    pairs = []
    for repeat in range(repeats):
        if repeat % 2:
            mine, theirs = ours(), other()
        else:
            theirs, mine = other(), ours()
        pairs.append((mine, theirs))
    my_median, their_median = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    return Row(name, unit, my_median, their_median, ratio, reach, pairs)
