import math

import pytest

from genlab.kl_schedules import Constant, Cyclical, Linear, Logistic


def weights(schedule, steps, *, steps_per_epoch=10, total_steps=80):
    return [schedule.weight(step, steps_per_epoch=steps_per_epoch, total_steps=total_steps) for step in steps]


def test_constant_is_one():
    assert weights(Constant(), [0, 7, 1000]) == [1.0, 1.0, 1.0]


def test_linear_climbs_for_its_epochs_and_stays():
    # two epochs of ten steps: a twentieth a step
    assert weights(Linear(epochs=2), [0, 5, 19, 20, 21]) == pytest.approx([0, 0.25, 0.95, 1, 1])
    assert weights(Linear(epochs=0.5), [1, 5]) == pytest.approx([0.2, 1])


def test_cyclical_starts_again_in_each_cycle():
    # cycles of 20 steps, 10 of them on the ramp
    steps = [0, 5, 10, 19, 20, 25, 79, 80, 100]
    assert weights(Cyclical(), steps) == pytest.approx([0, 0.5, 1, 1, 0, 0.5, 1, 1, 1])


def test_cyclical_divides_a_training_of_any_length():
    # 4 cycles of 2.5 steps, all of it ramp: step 3 is .5 into the second cycle
    assert weights(Cyclical(ramp=1.0), [0, 1, 2, 3, 5], total_steps=10) == pytest.approx(
        [0, 0.4, 0.8, 0.2, 0]
    )


def test_logistic_is_one_half_at_its_midpoint():
    expected = [1 / (1 + math.exp(2.5)), 0.5, 1 / (1 + math.exp(-2.5))]
    assert weights(Logistic(), [1500, 2500, 3500]) == pytest.approx(expected)
    assert weights(Logistic(steepness=10.0), [0, 10**9]) == pytest.approx([0, 1], abs=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(epochs=0), "epochs must be above 0, got 0"),
        (lambda: Cyclical(cycles=0), "cycles must be at least 1, got 0"),
        (lambda: Cyclical(ramp=1.5), "ramp must lie above 0 and be at most 1, got 1.5"),
        (lambda: Logistic(steepness=0), "steepness must be above 0, got 0"),
        (lambda: Logistic(midpoint=-1), "midpoint must be at least 0, got -1"),
    ],
)
def test_what_a_schedule_cannot_be_is_refused_in_a_sentence(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
