"""The recurrent judges: they find no difference where there is none, and learn what there is to learn."""

import math

import pytest
import torch

from genlab.errors import UserError
from genlab.metrics.discriminative import DiscriminativeScore
from genlab.metrics.predictive import PredictiveScore
from genlab.metrics.sample_metric import Samples

FACTS = {"columns": ["a", "b"]}
QUICK = {"iterations": 150, "batch_size": 64, "lr": 0.03, "hidden": 4}


def walks(n, seed, columns=2):
    """Series whose second column is the first one, a step later; both between 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    line = torch.rand(n, 7, generator=generator)
    return torch.stack([line[:, 1:], line[:, :-1]], 2)[..., :columns]  # [n, 6, 2]


def noise(n, seed):
    return torch.rand(n, 6, 2, generator=torch.Generator().manual_seed(seed))


TRAIN, TEST = walks(400, 1), walks(400, 2)


def judged(metric, fake, train=TRAIN, test=TEST):
    metric.prepare(FACTS, Samples(train))
    return metric.compute(Samples(fake), Samples(test))


def test_real_series_cannot_be_told_from_real_ones_and_other_ones_can():
    metric = DiscriminativeScore(**QUICK)
    same = judged(metric, walks(400, 3))
    # 160 held-out series: half of them right, give or take .04; three times that
    assert same["score"] < 0.12 and same["score_real"] < 0.12
    shifted = judged(metric, walks(400, 3) + 1)
    assert shifted["score"] == 0.5 and shifted["score_real"] == same["score_real"]
    later = walks(400, 3)
    later[:, 1:] += 1
    metric = DiscriminativeScore(**QUICK, reference=False)
    assert judged(metric, later)["score"] > 0.45  # what comes after the first step is seen, too


def test_the_classifier_is_judged_on_series_that_it_has_not_seen():
    # with 32 units it learns 32 series of each kind by heart: on those it would be right always, score .5
    learnt = {"n": 40, "iterations": 250, "batch_size": 32, "lr": 0.03, "hidden": 32}
    assert judged(DiscriminativeScore(**learnt, reference=False), walks(40, 3))["score"] < 0.4


def test_a_difference_between_the_splits_shows_in_the_reference():
    numbers = judged(DiscriminativeScore(**QUICK), TEST, train=TRAIN + 1)
    assert numbers["score_real"] == 0.5 and numbers["score"] < 0.12


def test_the_training_windows_can_be_held_against():
    assert judged(DiscriminativeScore(**QUICK, split="train"), walks(400, 3), test=TEST + 1)["score"] < 0.12


def test_equal_seeds_give_equal_scores_and_the_global_stream_is_left_alone():
    state = torch.get_rng_state()
    first, again, other = (
        judged(DiscriminativeScore(n=100, iterations=5, seed=seed), noise(100, 3)) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), state)
    first, again, other = (
        judged(PredictiveScore(n=100, iterations=5, seed=seed), noise(100, 3)) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), state)


def test_as_many_of_each_kind_are_judged():
    metric = DiscriminativeScore(n=50, iterations=1)
    judged(metric, noise(50, 3))
    assert metric.stamp()["judged_of_each_kind"] == 50
    judged(metric, noise(50, 3), test=TEST[:20])
    assert metric.stamp()["judged_of_each_kind"] == 20
    metric = DiscriminativeScore(n=50, iterations=1, split="train")
    judged(metric, noise(50, 3), test=TEST[:20])  # of these, the reference, there are fewer
    assert metric.stamp()["judged_of_each_kind"] == 50


def test_a_predictor_trained_on_real_series_beats_one_trained_on_noise():
    metric = PredictiveScore(**QUICK)
    numbers = judged(metric, noise(400, 3))
    # the second column of the next step is the first one of this: it can be foretold almost exactly; of
    # noise one learns to say 1/2, and |u - 1/2| of an even u is 1/4 in the mean
    assert numbers["score_real"] < 0.06
    assert numbers["score"] == pytest.approx(0.25, abs=0.02)
    assert judged(metric, walks(400, 3))["score"] == pytest.approx(numbers["score_real"], abs=0.02)


def test_the_whole_next_step_can_be_foretold_from_the_whole_of_this_one():
    numbers = judged(PredictiveScore(**QUICK, foretold="all"), noise(400, 3))
    # the first column of the next step is new: .25; the second is known: 0
    assert numbers["score_real"] == pytest.approx(0.125, abs=0.04) and numbers["score"] > 0.23


def test_a_single_column_is_foretold_from_itself():
    steps = torch.linspace(0, 0.5, 6).view(1, 6, 1) + 0.5 * torch.rand(300, 1, 1)
    numbers = judged(PredictiveScore(**QUICK), 1 - steps, train=steps, test=steps)
    assert numbers["score_real"] < 0.06 < numbers["score"]


def test_values_beyond_zero_to_one_are_foretold_without_a_sigmoid():
    metric = PredictiveScore(**QUICK)
    numbers = judged(metric, 3 * walks(400, 3), train=3 * TRAIN, test=3 * TEST)
    assert metric.stamp()["output"] == "linear" and numbers["score"] < 0.4  # of noise 3/4
    judged(metric, walks(400, 3))
    assert metric.stamp()["output"] == "sigmoid"


def test_repeats_give_means_and_deviations_over_seeds():
    settings = {"iterations": 3, "n": 60}
    single = [judged(PredictiveScore(**settings, seed=k), noise(60, 3))["score"] for k in (4, 5)]
    both = judged(PredictiveScore(**settings, seed=4, repeats=2), noise(60, 3))
    assert both["score"] == pytest.approx(sum(single) / 2)
    assert both["score_std"] == pytest.approx(abs(single[0] - single[1]) / math.sqrt(2))
    assert set(both) == {"score", "score_std", "score_real", "score_real_std"}


def test_the_reference_can_be_left_out():
    assert set(judged(DiscriminativeScore(iterations=1, reference=False), noise(50, 3))) == {"score"}
    assert set(judged(PredictiveScore(iterations=1, reference=False), noise(50, 3))) == {"score"}


def test_the_protocols_are_stamped():
    metric = DiscriminativeScore(iterations=1, n=40)
    judged(metric, noise(40, 3))
    assert metric.stamp() == {
        "fakes": 40, "judged_of_each_kind": 40, "trained_on": 0.8, "judge": "GRU, half of the columns units",
        "iterations": 1, "batch_size": 128, "lr": 0.01, "split": "test", "repeats": 1, "judge_seed": 0,
    }  # fmt: skip
    metric = PredictiveScore(iterations=1, n=40, hidden=3, foretold="all")
    judged(metric, noise(40, 3))
    assert metric.stamp() == {
        "fakes": 40, "foretold": "all", "judge": "GRU, 3 units", "output": "sigmoid", "iterations": 1,
        "batch_size": 128, "lr": 0.01, "split": "test", "repeats": 1, "judge_seed": 0,
    }  # fmt: skip


def test_wrong_settings_and_too_few_series_are_told_in_a_sentence():
    for make, sentence in {
        lambda: DiscriminativeScore(n=9): "metrics.discriminative.n must be at least 10, got 9",
        lambda: DiscriminativeScore(lr=0): "metrics.discriminative.lr must be above 0, got 0",
        lambda: DiscriminativeScore(hidden=0): "metrics.discriminative.hidden must be above 0, got 0",
        lambda: DiscriminativeScore(seed=-1): "metrics.discriminative.seed must be at least 0, got -1",
        lambda: PredictiveScore(iterations=0): "metrics.predictive.iterations must be above 0, got 0",
        lambda: PredictiveScore(repeats=0): "metrics.predictive.repeats must be above 0, got 0",
        lambda: PredictiveScore(split="val"): "metrics.predictive.split must be test or train, got val",
        lambda: PredictiveScore(foretold="b"): "metrics.predictive.foretold must be last or all, got b",
        lambda: judged(DiscriminativeScore(), TEST, test=TEST[:5]): (
            "metrics.discriminative needs 10 series of each kind, there are 5 real ones and 400 samples"
        ),
        lambda: PredictiveScore().prepare({"centers": None}, None): (
            "metrics=predictive needs series of real values, such as data=sines or data=csv; this data has none"
        ),
    }.items():
        with pytest.raises(UserError) as error:
            make()
        assert str(error.value) == sentence


def test_what_will_be_trained_is_told_and_makes_no_difference():
    for kind, task in (
        (DiscriminativeScore, "to tell samples from real series"),
        (PredictiveScore, "to foretell series"),
    ):
        metric, other = (kind(n=100, iterations=1200, batch_size=8, repeats=2) for _ in range(2))
        for one in (metric, other):
            one.prepare(FACTS, Samples(TRAIN))
        state = torch.get_rng_state()
        work = metric.work(Samples(noise(100, 3)), Samples(TEST))
        assert torch.equal(torch.get_rng_state(), state)
        assert work.what == f"trains 4 GRUs {task}, 1,200 updates each" and work.seconds > 0
        metric.iterations = other.iterations = 3
        first = metric.compute(Samples(noise(100, 3)), Samples(TEST))
        assert first == other.compute(Samples(noise(100, 3)), Samples(TEST))
    alone = DiscriminativeScore(n=100, iterations=1, reference=False)
    alone.prepare(FACTS, Samples(TRAIN))
    few = alone.work(Samples(noise(100, 3)), Samples(TEST))
    assert few.what == "trains 1 GRU to tell samples from real series, 1 updates each"


def test_the_time_is_that_of_all_updates_of_all_judges(monkeypatch):
    now = iter([10.0, 10.5] * 2)  # five updates take half a second
    monkeypatch.setattr("genlab.metrics.series_judges.time.perf_counter", lambda: next(now))
    for reference, seconds in ((True, 2 * 3 * 20 * 0.1), (False, 3 * 20 * 0.1)):
        metric = PredictiveScore(n=20, iterations=20, batch_size=4, repeats=3, reference=reference)
        metric.prepare(FACTS, Samples(TRAIN))
        assert metric.work(Samples(noise(20, 3)), Samples(TEST)).seconds == pytest.approx(seconds)
