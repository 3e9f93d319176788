import pytest

from genlab.layers.sizes import doublings, halvings


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (28, [28, 14, 7, 3]),
        (32, [32, 16, 8, 4]),
        (64, [64, 32, 16, 8, 4]),
        (100, [100, 50, 25, 12, 6, 3]),
        (6, [6, 3]),
        (5, [5]),
    ],
)
def test_sides_halve_rounded_down_until_three_or_more_remain(side, expected):
    assert halvings(side, side) == [(size, size) for size in expected]


def test_the_shorter_side_ends_the_halving():
    assert halvings(33, 47) == [(33, 47), (16, 23), (8, 11), (4, 5)]
    assert halvings(100, 8) == [(100, 8), (50, 4)]


def test_channels_double_up_to_eight_times_the_width():
    assert doublings(32, 6) == [32, 64, 128, 256, 256, 256]


def test_a_width_below_one_is_refused():
    with pytest.raises(ValueError, match=r"^width must be at least 1, got 0$"):
        doublings(0, 3)
