"""Judges a trained model by metrics of its samples: draws, reads the data, stamps the numbers."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from genlab.checkpoint import load_data
from genlab.metrics.judging import Judgement, gather, judge
from genlab.metrics.sample_metric import SampleMetric, Samples, Work
from genlab.seeding import seeded
from genlab.sequence_contracts import SequenceBatch
from genlab.tables import duration

log = logging.getLogger("genlab")

_AT_ONCE = 500
"""Samples drawn at a time."""

_WORTH_TELLING = 5.0
"""Seconds from which on an estimate is worth a line."""


def judge_samples(
    model: Any, metrics: Mapping[str, SampleMetric], *, seed: int, trust: Sequence[str] = ()
) -> dict[str, Judgement]:
    """What the metrics say of a model, by the metric's name.

    Args:
        model: from `load_model`.
        metrics: by name.
        seed: of the samples.
        trust: further packages whose constructors the checkpoint may call.

    Raises:
        UserError: the data is not to be had, or a metric means nothing for it.
    """
    if not metrics:
        return {}
    # in one order for all runs: what is learned of the training samples is learned once
    datamodule = load_data(model, trust=trust, changes={"seed": 0, "drop_last": False})
    loaders = {"train": datamodule.train_dataloader, "test": datamodule.test_dataloader}
    judged = judge(
        metrics,
        facts=_facts(model, datamodule),
        draw=lambda n: draw(model, n, seed=seed),
        read=lambda split: _read(datamodule, loaders[split](), seed),
        tell=_tell,
    )
    whose = {"weights": model.weights, "seed": seed, "step": model.checkpoint_step}
    return {name: one._replace(stamp={**one.stamp, **whose}) for name, one in judged.items()}


def _tell(name: str, work: Work) -> None:
    if work.seconds >= _WORTH_TELLING:
        log.info(f"{name} {work.what}: about {duration(work.seconds)}")


def _read(datamodule: Any, batches: Iterable[Any], seed: int) -> Samples:
    """All of a split; sequences as a model sees them, binarized where they are, by equal seeds alike."""
    with seeded(seed):
        return gather(
            datamodule.on_after_batch_transfer(batch, 0) if isinstance(batch, SequenceBatch) else batch
            for batch in batches
        )


def _facts(model: Any, datamodule: Any) -> Mapping[str, Any]:
    return {**model.run_config["data"], **datamodule.facts()}


def draw(model: Any, n: int, *, seed: int) -> Samples:
    """Draws n samples in pieces, of a conditional model with the classes in turn, each asked for as often."""
    label = model.classes_of(n) if hasattr(model, "classes_of") else None  # [n]
    pieces = []
    for k, start in enumerate(range(0, n, _AT_ONCE)):
        size = min(_AT_ONCE, n - start)
        asked = {} if label is None else {"label": label[start : start + size]}
        # the seed of a piece follows from the run's, and pieces do not repeat each other
        pieces.append(model.sample(size, seed=seed * 100_003 + k, **asked).cpu())
    return Samples(torch.cat(pieces), None if label is None else label.cpu())
