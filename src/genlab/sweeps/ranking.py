"""What a sweep found: a row a job in sweep.csv, and the ranking on the terminal.

Everything is read from the folders of the jobs, so a sweep that was extended, or killed and repeated, has
one table. Imports neither torch nor lightning.
"""

import csv
import io
import math
import shlex
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genlab.atomic import write_whole
from genlab.invocation import verb
from genlab.run_folder import as_typed, read_result
from genlab.sweeps import jobs
from genlab.tables import duration, table

_OTHERS = 3
"""Metrics on the terminal beside the watched one; sweep.csv has all."""

_OF_OTHER_KINDS = ("data", "model/likelihood", "data.image_size", "data.channels")
"""Settings across which a watched number is of other things, or in another unit."""


@dataclass
class Row:
    """A job as the table shows it.

    Attributes:
        folder: its name in the sweep.
        told: names of settings to the values it was given, as text.
        ended: as result.json has it; `failed` and `not run` are known without one.
        metrics: at the best checkpoint where there is one, else at the end; the watched one first.
        larger_is_better: of the watched metric.
        result: all that result.json holds.
        score: the watched number at its best, of a job that has ended well; None where there is none, it is
            not finite, or the job watches another metric than the others do.
    """

    folder: str
    told: dict[str, str]
    ended: str
    error: str | None
    metrics: dict[str, float]
    larger_is_better: bool
    result: dict[str, Any]
    score: float | None = None


def read(sweep: Path) -> list[Row]:
    """The jobs of a sweep, best first; those without a number last."""
    rows = [
        _read_job(folder, record)
        for folder in sorted(sweep.iterdir())
        if (record := jobs.read_record(folder))
    ]
    if any("seed" in row.told for row in rows):
        for row in rows:  # a sweep that is extended by seeds had one before
            row.told.setdefault("seed", str(row.result.get("seed", "")))
    _score(rows)
    return sorted(rows, key=lambda row: _rank(row.score, row.larger_is_better))


def _score(rows: list[Row]) -> None:
    """Gives those a score that can be compared: of several watched metrics the one that most jobs watch."""
    ended = [row for row in rows if row.ended in jobs.ENDINGS and jobs.best_metrics(row.result)]
    watched = Counter((next(iter(row.metrics)), row.larger_is_better) for row in ended)
    for row in ended:
        name, value = next(iter(row.metrics.items()))
        if (name, row.larger_is_better) == watched.most_common(1)[0][0] and math.isfinite(value):
            row.score = value


def _rank(score: float | None, larger_is_better: bool) -> tuple[bool, float]:
    return score is None, 0.0 if score is None else -score if larger_is_better else score


def _read_job(folder: Path, record: jobs.Record) -> Row:
    result = read_result(folder) or {}
    metrics = jobs.best_metrics(result) or result.get("final") or {}
    told = {jobs.key(o): o.partition("=")[2] for o in record.overrides}
    failed = jobs.has_failed(folder)
    return Row(
        folder=folder.name,
        told=told,
        ended="failed" if failed and result.get("ended") != "diverged" else result.get("ended", "not run"),
        error=record.error if failed else None,
        metrics={name: value for name, value in metrics.items() if value is not None},
        larger_is_better=result.get("mode") == "max",
        result=result,
    )


def differing(rows: Iterable[Row]) -> list[str]:
    """The settings that are not the same in all jobs, in the order in which they were typed."""
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row.told)
    return [name for name in names if len({row.told.get(name) for row in rows}) > 1]


def write_csv(sweep: Path) -> None:
    """Writes sweep.csv: what differs, how it ended, metrics, time, throughput, error, folder.

    Where seeds differ, sweep_over_seeds.csv has the watched number's mean and standard error.

    Raises:
        OSError: the disk is full, or the folder cannot be written to.
    """
    rows = read(sweep)
    settings = differing(rows)
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics))
    lines: list[list[Any]] = [
        [
            *settings,
            "ended",
            "best_epoch",
            *metrics,
            "epochs",
            "seconds",
            "images_per_second",
            "error",
            "folder",
        ]
    ]
    for row in rows:
        result = row.result
        lines.append(
            [
                *[row.told.get(name, "") for name in settings],
                row.ended,
                (result.get("best") or {}).get("epoch", ""),
                *[row.metrics.get(name, "") for name in metrics],
                result.get("epochs", ""),
                seconds(result) if result else "",
                result.get("images_per_second") or "",
                row.error or "",
                row.folder,
            ]
        )
    _write(sweep / "sweep.csv", lines)
    if "seed" in settings:
        header, groups = _seeds(rows, settings)
        _write(sweep / "sweep_over_seeds.csv", [header, *groups])


