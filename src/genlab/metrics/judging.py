"""Runs metrics: draws once for all of them, reads of the data what they want, stamps what they give."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch

from genlab.metrics.sample_metric import SampleMetric, Samples, Work
from genlab.sequence_contracts import SequenceBatch


class Judgement(NamedTuple):
    """What one metric says.

    Attributes:
        numbers: by name.
        stamp: the protocol they were made by.
    """

    numbers: dict[str, float]
    stamp: dict[str, Any]


def judge(
    metrics: Mapping[str, SampleMetric],
    *,
    facts: Mapping[str, Any],
    draw: Callable[[int], Samples],
    read: Callable[[str], Samples],
    tell: Callable[[str, Work], None] = lambda name, work: None,
) -> dict[str, Judgement]:
    """Judges one model by all metrics, each on the first samples of one draw.

    Args:
        metrics: by name.
        facts: those of the datamodule.
        draw: draws so many samples of the model, with the labels they were drawn under.
        read: gives all samples of a split of the data, `train` or `test`; called where a metric wants it.
        tell: is told what a metric will be busy with, before it is.

    Raises:
        UserError: a metric means nothing for this data, or cannot judge these samples.
    """
    needs = {name: metric.needs() for name, metric in metrics.items()}
    train = read("train") if any(need.train for need in needs.values()) else None
    for name, metric in metrics.items():
        metric.prepare(facts, train if needs[name].train else None)
    test = read("test") if any(need.test for need in needs.values()) else None
    fakes = draw(max(need.fakes for need in needs.values())) if needs else Samples(torch.empty(0))
    judged = {}
    for name, metric in metrics.items():
        own = fakes.first(needs[name].fakes), test if needs[name].test else None
        if work := metric.work(*own):
            tell(name, work)
        judged[name] = Judgement(metric.compute(*own), metric.stamp())
    return judged


def gather(batches: Iterable[tuple[torch.Tensor, torch.Tensor] | SequenceBatch]) -> Samples:
    """All (sample, label) batches of a loader in one piece; of sequences the targets.

    Raises:
        ValueError: there are none.
    """
    pairs = ((batch.target, batch.label) if isinstance(batch, SequenceBatch) else batch for batch in batches)
    samples, labels = zip(*pairs, strict=True)
    return Samples(torch.cat(samples), torch.cat(labels))
