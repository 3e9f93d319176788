import pytest

from genlab.callbacks.signs import Sign, signs


def told(sign: Sign, values: list[float]) -> list[int]:
    """The values, counted from one, with which the trouble begins."""
    return [k for k, value in enumerate(values, 1) if sign.add(value)]


def test_a_mean_near_its_end_over_a_whole_window_is_told_once() -> None:
    assert told(Sign("x", 1, 0.1, 2, ""), [1.0, 1.0]) == []  # an empty sentence is none
    assert told(Sign("x", 1, 0.1, 2, "x"), [1.0, 1.0, 1.0, 0.9]) == [2]
    assert told(Sign("x", 0, 0.1, 2, "x"), [0.0, 0.3, 0.1, 0.0, 0.0]) == [4]  # means .15 .2 .05 0


def test_it_is_told_again_only_after_a_mean_twice_as_far_away() -> None:
    # window 1: the values are the means; nearer than .1 is trouble, further than .2 is its end
    assert told(Sign("x", 0, 0.1, 1, "x"), [0.05, 0.15, 0.05, 0.25, 0.15, 0.05]) == [1, 6]


def test_the_sentence_has_the_mean_and_the_window() -> None:
    sign = Sign("x", 0, 0.1, 2, "{mean:.2f} over {window}")
    assert [sign.add(0.02), sign.add(0.04)] == [None, "0.03 over 2"]


def test_a_restored_sign_goes_on_with_its_window() -> None:
    first, second = Sign("x", 0, 0.1, 3, "x"), Sign("x", 0, 0.1, 3, "x")
    assert told(first, [0.0, 0.0]) == []
    second.restore(first.state())
    assert told(second, [0.0]) == [1]


@pytest.mark.parametrize(
    ("pinned", "diversity", "names"), [(0.99, 0.05, 3), (None, 0.05, 1), (0.99, None, 2)]
)
def test_a_sign_that_is_off_is_not_there(pinned: float | None, diversity: float | None, names: int) -> None:
    assert len(signs(pinned=pinned, diversity=diversity, window=5)) == names
