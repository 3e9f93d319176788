"""Modes of 2-D mixtures: how many a model covers, how well, and how evenly.

Protocol of VEEGAN (Srivastava et al. 2017, arXiv:1705.07761) and PacGAN (Lin et al. 2018, arXiv:1712.04086).
Letters in shapes: n samples, K modes, D dimensions.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlab.errors import UserError
from genlab.metrics.histograms import counts, reverse_kl
from genlab.metrics.sample_metric import Needs, SampleMetric, Samples


class ModeReport(NamedTuple):
    """What is counted of samples and modes.

    Attributes:
        covered: modes that are nearest to at least one high-quality sample.
        high_quality: share of samples that are, 0 to 1.
        reverse_kl: of the histogram of nearest modes, over all samples, against all modes alike; nats.
    """

    covered: int
    high_quality: float
    reverse_kl: float


def report_modes(point: Tensor, centers: Tensor, sigma: float, *, within: float = 3.0) -> ModeReport:
    """Assigns each sample to its nearest mode; it is of high quality within some sigmas of that.

    One such sample covers a mode, as in both papers; others ask for more. The histogram counts every sample
    at its nearest mode, good or not.

    Args:
        point: `[n, D]` samples, n at least 1.
        centers: `[K, D]` modes.
        sigma: the standard deviation of each mode, along each axis.
        within: how many sigmas away a sample still is of high quality.
    """
    distance, nearest = _distances(point.double(), centers.double()).min(1)  # [n], [n]
    good = distance <= within * sigma
    num_modes = len(centers)
    return ModeReport(
        covered=int((counts(nearest[good], num_modes) > 0).sum()),
        high_quality=float(good.double().mean()),
        reverse_kl=reverse_kl(counts(nearest, num_modes)),
    )


def _distances(point: Tensor, centers: Tensor) -> Tensor:
    """Euclidean distances `[n, K]`; cdist takes its exact way, not the one over matrix products."""
    return torch.cdist(point, centers, compute_mode="donot_use_mm_for_euclid_dist")


class Modes(SampleMetric):
    """Modes covered, high-quality share and reverse KL for points whose modes are known."""

    def __init__(self, *, n: int = 2500, within: float = 3.0) -> None:
        """Sets the protocol; the papers' is the default.

        Args:
            n: samples of the model, at least 1.
            within: sigmas from its nearest mode up to which a sample is of high quality, above 0.

        Raises:
            UserError: a number out of its range.
        """
        if n < 1 or within <= 0:
            raise UserError(f"metrics.modes.n must be at least 1 and within above 0, got {n} and {within}")
        self.n, self.within = n, within
        self._centers = torch.empty(0, 2)
        self._sigma = 0.0

    def needs(self) -> Needs:
        return Needs(fakes=self.n)

    def prepare(self, facts: Mapping[str, Any], train: Samples | None = None) -> None:
        """Takes `centers` and `sigma` from the facts.

        Raises:
            UserError: the data has no such modes.
        """
        if not facts.get("centers") or not facts.get("sigma"):
            raise UserError(
                "metrics=modes needs data with known modes, data=ring or data=grid; for stacked images take"
                " metrics=stacked_modes"
            )
        self._centers, self._sigma = torch.tensor(facts["centers"]), float(facts["sigma"])

    def compute(self, fake: Samples, test: Samples | None = None) -> dict[str, float]:
        """`modes`, `high_quality` (0 to 1) and `modes_kl` (nats).

        Raises:
            UserError: a sample is not finite.
        """
        if not bool(fake.x.isfinite().all()):
            raise UserError("some samples are not finite: the model has diverged")
        report = report_modes(fake.x.cpu(), self._centers, self._sigma, within=self.within)
        return {
            "modes": float(report.covered),
            "high_quality": report.high_quality,
            "modes_kl": report.reverse_kl,
        }

    def stamp(self) -> dict[str, Any]:
        return {"fakes": self.n, "within_sigmas": self.within, "of_modes": len(self._centers)}
