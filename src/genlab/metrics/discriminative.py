"""Discriminative score: how well a small recurrent classifier tells samples from real series.

TimeGAN (Yoon et al. 2019, section 5). Letters in shapes: n series, T steps, D values of a step.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

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

TRAINED_ON = 0.8
"""The part of both kinds that the classifier learns from; it is judged on the rest."""

FEWEST = 10


class DiscriminativeScore(SampleMetric):
    """|accuracy - 1/2| of a GRU that was trained to tell samples from real windows: 0 is best, 0.5 worst.

    With 500 held-out series of each kind the accuracy has a standard error of .016, so that real series do
    not score 0 exactly; and those of another time may be easy to tell. `score_real` says how much of both.
    """

    def __init__(
        self,
        *,
        n: int = 2500,
        iterations: int = 500,
        batch_size: int = 128,
        lr: float = 1e-2,
        hidden: int | None = None,
        repeats: int = 1,
        split: Split = "test",
        reference: bool = True,
        seed: int = 0,
    ) -> None:
        """Sets the protocol.

        Args:
            n: samples, and real windows, at most; at least 10.
            iterations: updates of the classifier, at least 1; 2000 in TimeGAN's code.
            batch_size: series of each kind in an update, at least 1.
            lr: of Adam, above 0; 0.001 in TimeGAN's code.
            hidden: units of the GRU, at least 1; None: half of D, as in TimeGAN's code.
            repeats: classifiers to average over, at least 1; 10 in TimeGAN's code.
            split: the real windows: test | train.
            reference: whether windows of the other split are judged, too, in the place of samples.
            seed: of weights and batches; not the run's.

        Raises:
            UserError: a number out of its range.
        """
        check_numbers("discriminative", iterations=iterations, batch_size=batch_size, lr=lr, repeats=repeats)
        check_numbers("discriminative", hidden=1 if hidden is None else hidden)
        if n < FEWEST:
            raise UserError(f"metrics.discriminative.n must be at least {FEWEST}, got {n}")
        self.repeats = Repeats("discriminative", split, reference, repeats, seed)
        self.n, self.iterations, self.batch_size, self.lr, self.hidden = n, iterations, batch_size, lr, hidden
        self._train: Samples | None = None
        self._judged = 0

    def needs(self) -> Needs:
        return Needs(fakes=self.n, train=True, test=True)

    def prepare(self, facts: Mapping[str, Any], train: Samples | None) -> None:
        """Keeps the training windows.

        Raises:
            UserError: the data is no series.
        """
        refuse_other_data("discriminative", facts)
        self._train = train

    def work(self, fake: Samples, test: Samples | None) -> Work:
        real, _ = real_and_reference(self._train, test, self.repeats.split)
        samples = like(series_of(fake, "samples"), real)
        return self.repeats.work(
            lambda x: self._training(real, x),
            samples,
            iterations=self.iterations,
            lr=self.lr,
            task="to tell samples from real series",
        )

    def compute(self, fake: Samples, test: Samples | None) -> dict[str, float]:
        """`score`, and `score_real` of windows in the place of samples; with repeats their deviations.

        Raises:
            UserError: the samples are no such series, or there are too few.
        """
        real, reference = real_and_reference(self._train, test, self.repeats.split)
        samples = like(series_of(fake, "samples"), real)
        self._judged = min(self.n, len(real), len(samples))  # of the reference it may be fewer
        return self.repeats.numbers(lambda x: self._score(real, x), samples, reference)

    def _score(self, real: Tensor, fake: Tensor) -> float:
        """The score of real `[N, T, D]` against fake ones `[n, T, D]`, by one classifier."""
        count = min(self.n, len(real), len(fake))
        if count < FEWEST:
            raise UserError(
                f"metrics.discriminative needs {FEWEST} series of each kind, there are {len(real)} real ones and"
                f" {len(fake)} samples"
            )
        real, fake = drawn(real, count), drawn(fake, count)
        learnt = int(TRAINED_ON * count)
        net, loss = self._training(real[:learnt], fake[:learnt])
        minimise(net, loss, iterations=self.iterations, lr=self.lr)
        with torch.no_grad():
            right = torch.cat([_logit(net, real[learnt:]) > 0, _logit(net, fake[learnt:]) <= 0])
        return abs(float(right.double().mean()) - 0.5)

    def _training(self, real: Tensor, fake: Tensor) -> Training:
        net = Judge(inputs=real.shape[2], hidden=self.hidden or max(1, real.shape[2] // 2), outputs=1)
        return Training(
            net, lambda: self._loss(net, drawn(real, self.batch_size), drawn(fake, self.batch_size))
        )

    @staticmethod
    def _loss(net: Judge, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of both kinds, each averaged over its own and then summed."""
        logit = _logit(net, torch.cat([real, fake]))
        is_real = torch.cat([torch.ones(len(real)), torch.zeros(len(fake))])
        return 2 * binary_cross_entropy_with_logits(logit, is_real)

    def stamp(self) -> dict[str, Any]:
        return {
            "fakes": self.n,
            "judged_of_each_kind": self._judged,
            "trained_on": TRAINED_ON,
            "judge": f"GRU, {self.hidden or 'half of the columns'} units",
            "iterations": self.iterations,
            "batch_size": self.batch_size,
            "lr": self.lr,
            **self.repeats.stamp(),
        }


def _logit(net: Judge, x: Tensor) -> Tensor:
    """Logit `[B]` of `[B, T, D]`, high where it seems real: that of the last step."""
    return net(x)[:, -1, 0]