def _write(path: Path, lines: list[list[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    write_whole(path, lambda file: file.write(text.getvalue().encode()))


def _seeds(rows: list[Row], settings: list[str]) -> tuple[list[str], list[list[Any]]]:
    """The table over seeds: header and lines."""
    others = [name for name in settings if name != "seed"]
    watched = next((next(iter(row.metrics)) for row in rows if row.score is not None), "score")
    header = [*others, f"mean {watched}", "standard error", "seeds"]
    return header, [[*g.values, g.mean, g.standard_error, g.seeds] for g in over_seeds(rows, others)]


def seconds(result: dict[str, Any]) -> float:
    """Time that a run has taken, over all of its attempts."""
    return round(float(result.get("wall_seconds") or 0) + float(result.get("wall_seconds_before") or 0), 3)


def summary(sweep: Path) -> str:
    """The ranking, over seeds where they were swept; what failed; what to type next."""
    rows = read(sweep)
    settings = differing(rows)
    blocks = [_ranking(rows, settings)]
    if unlike := [name for name in settings if name in _OF_OTHER_KINDS]:
        blocks.append(f"numbers of unlike {' and '.join(unlike)} do not compare: look at ranks within each")
    if "seed" in settings and any(row.score is not None for row in rows):
        header, lines = _seeds(rows, settings)
        names = jobs.short_names(name for name in settings if name != "seed")
        blocks.append("over seeds:\n" + table(lines, [*names, *header[len(names) :]]))
    others = [row for row in rows if row.score is None and jobs.best_metrics(row.result) and not row.error]
    if others and others[0].ended in jobs.ENDINGS:
        blocks.append(
            f"without a rank: {len(others)} that watch another number than most, or none that is finite"
        )
    failed = [row for row in rows if row.error]
    if failed:
        blocks.append(
            "\n".join(
                [f"{len(failed)} of {len(rows)} jobs failed:", *[f"  {r.folder}: {r.error}" for r in failed]]
            )
        )
    where = shlex.quote(str(as_typed(sweep)))
    blocks.append(f"table: {as_typed(sweep) / 'sweep.csv'}")
    steps = [f"tensorboard --logdir {where}"] if any(sweep.glob("*/events.out.tfevents*")) else []
    best = rows[0] if rows and rows[0].score is not None else None
    if best:
        steps.append(f"{verb('sample')} run={shlex.quote(str(as_typed(sweep / best.folder)))}")
    if steps:
        blocks[-1] += "\nnext:\n  " + "\n  ".join(steps)
    return "\n\n".join(blocks)


def _ranking(rows: list[Row], settings: list[str]) -> str:
    metrics = _shown_metrics(rows)
    fast = [row.result for row in rows if row.result.get("images_per_second")]
    counted = {result.get("counted_as_images", "images") for result in fast} or {"images"}
    rate = f"{counted.pop()}/s" if len(counted) == 1 else "per second"
    header = ["", *jobs.short_names(settings), *metrics, "time", rate, "folder"]
    lines = []
    for place, row in enumerate(rows, start=1):
        took, speed = seconds(row.result), row.result.get("images_per_second")
        lines.append(
            [
                str(place) if row.score is not None else row.ended,
                *[row.told.get(name, "") for name in settings],
                *[row.metrics.get(name) for name in metrics],
                duration(took) if took else None,
                round(speed) if speed else None,
                row.folder,
            ]
        )
    kept = [k for k in range(len(header)) if k == 0 or any(line[k] is not None for line in lines)]
    return table([[line[k] for k in kept] for line in lines], [header[k] for k in kept])


def _shown_metrics(rows: list[Row]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    return [name for name in names if name.startswith("val/")][: 1 + _OTHERS] or names[: 1 + _OTHERS]


@dataclass
class Group:
    """Jobs that differ in their seeds alone, and the watched number over them."""

    values: tuple[str, ...]
    mean: float | None
    standard_error: float | None
    seeds: int


def over_seeds(rows: list[Row], settings: list[str]) -> list[Group]:
    """Mean and standard error of the watched number for each combination of settings, best mean first."""
    scores: dict[tuple[str, ...], dict[str, float]] = {}  # a seed counts once, however often it was run
    for row in rows:
        by_seed = scores.setdefault(tuple(row.told.get(name, "") for name in settings), {})
        if row.score is not None:
            by_seed[row.told.get("seed", "")] = row.score
    groups = [
        Group(
            values, statistics.fmean(by_seed.values()), standard_error(list(by_seed.values())), len(by_seed)
        )
        if by_seed
        else Group(values, None, None, 0)
        for values, by_seed in scores.items()
    ]
    larger_is_better = any(row.larger_is_better for row in rows)
    return sorted(groups, key=lambda group: _rank(group.mean, larger_is_better))


def standard_error(values: list[float]) -> float | None:
    """Sample standard deviation (n - 1) over sqrt(n); None for fewer than two values."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
