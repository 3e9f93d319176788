"""The importance-sampled log-likelihood against numbers worked out by hand and a model whose density is known."""

import math

import pytest
import torch
from torch import nn

from genlab.contracts import ImageBatch
from genlab.errors import UserError
from genlab.metrics import nll as module
from genlab.metrics.nll import NLL, log_mean_exp
from genlab.metrics.peak_memory import bytes_per_row
from linear_gaussian import drawn, exact_log_prob, linear_gaussian

close = torch.testing.assert_close


def judged(metric: NLL, model, batch: ImageBatch, seed: int = 0):
    torch.manual_seed(seed)
    metric.check(model)
    return metric.compute(model, batch).numbers


def test_the_mean_of_weights_its_variance_and_effective_number_by_hand():
    # weights 1 and 3: mean 2; unbiased variance 2, so 2 / (2 * 2^2) of the log of the mean; (1 + 3)^2 / (1 + 9)
    log_weight = torch.tensor([[1.0], [3.0]]).double().log() - 1000  # far below what exp can hold
    value, variance, effective = log_mean_exp(log_weight)
    close(value, torch.tensor([math.log(2) - 1000]).double())
    close(variance, torch.tensor([0.25]).double())
    close(effective, torch.tensor([1.6]).double())


class OfApple(torch.Tensor):
    """A tensor of a device that refuses double precision, as mps does."""

    device = torch.device("mps")

    def double(self):
        raise TypeError("the MPS framework doesn't support float64")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_a_device_without_double_precision_leaves_that_to_the_cpu():
    here = torch.tensor([[1.0], [3.0]]).log()
    for got, expected in zip(log_mean_exp(here.as_subclass(OfApple)), log_mean_exp(here), strict=True):
        assert type(got) is torch.Tensor
        close(got, expected)


def test_equal_weights_have_no_error_and_all_count():
    value, variance, effective = log_mean_exp(torch.full((7, 2), -80.0))
    close(value, torch.full((2,), -80.0).double())
    close(variance, torch.zeros(2).double())
    close(effective, torch.full((2,), 7.0).double())


def test_the_estimate_is_within_a_twentieth_of_a_nat_of_the_exact_value():
    torch.manual_seed(3)
    batch = drawn(100)
    numbers = judged(NLL(k=500, n=None), linear_gaussian(0.4), batch)
    exact = -exact_log_prob(batch.image)
    assert numbers["nll"].value == pytest.approx(float(exact.mean()), abs=0.05)
    assert numbers["nll"].over_images == pytest.approx(float(exact.std() / 10), rel=0.05)
    assert 50 < numbers["nll_effective_samples"].value < 450


def test_the_monte_carlo_error_covers_the_truth_and_is_no_larger_than_it_need_be():
    torch.manual_seed(3)
    batch, model = drawn(20), linear_gaussian(0.3)
    exact = -float(exact_log_prob(batch.image).mean())
    off = []
    for seed in range(150):
        number = judged(NLL(k=200, n=None), model, batch, seed)["nll"]
        off.append((number.value - exact) / number.monte_carlo)
    off = torch.tensor(off)
    # 95 % within two errors if the error is right, with a standard error of 1.8 % over 150 repetitions
    assert 0.88 < (off.abs() < 2).float().mean() < 0.995
    assert 0.75 < off.std() < 1.25


def test_at_the_true_posterior_one_sample_is_exact_and_says_nothing_of_its_error():
    torch.manual_seed(3)
    batch = drawn(30)
    numbers = judged(NLL(k=1, n=None), linear_gaussian(), batch)
    close(numbers["nll"].value, -float(exact_log_prob(batch.image).mean()), rtol=1e-9, atol=1e-9)
    assert numbers["nll"].monte_carlo is None


def test_the_memory_changes_nothing():
    torch.manual_seed(3)
    batch = drawn(50)
    few, many = (
        judged(NLL(k=600, n=None, memory_mb=mb), linear_gaussian(0.3), batch) for mb in (0.001, 100.0)
    )
    assert few.keys() == many.keys()
    for name in few:
        close(few[name].value, many[name].value, rtol=1e-12, atol=1e-12)


