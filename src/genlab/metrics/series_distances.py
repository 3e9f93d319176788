"""Distances of samples from real series that need no training: of values, and of what they remember.

Letters in shapes: n, N series, T steps, D values of a step, K lags.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genlab.errors import UserError
from genlab.metrics.sample_metric import Needs, SampleMetric, Samples
from genlab.metrics.series_judges import (
    Split,
    check_numbers,
    check_split,
    like,
    real_and_reference,
    refuse_other_data,
    series_of,
)


def wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """Wasserstein-1 distances `[D]` of the columns of `[n, D]` and `[N, D]`: the area between distributions.

    W1 = integral |F_a(x) - F_b(x)| dx over the line, exact for any n and N.
    """
    both = torch.cat([a, b]).double()  # [n + N, D]
    order = both.argsort(0)
    mass = both.new_full((len(both),), 1 / len(a))
    mass[len(a) :] = -1 / len(b)
    gap = mass[order].cumsum(0)[:-1].abs()  # |F_a - F_b| between neighbours
    return (gap * both.gather(0, order).diff(dim=0)).sum(0)


def autocorrelation(x: Tensor, lags: int) -> Tensor:
    """Autocorrelations `[K, D]` at lags 1 to K of series `[n, T, D]`, all series of a column taken together.

    C(k) = mean (x_t - m)(x_{t+k} - m) / mean (x_t - m)^2, m the mean over series and steps; that of a column
    that never changes is 0.
    """
    x = x.double()
    x = x - x.mean((0, 1))
    variance = x.square().mean((0, 1))
    found = [(x[:, k:] * x[:, :-k]).mean((0, 1)) for k in range(1, lags + 1)]
    return torch.where(variance > 0, torch.stack(found) / variance.clamp(min=1e-300), 0.0)


class SeriesDistance(SampleMetric):
    """Interface of both: they hold samples against the windows of a split, in the model's scale."""

    name: str

    def __init__(self, n: int, split: Split) -> None:
        check_numbers(self.name, n=n)
        check_split(self.name, split)
        self.n, self.split = n, split
        self._train: Samples | None = None

    def needs(self) -> Needs:
        return Needs(fakes=self.n, train=True, test=True)

    def prepare(self, facts: Mapping[str, Any], train: Samples | None) -> None:
        """Keeps the training windows.

        Raises:
            UserError: the data is no series.
        """
        refuse_other_data(self.name, facts)
        self._train = train

    def compute(self, fake: Samples, test: Samples | None) -> dict[str, float]:
        """`distance` of the samples, and `distance_real` of the windows of the other split.

        Raises:
            UserError: the samples are no such series.
        """
        real, reference = real_and_reference(self._train, test, self.split)
        samples = like(series_of(fake, "samples"), real)
        return {"distance": self.between(samples, real), "distance_real": self.between(reference, real)}

    def between(self, fake: Tensor, real: Tensor) -> float:
        """The distance of `[n, T, D]` from `[N, T, D]`."""
        raise NotImplementedError

    def stamp(self) -> dict[str, Any]:
        return {"fakes": self.n, "split": self.split}


class MarginalDistance(SeriesDistance):
    """Mean over columns of the Wasserstein-1 distance between the values of samples and of real windows.

    Values of all steps are taken together, as in Quant GANs (Wiese et al. 2020, arXiv:1907.06673),
    there called earth mover's distance: it does not see when something happens, the next one does.
    """

    name = "marginal"

    def __init__(self, *, n: int = 2500, split: Split = "test") -> None:
        """Sets the protocol.

        Args:
            n: samples, at least 1.
            split: the real windows: test | train.

        Raises:
            UserError: a number out of its range.
        """
        super().__init__(n, split)

    def between(self, fake: Tensor, real: Tensor) -> float:
        return float(wasserstein(fake.flatten(0, 1), real.flatten(0, 1)).mean())

    def stamp(self) -> dict[str, Any]:
        return {**super().stamp(), "of": "Wasserstein-1 of a column, all steps together"}


class AutocorrelationDistance(SeriesDistance):
    """Mean over columns and lags of |autocorrelation of samples - that of real windows|: 0 is best, 2 the most.

    The autocorrelation score of Quant GANs (Wiese et al. 2020), its norm averaged so that
    numbers of unlike lags and columns can be read alike.
    """

    name = "autocorrelation"

    def __init__(self, *, n: int = 2500, lags: int | None = None, split: Split = "test") -> None:
        """Sets the protocol.

        Args:
            n: samples, at least 1.
            lags: K, from 1 on, below T; None: half of the window.
            split: the real windows: test | train.

        Raises:
            UserError: a number out of its range.
        """
        super().__init__(n, split)
        check_numbers(self.name, lags=1 if lags is None else lags)
        self.lags = lags

    def between(self, fake: Tensor, real: Tensor) -> float:
        steps = real.shape[1]
        lags = max(1, steps // 2) if self.lags is None else self.lags
        if lags >= steps:
            raise UserError(
                f"metrics.autocorrelation.lags must be below the {steps} steps of a window, got {lags}"
            )
        return float((autocorrelation(fake, lags) - autocorrelation(real, lags)).abs().mean())

    def stamp(self) -> dict[str, Any]:
        return {**super().stamp(), "lags": self.lags or "half of the window"}
