"""Marginal and autocorrelation distances against numbers worked out by hand."""

import pytest
import torch

from genlab.errors import UserError
from genlab.metrics.sample_metric import Samples
from genlab.metrics.series_distances import (
    AutocorrelationDistance,
    MarginalDistance,
    autocorrelation,
    wasserstein,
)

FACTS = {"columns": ["a"]}


def column(*values):
    return torch.tensor(values)[:, None]


def test_the_distance_of_shifted_values_is_the_shift():
    x = torch.randn(50, 2)
    torch.testing.assert_close(
        wasserstein(x, x + torch.tensor([3.0, -0.5])), torch.tensor([3.0, 0.5]).double()
    )
    torch.testing.assert_close(wasserstein(x, x[torch.randperm(50)]), torch.zeros(2).double())


def test_unequal_numbers_of_values_are_compared_by_their_distributions():
    # half of {0, 1} has to move from 1 to 0: 1/2; {0, 0, 3} against {1}: (1 + 1 + 2) / 3
    assert wasserstein(column(0.0, 1.0), column(0.0)).item() == pytest.approx(0.5)
    assert wasserstein(column(0.0, 0.0, 3.0), column(1.0)).item() == pytest.approx(4 / 3)
    # each value of {0, 1} three times against {0, 1} twice: the same distribution
    assert wasserstein(column(*[0.0, 1.0] * 3), column(*[0.0, 1.0] * 2)).item() == pytest.approx(0)


def test_the_autocorrelation_of_known_series():
    # +1, -1, +1, -1: each step the opposite of the one before, the same as the one before that
    flips = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 4, 1)
    torch.testing.assert_close(autocorrelation(flips, 3).flatten(), torch.tensor([-1.0, 1.0, -1.0]).double())
    # two constant series at 0 and 2: mean 1, deviations -1 and 1 that never change
    levels = torch.stack([torch.zeros(4, 1), torch.full((4, 1), 2.0)])
    torch.testing.assert_close(autocorrelation(levels, 2).flatten(), torch.ones(2).double())
    # 0, 1, 2: deviations -1, 0, 1 with mean square 2/3; lag 1: 0; lag 2: -1 / (2/3)
    torch.testing.assert_close(
        autocorrelation(torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1), 2).flatten(),
        torch.tensor([0.0, -1.5]).double(),
    )
    assert autocorrelation(torch.ones(3, 4, 1), 2).flatten().tolist() == [0, 0]


def judged(metric, fake, train, test):
    metric.prepare(FACTS, Samples(train))
    return metric.compute(Samples(fake), Samples(test))


def test_the_marginal_distance_is_the_mean_over_columns_and_sees_no_order():
    test = torch.rand(30, 5, 2)
    fake = test.flip(0, 1) + torch.tensor([0.2, 0.4])
    numbers = judged(MarginalDistance(), fake, test + 1, test)
    assert numbers == pytest.approx({"distance": 0.3, "distance_real": 1.0}, rel=1e-5)


def test_the_autocorrelation_distance_sees_order_and_no_level():
    flips = torch.tensor([1.0, -1.0] * 4).view(1, 8, 1)
    levels = torch.stack([torch.ones(8, 1), -torch.ones(8, 1)])
    # lags 1 to 4: -1, 1, -1, 1 against 1, 1, 1, 1
    numbers = judged(AutocorrelationDistance(), flips, levels, levels * 5 + 3)
    assert numbers == pytest.approx({"distance": 1.0, "distance_real": 0.0})
    assert judged(AutocorrelationDistance(lags=1), flips, levels, levels)["distance"] == pytest.approx(2.0)


def test_the_training_windows_can_be_held_against():
    test, train = torch.zeros(4, 3, 1), torch.ones(4, 3, 1)
    numbers = judged(MarginalDistance(split="train"), torch.full((4, 3, 1), 0.9), train, test)
    assert numbers == pytest.approx({"distance": 0.1, "distance_real": 1.0}, rel=1e-5)


def test_the_protocol_is_stamped():
    assert MarginalDistance(n=7).stamp() == {
        "fakes": 7, "split": "test", "of": "Wasserstein-1 of a column, all steps together",
    }  # fmt: skip
    assert AutocorrelationDistance(lags=3, split="train").stamp() == {
        "fakes": 2500,
        "split": "train",
        "lags": 3,
    }
    assert MarginalDistance(n=7).needs() == (7, True, True)


def test_what_cannot_be_judged_is_refused():
    def refused(sentence, action):
        with pytest.raises(UserError) as error:
            action()
        assert str(error.value) == sentence

    x = torch.rand(4, 3, 1)
    refused(
        "metrics=marginal needs series of real values, such as data=sines or data=csv; this data has none",
        lambda: MarginalDistance().prepare({"num_classes": 10}, None),
    )
    refused(
        "some samples are not finite: the model has diverged",
        lambda: judged(MarginalDistance(), x / 0 * 0, x, x),
    )
    refused(
        "samples of [2, 1] steps and columns cannot be held against windows of [3, 1]",
        lambda: judged(MarginalDistance(), x[:, :2], x, x),
    )
    refused(
        "metrics=series judges series of real values [n, T, D], and the samples are [4, 3, 1] whole numbers",
        lambda: judged(MarginalDistance(), x.long(), x, x),
    )
    refused(
        "metrics=series judges series of real values [n, T, D], and the samples are [4, 3]",
        lambda: judged(MarginalDistance(), x[..., 0], x, x),
    )
    refused(
        "metrics.autocorrelation.lags must be below the 3 steps of a window, got 3",
        lambda: judged(AutocorrelationDistance(lags=3), x, x, x),
    )
    refused("metrics.autocorrelation.lags must be above 0, got 0", lambda: AutocorrelationDistance(lags=0))
    refused("metrics.marginal.n must be above 0, got 0", lambda: MarginalDistance(n=0))
    refused("metrics.marginal.split must be test or train, got val", lambda: MarginalDistance(split="val"))