def test_the_memory_is_kept_to():
    model, sizes = linear_gaussian(), []
    model.decoder.register_forward_hook(lambda _, inputs, output: sizes.append(len(inputs[0])))
    for mb in (0.01, 0.1):
        sizes.clear()
        judged(NLL(k=5000, n=None, memory_mb=mb), model, drawn(8))
        # a latent is two doubles, four of the image, and some more of each: a few hundred bytes
        assert 32 * max(sizes) < mb * 2**20 < 2000 * max(sizes)


def test_images_are_spread_evenly_over_the_test_set():
    assert NLL(n=3).rows(11).tolist() == [0, 5, 10]
    assert NLL(n=None).rows(4).tolist() == [0, 1, 2, 3]
    assert NLL(n=9).rows(4).tolist() == [0, 1, 2, 3]
    assert NLL(n=1).rows(4).tolist() == [0]
    rows = NLL(n=1000).rows(10_000)
    assert len(rows.unique()) == 1000 and rows[-1] == 9999


class Exact(nn.Module):
    """A model that knows its density: that of the brightest pixel."""

    device = torch.device("cpu")

    def log_prob(self, image, *, samples=100):
        return image.flatten(1).amax(1)


def test_an_exact_density_is_taken_as_it_is():
    image = torch.tensor([0, 255]).to(torch.uint8).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    metric = NLL(n=None)
    number = judged(metric, Exact(), ImageBatch(image, torch.zeros(2).long()))["nll"]
    assert number.value == 0 and number.monte_carlo is None  # pixels are -1 and 1
    assert number.over_images == pytest.approx(1)  # standard deviation sqrt 2, over sqrt 2
    assert metric.stamp()["estimator"] == "exact" and "k" not in metric.stamp()


def test_the_estimate_of_the_time_is_in_proportion_to_images_and_samples(monkeypatch):
    now = [0.0]

    class Clocked(nn.Module):
        device = torch.device("cpu")

        def log_weights(self, batch, *, samples, chunk):
            now[0] += 0.001 * samples * len(batch.image)
            return torch.zeros(samples, len(batch.image))

    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(module, "bytes_per_row", lambda compute: 10_000)
    metric = NLL(k=500, n=None)
    metric.check(Clocked())
    batch = ImageBatch(torch.zeros(70, 1, 2, 2), torch.zeros(70).long())
    assert metric.seconds(Clocked(), batch) == pytest.approx(0.001 * 500 * 70)


def test_the_stamp_says_what_was_done():
    metric = NLL(k=5000, n=None)
    metric.check(linear_gaussian())
    assert metric.stamp() == {
        "estimator": "importance sampling", "k": 5000, "n": None, "images": "all", "split": "test",
    }  # fmt: skip


def test_live_tensors_are_counted_and_freed_ones_are_not():
    # rows of 100 floats are 400 bytes
    assert bytes_per_row(lambda rows: torch.zeros(rows, 100)) == 400
    assert bytes_per_row(lambda rows: (torch.zeros(rows, 100) + 1).sum()) == 800
    assert bytes_per_row(lambda rows: (torch.zeros(rows, 100) + 1 + 1 + 1).sum()) == 800
    assert bytes_per_row(lambda rows: torch.zeros(rows, 100).add_(1).view(-1)[5:].unsqueeze(0)) == 400
    there = torch.zeros(16, 100)
    assert bytes_per_row(lambda rows: there[:rows].add_(1).view(-1)) == 1  # nothing new


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"k": 0}, "metrics.nll.k must be at least 1, got 0"),
        ({"n": 0}, "metrics.nll.n must be at least 1, or null for all, got 0"),
        ({"memory_mb": 0.0}, "metrics.nll.memory_mb must be above 0, or null, got 0.0"),
    ],
)
def test_impossible_numbers_are_told(settings, sentence):
    with pytest.raises(UserError) as error:
        NLL(**settings)
    assert str(error.value) == sentence


def test_a_model_without_a_density_is_named():
    with pytest.raises(UserError) as error:
        NLL().check(nn.Identity())
    assert str(error.value) == (
        "metrics.nll needs a model with a density, and Identity has no log_prob and no log_weights: "
        "give metrics.nll=null"
    )
