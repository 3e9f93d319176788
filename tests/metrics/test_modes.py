"""Modes and histograms against numbers worked out by hand."""

import math

import pytest
import torch

from genlab.data.planes import Grid, Ring
from genlab.data.points import PointData
from genlab.errors import UserError
from genlab.metrics.histograms import counts, reverse_kl
from genlab.metrics.modes import Modes, report_modes
from genlab.metrics.sample_metric import Samples


def close(actual, expected, **tolerance):
    torch.testing.assert_close(
        torch.tensor(actual).double(),
        torch.tensor(expected).double(),
        **{"rtol": 1e-12, "atol": 1e-12} | tolerance,
    )


def test_the_kl_of_known_histograms():
    close(reverse_kl(torch.tensor([5, 5, 5, 5])), 0.0)
    # all samples in one of four modes: log(1 / (1/4)) = log 4
    close(reverse_kl(torch.tensor([7, 0, 0, 0])), math.log(4))
    # half and half of four: 2 * 1/2 log(1/2 / (1/4)) = log 2
    close(reverse_kl(torch.tensor([3, 3, 0, 0])), math.log(2))
    # p = 3/4, 1/4 against q = 1/2, 1/2: 3/4 log(3/2) + 1/4 log(1/2)
    close(reverse_kl(torch.tensor([3, 1])), 0.75 * math.log(1.5) + 0.25 * math.log(0.5))


def test_the_kl_against_counts_of_the_data_is_that_of_shares():
    # p = 1/2, 1/2; q = 1/4, 3/4: 1/2 log 2 + 1/2 log(2/3)
    close(reverse_kl(torch.tensor([1, 1]), torch.tensor([10, 30])), 0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert reverse_kl(torch.tensor([1, 1]), torch.tensor([1, 0])) == math.inf
    close(reverse_kl(torch.tensor([1, 0]), torch.tensor([1, 1])), math.log(2))


def test_an_empty_histogram_is_refused():
    with pytest.raises(ValueError, match="^a histogram without a single sample has no distribution$"):
        reverse_kl(torch.tensor([0, 0]))


def test_classes_that_nothing_falls_on_are_counted_as_zero():
    assert counts(torch.tensor([1, 1, 3]), 5).tolist() == [0, 2, 0, 1, 0]


LINE = torch.tensor([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]])


def test_three_sigma_is_the_border_of_high_quality():
    # distances from (0, 0) with sigma 1: 3 exactly, twice, and a little more
    point = torch.tensor([[3.0, 0.0], [0.0, -3.0], [-3.001, 0.0], [2.5, 1.7]])
    report = report_modes(point, LINE.double(), 1.0)
    assert (report.covered, report.high_quality) == (1, 0.5)
    assert report_modes(point, LINE, 1.0, within=3.1).high_quality == 1.0


def test_one_good_sample_covers_a_mode_and_a_bad_one_does_not():
    point = torch.tensor([[0.0, 0.0], [10.5, 0.0], [16.0, 0.0], [17.5, 0.0]])
    # at sigma 1/3 a sample is good up to 1: the last two are nearest to the third mode, but 4 and 2.5 away
    report = report_modes(point, LINE, 1 / 3)
    assert (report.covered, report.high_quality) == (2, 0.5)
    # the histogram counts bad ones, too: 1/4, 1/4, 1/2 against thirds
    close(report.reverse_kl, 0.5 * math.log(0.75) + 0.5 * math.log(1.5))


@pytest.mark.parametrize("plane", [Ring(), Grid()], ids=["ring", "grid"])
def test_the_data_itself_covers_all_modes_and_has_the_quality_of_a_gaussian(plane):
    data = PointData(points=plane, num_test=20_000)
    data.setup("test")
    metric = Modes(n=20_000)
    metric.prepare(data.facts())
    numbers = metric.compute(Samples(torch.cat([batch.point for batch in data.test_dataloader()])))
    assert numbers["modes"] == plane.num_classes
    # in two dimensions P(distance <= 3 sigma) = 1 - exp(-9/2) = .98889, known to 4 * .00074 here
    close(numbers["high_quality"], 1 - math.exp(-4.5), atol=0.003)
    # KL of a histogram of n draws from K equal modes is about (K - 1) / 2n
    assert numbers["modes_kl"] < 2 * (plane.num_classes - 1) / 40_000


def test_a_collapsed_model_is_told():
    metric = Modes(n=100)
    metric.prepare(ring_facts())
    numbers = metric.compute(Samples(torch.tensor([[1.0, 0.0]]).expand(100, 2)))
    assert (numbers["modes"], numbers["high_quality"]) == (1, 1.0)
    close(numbers["modes_kl"], math.log(8))
    assert metric.stamp() == {"fakes": 100, "within_sigmas": 3.0, "of_modes": 8}


def ring_facts():
    return PointData(points=Ring()).facts()


def test_what_cannot_be_judged_is_refused():
    metric = Modes()
    with pytest.raises(
        UserError, match="^metrics=modes needs data with known modes, data=ring or data=grid;"
    ):
        metric.prepare({"num_classes": 10})
    metric.prepare(ring_facts())
    with pytest.raises(UserError, match="^some samples are not finite: the model has diverged$"):
        metric.compute(Samples(torch.tensor([[math.nan, 0.0]])))
    with pytest.raises(UserError, match="n must be at least 1 and within above 0, got 0 and 3.0$"):
        Modes(n=0)
