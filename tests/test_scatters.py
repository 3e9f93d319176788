"""Points of a plane in one picture."""

import pytest
import torch

from genlab.scatters import scatter

BLUE, RED = torch.tensor([0.55, 0.75, 0.95]), torch.tensor([0.85, 0.1, 0.1])
SQUARE = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])


def _coloured(picture, colour):
    """Rows and columns of the pixels of a colour."""
    return (picture == colour[:, None, None]).all(0).nonzero()


def test_points_stand_where_their_numbers_say_with_y_upwards():
    # the picture is 512 wide and spans -1.1 to 1.1: x is at 256 + 255.5 x / 1.1, y at 256 - 255.5 y / 1.1
    picture = scatter(SQUARE, torch.tensor([[0.0, 0.0], [0.5, -0.25]]))
    assert picture.shape == (3, 512, 512)
    blue, red = _coloured(picture, BLUE), _coloured(picture, RED)
    centres = {tuple(at) for at in blue.tolist()} & {(256 + 232, 256 - 232), (256 - 232, 256 + 232)}
    assert len(centres) == 2  # 255.5 / 1.1 = 232.3
    assert {(256, 256), (256 + 58, 256 + 116)} <= {tuple(at) for at in red.tolist()}  # 58.1 and 116.1
    assert len(red) == 2 * 9 and len(blue) == 2 * 37  # discs of radius 1 and 3
    assert len(_coloured(picture, torch.ones(3))) == 512 * 512 - 18 - 74


def test_a_fake_on_a_real_point_leaves_a_blue_rim():
    picture = scatter(SQUARE, SQUARE)
    assert len(_coloured(picture, RED)) == 2 * 9 and len(_coloured(picture, BLUE)) == 2 * (37 - 9)


def test_both_axes_have_one_scale_and_the_data_lie_in_the_middle():
    picture = scatter(torch.tensor([[10.0, 5.0], [14.0, 5.0]]), torch.tensor([[12.0, 7.0]]))
    rows, columns = _coloured(picture, BLUE).unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (253, 259, 256 - 235, 256 + 235)
    assert _coloured(picture, RED).float().mean(0).tolist() == [256 - 232, 256]


def test_fakes_far_out_stand_at_the_edge_and_broken_ones_nowhere():
    nan, inf = float("nan"), float("inf")
    picture = scatter(SQUARE, torch.tensor([[1e9, 0.0], [0.0, -1e30], [nan, 0.0], [0.0, inf]]))
    assert {tuple(at) for at in _coloured(picture, RED).tolist()} == {
        (256 + down, 510 + right) for down in (-1, 0, 1) for right in (-1, 0, 1)
    } | {(510 + down, 256 + right) for down in (-1, 0, 1) for right in (-1, 0, 1)}


def test_one_real_point_and_no_fake_have_a_picture():
    assert _coloured(scatter(torch.tensor([[3.0, 4.0]]), torch.zeros(0, 2)), BLUE).float().mean(
        0
    ).tolist() == [256, 256]


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (torch.zeros(4, 3), SQUARE, r"needs points \[N, 2\], got real ones \[4, 3\]"),
        (SQUARE, torch.zeros(1, 1, 8, 8), r"needs points \[N, 2\], got fake ones \[1, 1, 8, 8\]"),
        (torch.full((2, 2), torch.nan), SQUARE, "at least one finite real point"),
    ],
)
def test_what_is_no_plane_is_refused(real, fake, message):
    with pytest.raises(ValueError, match=message):
        scatter(real, fake)
