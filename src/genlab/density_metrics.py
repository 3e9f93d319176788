"""Judges a trained model by metrics of its density and its latents: reads the images, says how long, stamps."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from genlab.contracts import ImageBatch
from genlab.errors import UserError
from genlab.metrics.density_metric import DensityMetric, Verdict
from genlab.seeding import seeded
from genlab.sequence_contracts import SequenceBatch
from genlab.tables import duration

log = logging.getLogger("genlab")

_WORTH_TELLING = 5.0
"""Seconds from which on an estimate is worth a line."""


class DensityJudgement(NamedTuple):
    """What one metric says, and the protocol it was made by."""

    verdict: Verdict
    stamp: dict[str, Any]


def judge_density(
    model: Any, metrics: Mapping[str, DensityMetric], datamodule: Any, *, seed: int
) -> dict[str, DensityJudgement]:
    """What the metrics say of a model on test images, by the metric's name.

    Args:
        model: from `load_model`.
        metrics: by name.
        datamodule: the model's data, with its test split read.
        seed: of the noise; each metric draws its own.

    Raises:
        UserError: a metric means nothing for this model or data.
    """
    judged = {}
    for name, metric in metrics.items():
        metric.check(model)
        batch = gather_rows(datamodule, metric.rows(datamodule.num_test))
        with seeded(seed, model.device):
            seconds = metric.seconds(model, batch)
        if seconds >= _WORTH_TELLING:
            log.info(f"{name} on {len(batch.image):,} test images: about {duration(seconds)}")
        with seeded(seed, model.device):
            verdict = metric.compute(model, batch)
        whose = {"weights": model.weights, "seed": seed, "step": model.checkpoint_step}
        unit = getattr(getattr(model, "likelihood", None), "unit", None)
        judged[name] = DensityJudgement(verdict, {**metric.stamp(), "unit": unit, **whose})
    return judged


def gather_rows(datamodule: Any, rows: torch.Tensor) -> ImageBatch:
    """The test images of ascending numbers `[n]`, as the data holds them; no more than those in memory.

    Raises:
        UserError: the data is no images.
    """
    wanted = torch.zeros(datamodule.num_test, dtype=torch.bool)
    wanted[rows] = True
    parts = []
    for batch in datamodule.test_dataloader():
        if not isinstance(batch, ImageBatch):
            raise UserError(
                f"likelihood, nll and latents judge models of images, and this data has none: {_instead(datamodule, batch)}"
            )
        here, wanted = wanted[: len(batch.image)], wanted[len(batch.image) :]
        if here.any():
            parts.append(ImageBatch(batch.image[here], batch.label[here]))
    return ImageBatch(torch.cat([p.image for p in parts]), torch.cat([p.label for p in parts]))


def _instead(datamodule: Any, batch: object) -> str:
    """What to ask for where images are wanted and there are none."""
    if not isinstance(batch, SequenceBatch):
        return "leave metrics out, or give metrics=none"
    rows = "series" if datamodule.facts().get("columns") else "none"  # of images
    option = rows if batch.target.is_floating_point() else "text"
    return f"test/loss is the negative log-likelihood already, or a bound of it; leave metrics out, or give metrics={option}"
