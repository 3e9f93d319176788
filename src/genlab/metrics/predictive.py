"""Predictive score: how well a predictor that has only seen samples foretells real series.

TimeGAN (Yoon et al. 2019, section 5): train on synthetic, test on real.
Letters in shapes: n series, T steps, D values of a step.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from genlab.errors import UserError
from genlab.metrics.sample_metric import Needs, SampleMetric, Samples, Work
from genlab.metrics.series_judges import (
    Judge,
    Repeats,
    Split,
    Training,
    check_numbers,
    drawn,
    like,
    minimise,
    real_and_reference,
    refuse_other_data,
    series_of,
)

Foretold = Literal["last", "all"]


class PredictiveScore(SampleMetric):
    """Mean absolute error on real windows, in the model's scale, of a GRU trained on samples.

    What it foretells at each step is, as in TimeGAN's code and all figures made by it, the last column of the
    next step from the other columns of this one; or, as in its paper, the next step from this one, which
    says more where columns do not depend on each other. `score_real` is that of a GRU trained on real
    training windows: what a perfect model would reach.
    """

    def __init__(
        self,
        *,
        n: int = 2500,
        iterations: int = 1000,
        batch_size: int = 128,
        lr: float = 1e-2,
        hidden: int | None = None,
        foretold: Foretold = "last",
        repeats: int = 1,
        split: Split = "test",
        reference: bool = True,
        seed: int = 0,
    ) -> None:
        """Sets the protocol.

        Args:
            n: samples, at least 1.
            iterations: updates of the predictor, at least 1; 5000 in TimeGAN's code.
            batch_size: samples in an update, at least 1.
            lr: of Adam, above 0; 0.001 in TimeGAN's code.
            hidden: units of the GRU, at least 1; None: half of D, as in TimeGAN's code.
            foretold: last (column, from the others) | all (columns, from all); of a single column it is all.
            repeats: predictors to average over, at least 1; 10 in TimeGAN's code.
            split: the real windows: test | train.
            reference: whether a predictor is trained on real windows of the other split, too.
            seed: of weights and batches; not the run's.

        Raises:
            UserError: a number out of its range.
        """
        check_numbers("predictive", n=n, iterations=iterations, batch_size=batch_size, lr=lr, repeats=repeats)
        check_numbers("predictive", hidden=1 if hidden is None else hidden)
        if foretold not in get_args(Foretold):
            raise UserError(f"metrics.predictive.foretold must be last or all, got {foretold}")
        self.repeats = Repeats("predictive", split, reference, repeats, seed)
        self.n, self.iterations, self.batch_size, self.lr, self.hidden = n, iterations, batch_size, lr, hidden
        self.foretold = foretold
        self._train: Samples | None = None
        self._bounded = False

    def needs(self) -> Needs:
        return Needs(fakes=self.n, train=True, test=True)

    def prepare(self, facts: Mapping[str, Any], train: Samples | None) -> None:
        """Keeps the training windows.

        Raises:
            UserError: the data is no series.
        """
        refuse_other_data("predictive", facts)
        self._train = train

    def work(self, fake: Samples, test: Samples | None) -> Work:
        return self.repeats.work(
            self._training,
            series_of(fake, "samples"),
            iterations=self.iterations,
            lr=self.lr,
            task="to foretell series",
        )

    def compute(self, fake: Samples, test: Samples | None) -> dict[str, float]:
        """`score`, and `score_real` of windows in the place of samples; with repeats their deviations.

        Raises:
            UserError: the samples are no such series.
        """
        real, reference = real_and_reference(self._train, test, self.repeats.split)
        samples = like(series_of(fake, "samples"), real)
        self._bounded = bool((real >= 0).all() and (real <= 1).all())
        return self.repeats.numbers(lambda x: self._score(real, x), samples, reference)

    def _score(self, real: Tensor, learnt: Tensor) -> float:
        """The error on real `[N, T, D]` of one predictor trained on `[n, T, D]`."""
        net, loss = self._training(learnt)
        minimise(net, loss, iterations=self.iterations, lr=self.lr)
        with torch.no_grad():
            return float(self._error(net, real))

    def _training(self, learnt: Tensor) -> Training:
        width, last = learnt.shape[2], self._last(learnt)
        net = Judge(
            inputs=width - 1 if last else width,
            hidden=self.hidden or max(1, width // 2),
            outputs=1 if last else width,
        )
        return Training(net, lambda: self._error(net, drawn(learnt, self.batch_size)))

    def _error(self, net: Judge, x: Tensor) -> Tensor:
        before, after = (x[:, :-1, :-1], x[:, 1:, -1:]) if self._last(x) else (x[:, :-1], x[:, 1:])
        out = net(before)
        return ((out.sigmoid() if self._bounded else out) - after).abs().mean()

    def _last(self, x: Tensor) -> bool:
        """Whether of series `[n, T, D]` the last column is foretold, from the others."""
        return self.foretold == "last" and x.shape[2] > 1

    def stamp(self) -> dict[str, Any]:
        return {
            "fakes": self.n,
            "foretold": self.foretold,
            "judge": f"GRU, {self.hidden or 'half of the columns'} units",
            "output": "sigmoid" if self._bounded else "linear",
            "iterations": self.iterations,
            "batch_size": self.batch_size,
            "lr": self.lr,
            **self.repeats.stamp(),
        }
