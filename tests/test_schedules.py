import math

import pytest

from genlab.schedules import Constant, Cosine, Linear, Plateau, Schedule


def _course(schedule: Schedule, total_steps: int, *steps: int) -> list[float]:
    return [schedule.multiplier(step, total_steps) for step in steps]


def test_constant_stays_at_one():
    assert _course(Constant(), 10, 0, 5, 9, 100) == [1.0, 1.0, 1.0, 1.0]


def test_cosine_is_one_at_the_start_half_in_the_middle_and_zero_at_the_end():
    # (1 + cos(pi p)) / 2 at p = 0, 1/3, 1/2, 2/3, 1
    assert _course(Cosine(), 12, 0, 4, 6, 8, 12) == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])


def test_cosine_ends_at_its_final_fraction():
    # 0.2 + 0.8 * (1 + cos(pi p)) / 2 at p = 0, 1/2, 1
    assert _course(Cosine(final_fraction=0.2), 8, 0, 4, 8) == pytest.approx([1.0, 0.6, 0.2])


def test_linear_falls_in_equal_steps():
    # 1 - 0.9 p at p = 0, 1/4, 1/2, 1
    assert _course(Linear(final_fraction=0.1), 4, 0, 1, 2, 4) == pytest.approx([1.0, 0.775, 0.55, 0.1])


@pytest.mark.parametrize("kind", [Cosine, Linear])
def test_the_warm_up_climbs_in_equal_steps_to_one(kind):
    course = _course(kind(warmup_steps=4), 100, 0, 1, 2, 3, 4)
    assert course == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


@pytest.mark.parametrize(("kind", "quarter"), [(Cosine, (1 + math.cos(math.pi / 4)) / 2), (Linear, 0.75)])
def test_the_decay_takes_the_steps_that_the_warm_up_left(kind, quarter):
    assert _course(kind(warmup_steps=4), 12, 4, 6, 8, 12) == pytest.approx([1.0, quarter, 0.5, 0.0])


@pytest.mark.parametrize("kind", [Cosine, Linear])
def test_a_warm_up_longer_than_the_training_ends_on_the_ramp(kind):
    assert _course(kind(warmup_steps=9), 5, 0, 4, 5) == pytest.approx([0.1, 0.5, 0.6])


@pytest.mark.parametrize("kind", [Cosine, Linear])
def test_past_the_end_the_final_fraction_remains(kind):
    assert _course(kind(warmup_steps=2, final_fraction=0.3), 6, 7, 1000) == pytest.approx([0.3, 0.3])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cosine(warmup_steps=-1), "warmup_steps must be at least 0, got -1"),
        (lambda: Cosine(final_fraction=1.5), r"final_fraction must lie in 0\.\.1, got 1\.5"),
        (lambda: Linear(warmup_steps=-1), "warmup_steps must be at least 0, got -1"),
        (lambda: Linear(final_fraction=-0.1), r"final_fraction must lie in 0\.\.1, got -0\.1"),
        (lambda: Plateau(factor=1.0), r"factor must lie above 0 and below 1, got 1\.0"),
        (lambda: Plateau(patience=-1), "patience must be at least 0, got -1"),
        (lambda: Plateau(min_delta=-0.5), r"min_delta must be at least 0, got -0\.5"),
        (lambda: Plateau(min_fraction=2.0), r"min_fraction must lie in 0\.\.1, got 2\.0"),
    ],
)
def test_a_number_outside_its_range_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
