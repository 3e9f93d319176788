"""Points of a plane in one picture."""

import pytest
import torch

from genlab import scatters
from genlab.scatters import class_scatter, scatter

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


def _hexes(picture):
    """The colours of a picture, each with the number of its pixels."""
    pixels = (picture * 255).round().long().flatten(1)
    values, counts = (pixels[0] * 65536 + pixels[1] * 256 + pixels[2]).unique(return_counts=True)
    return {f"#{value:06x}": int(count) for value, count in zip(values, counts, strict=True)}


FIRST, SECOND, THIRD = "#1f77b4", "#ff7f0e", "#2ca02c"
DISC, SQUARE_OF_THE_LEGEND = 21, 11 * 11


def _at(picture, colour):
    """Mean row and column, in the plane, of a colour's pixels: the plane begins at (20, 48) and is 512 wide."""
    wanted = torch.tensor([int(colour[k : k + 2], 16) for k in (1, 3, 5)])[:, None, None]
    here = ((picture * 255).round() == wanted).all(0)[20:532, 48:560]
    return here.nonzero().float().mean(0).tolist()


def test_a_class_has_a_colour_and_stands_in_the_legend_where_it_is_there():
    points = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.5, 0.0], [0.0, 0.5]])
    picture = class_scatter(points, axes=("a", "b"), labels=torch.tensor([0, 2, 2, 0]), names=["x", "y", "z"])
    found = _hexes(picture)
    assert found[FIRST] == found[THIRD] == 2 * DISC + SQUARE_OF_THE_LEGEND and SECOND not in found


def test_a_point_of_a_class_stands_where_its_numbers_say_with_y_upwards():
    # all points span -1 to 1, the plane -1.1 to 1.1: x is at 511 (x + 1.1) / 2.2, y as far from the bottom
    points = torch.tensor([[-1.0, -1.0], [0.5, 1.0], [1.0, 0.0]])
    picture = class_scatter(points, axes=("", ""), labels=torch.tensor([0, 1, 2]), names=["", "", ""])
    assert _at(picture, FIRST) == [511 - 23, 23]  # 511 * 0.1 / 2.2 = 23.2
    assert _at(picture, SECOND) == [511 - 488, 372]  # 487.8 and 371.6
    assert _at(picture, THIRD) == [511 - 256, 488]  # 255.5, to the even number


def test_both_axes_of_latents_have_one_scale_and_tell_their_ends():
    points = torch.tensor([[0.0, 0.0], [20.0, 1.0]])
    picture = class_scatter(points, axes=("", ""))
    same = class_scatter(points / 2, axes=("", ""))  # the same plane, other numbers beside it
    plane = (slice(None), slice(20, 532), slice(48, 560))
    assert torch.equal(picture[plane], same[plane]) and not torch.equal(picture, same)
    rows = _coloured(picture[:, 20:532, 48:560], torch.tensor([0x1F, 0x77, 0xB4]) / 255)[:, 0]
    assert rows.max() - rows.min() == 4 + 23  # discs of radius 2, at 255.5 -+ 511 / 22 / 2: 243.9 and 267.1


def test_the_names_of_the_axes_and_classes_are_written_outside_the_plane():
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    bare, named = (class_scatter(points, axes=axes) for axes in (("", ""), ("z0", "z1")))
    different = (bare != named).any(0).nonzero()
    assert {bool(row < 20) for row, _ in different} == {True, False}  # y above the plane, x below
    assert all(row < 20 or row >= 532 for row, _ in different)
    labels = torch.tensor([0, 1])
    one, other = (
        class_scatter(points, axes=("", ""), labels=labels, names=names)
        for names in (["ab", "c"], ["cd", "c"])
    )
    assert torch.equal(one[..., :582], other[..., :582])
    assert not torch.equal(one[..., 582:600], other[..., 582:600])


def test_without_labels_all_points_have_one_colour_and_there_is_no_legend():
    picture = class_scatter(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), axes=("", ""))
    assert picture.shape == (3, 20 + 512 + 20, 48 + 512 + 8)
    assert _hexes(picture)[FIRST] == 2 * DISC


def test_of_points_that_cover_each_other_the_last_is_on_top():
    points = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    for labels, top in (([0, 1, 2], SECOND), ([1, 0, 2], FIRST)):
        found = _hexes(
            class_scatter(points, axes=("", ""), labels=torch.tensor(labels), names=["a", "b", "c"])
        )
        under = FIRST if top == SECOND else SECOND
        assert found[top] == DISC + SQUARE_OF_THE_LEGEND and found[under] == SQUARE_OF_THE_LEGEND


def test_points_that_are_broken_are_left_out_and_a_diverged_model_still_has_a_picture():
    points = torch.tensor([[0.0, 0.0], [torch.nan, 0.0], [1.0, torch.inf], [1.0, 1.0]])
    labels = torch.tensor([0, 1, 1, 0])
    found = _hexes(class_scatter(points, axes=("", ""), labels=labels, names=["a", "b"]))
    assert found[FIRST] == 2 * DISC + SQUARE_OF_THE_LEGEND and SECOND not in found
    nothing = class_scatter(points * torch.nan, axes=("x", "y"), labels=labels, names=["a", "b"])
    assert set(_hexes(nothing)) & {FIRST, SECOND} == set()


def test_many_classes_have_colours_of_their_own_and_a_legend_that_fits():
    points = torch.arange(80.0).view(40, 2)
    picture = class_scatter(points, axes=("", ""), labels=torch.arange(40), names=[str(k) for k in range(40)])
    assert picture.shape[1] == 20 + 512 + 20
    assert sum(count >= DISC for count in _hexes(picture[:, 20:532, 48:560]).values()) >= 40 + 1
    squares = [c for c, n in _hexes(picture[:, :, 560:]).items() if n >= SQUARE_OF_THE_LEGEND]
    assert len(squares) == 27 + 2  # 28 lines of 18 pixels, the last says how many more; paper, and writing


def test_a_legend_that_is_cut_says_how_many_are_missing():
    classes = [(FIRST, str(k)) for k in range(40)]
    cut = scatters._legend(classes)
    assert cut.tobytes() == scatters._legend([*classes[:27], ("white", "and 13 more")]).tobytes()
    assert cut.tobytes() != scatters._legend([*classes[:27], ("white", "and 14 more")]).tobytes()
    assert (
        scatters._legend([(FIRST, "a\n b" + 30 * "c")]).tobytes()
        == scatters._legend([(FIRST, "a b" + 21 * "c")]).tobytes()
    )


def test_neighbours_among_very_many_classes_are_light_and_dark():
    points = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    picture = class_scatter(
        points, axes=("", ""), labels=torch.tensor([0, 1]), names=[str(k) for k in range(1000)]
    )[:, 20:532, 48:560]
    first, second = picture[:, 511 - 23, 23], picture[:, 511 - 488, 488]
    assert first.max() - second.max() > 0.25


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        (torch.zeros(4, 3), None, r"needs points \[N, 2\], got \[4, 3\]"),
        (torch.zeros(2, 2), torch.tensor([0, 2]), "labels need a name each, got 2 names and label 2"),
        (torch.zeros(2, 2), torch.tensor([0, -1]), "labels need a name each"),
    ],
)
def test_what_has_no_place_or_no_name_is_refused(points, labels, message):
    with pytest.raises(ValueError, match=message):
        class_scatter(points, axes=("", ""), labels=labels, names=["a", "b"])
