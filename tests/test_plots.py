"""Pictures of series and clouds: what is where, and that a diverged model still has one."""

import math

import pytest
import torch

from genlab.plots import clouds, series_panels
from genlab.projections import pca, profiles, tsne

LEFT, TOP, WIDE, HIGH, GAP = 92, 26, 340, 110, 12


def panel(picture, row, column):
    """The inside of a panel `[3, h, w]`, without its frame."""
    left, top = LEFT + column * (WIDE + GAP), TOP + row * (HIGH + GAP)
    return picture[:, top + 2 : top + HIGH - 2, left + 2 : left + WIDE - 2]


def inked(part):
    """Where something is drawn, `[h, w]`."""
    return part.amin(0) < 0.8


def test_real_series_stand_on_the_left_and_samples_on_the_right_a_row_a_column():
    real, fake = torch.zeros(1, 5, 2), torch.zeros(1, 5, 2)
    real[0, :, 0] = torch.tensor([0.0, 0, 0, 0, 1])  # low, then high
    real[0, :, 1] = torch.tensor([1.0, 1, 1, 1, 0])
    fake[..., 0], fake[..., 1] = 1, 0
    picture = series_panels(real, fake, ["a", "b"])
    assert picture.shape == (3, TOP + 2 * (HIGH + GAP), LEFT + 2 * (WIDE + GAP))
    assert picture.amin() >= 0 and picture.amax() <= 1
    rows = [
        [inked(panel(picture, row, column)).float().mean(1).argmax().item() for column in (0, 1)]
        for row in (0, 1)
    ]
    low, high = HIGH - 10, 4  # of 106 rows of pixels; the room above and below is 7.6 each
    assert abs(rows[0][0] - low) < 5 and abs(rows[1][0] - high) < 5
    assert abs(rows[0][1] - high) < 5 and abs(rows[1][1] - low) < 5


def test_samples_far_away_widen_the_scale_by_one_range_at_most():
    real = torch.tensor([0.0, 1.0]).view(1, 2, 1)
    heights = []
    for far in (2.0, 500.0, math.inf):
        picture = series_panels(real, torch.tensor([0.0, far]).view(1, 2, 1), ["a"])
        heights.append(int(inked(panel(picture, 0, 0)).any(1).sum()))
    # the real line spans 1 of 2, with .08 more of it on both sides: 110 / 2 / 1.16 = 47 pixels; alone it spans 95
    assert abs(heights[0] - 47) < 4 and heights[1] == heights[0] and abs(heights[2] - 95) < 4


def test_a_diverged_model_has_a_picture():
    real = torch.rand(3, 6, 2)
    picture = series_panels(real, torch.full((3, 6, 2), math.nan), ["a", "b"])
    assert inked(panel(picture, 0, 0)).any() and not inked(panel(picture, 0, 1)).any()
    assert torch.isfinite(series_panels(real, torch.full((3, 6, 2), 1e30), ["a", "b"])).all()
    assert torch.isfinite(series_panels(torch.ones(1, 4, 1), torch.ones(1, 4, 1), ["still"])).all()


def test_a_series_has_one_colour_in_all_rows_and_others_have_others():
    real = torch.stack([torch.zeros(4, 2), torch.ones(4, 2)])
    picture = series_panels(real, real, ["a", "b"])
    first, second = panel(picture, 0, 0), panel(picture, 1, 0)
    torch.testing.assert_close(first, second)
    colours = first.flatten(1)[:, inked(first).flatten()].T.unique(dim=0)
    assert len(colours) > 1


def test_of_many_columns_twelve_are_drawn_and_long_names_are_cut():
    real = torch.rand(2, 3, 40)
    picture = series_panels(real, real, ["a very long name of a column\n" * 3] * 40)
    assert picture.shape[1] == TOP + 12 * (HIGH + GAP)
    torch.testing.assert_close(picture[:, :, :2], torch.ones(3, picture.shape[1], 2))  # nothing at the edge


def test_what_is_no_series_is_refused():
    with pytest.raises(ValueError, match=r"^panels need series \[N, T, D\] and D names, got \[2, 3\]"):
        series_panels(torch.rand(2, 3), torch.rand(2, 3), ["a"])
    with pytest.raises(ValueError, match=r"^panels need a finite real value$"):
        series_panels(torch.full((1, 2, 1), math.nan), torch.rand(1, 2, 1), ["a"])


def test_clouds_stand_beside_each_other_and_fill_their_frames():
    real = torch.tensor([[0.0, 0.0], [100.0, 0.001]])  # axes of unlike units
    picture = clouds({"one": (real, real[:1]), "two": (real, real[1:])})
    assert picture.shape == (3, 512 + TOP, 2 * 512 + GAP)
    red = (picture[0] > 0.8) & (picture[1] < 0.2)
    places = red.nonzero().double()
    left, right = (places[places[:, 1] < 512].mean(0), places[places[:, 1] > 512].mean(0))
    # the unit square with a tenth of margin: corners at 1/22 and 21/22 of the side
    torch.testing.assert_close(left, torch.tensor([TOP + 488.0, 23.0]).double(), atol=3, rtol=0)
    torch.testing.assert_close(right, torch.tensor([TOP + 23.0, 524 + 488.0]).double(), atol=3, rtol=0)


def red_of(picture):
    """Where samples stand, rows and columns `[n, 2]` below the heading."""
    return ((picture[0] > 0.8) & (picture[1] < 0.2)).nonzero().double() - torch.tensor([TOP, 0]).double()


def test_a_cloud_of_samples_far_from_the_real_one_stands_in_the_frame_with_it():
    real = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    red = red_of(clouds({"one": (real, torch.tensor([[1.5, 0.5], [0.5, 99.0]]))}))
    # across 0 to 1.5, up 0 to 99: the square of 466 pixels begins at 23
    low, high = red[red[:, 0] > 256].mean(0), red[red[:, 0] < 256].mean(0)
    torch.testing.assert_close(low, torch.tensor([489 - 466 * 0.5 / 99, 489.0]).double(), atol=3, rtol=0)
    torch.testing.assert_close(high, torch.tensor([23.0, 23 + 466 / 3]).double(), atol=3, rtol=0)


def test_a_sample_in_a_hundred_that_is_far_away_stands_at_the_edge():
    real, fake = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.full((100, 2), 0.5)
    fake[0], fake[1] = torch.tensor([1e9, 1.9]), torch.tensor([-1e9, 0.5])  # 1.9 is not far
    red = red_of(clouds({"one": (real, fake)}))
    middle = red[(red[:, 1] > 10) & (red[:, 1] < 501)].mean(0)
    # across 0 to 1, up 0 to 1.9
    expected = torch.tensor([23 + 466 * 1.4 / 1.9, 256]).double()
    torch.testing.assert_close(middle, expected, atol=3, rtol=0)
    right, left = red[red[:, 1] > 501].mean(0), red[red[:, 1] < 10].mean(0)
    torch.testing.assert_close(right, torch.tensor([23.0, 509.5]).double(), atol=3, rtol=0)
    torch.testing.assert_close(left, torch.tensor([float(expected[0]), 1.5]).double(), atol=3, rtol=0)


def test_principal_components_are_those_of_the_real_ones():
    along, across = torch.tensor([3.0, 4.0]) / 5, torch.tensor([-4.0, 3.0]) / 5
    spread = torch.tensor([[-2.0, 0.5], [2.0, 0.5], [-2.0, -0.5], [2.0, -0.5]])
    real = spread[:, :1] * along + spread[:, 1:] * across + 7
    found, fake = pca(real, (along * 10 + 7)[None])
    torch.testing.assert_close(found.abs(), spread.abs())
    torch.testing.assert_close(found[:, 0], spread[:, 0])  # its largest part, .8, is positive
    torch.testing.assert_close(fake, torch.tensor([[10.0, 0.0]]), atol=1e-4, rtol=0)


def test_profiles_are_means_over_columns():
    assert profiles(torch.tensor([[[1.0, 3.0], [5.0, 7.0]]])).tolist() == [[2, 6]]


def test_tsne_keeps_neighbours_together_and_leaves_the_global_stream_alone():
    import numpy as np

    groups = torch.randn(30, 6).double() * 0.1 + 10 * (torch.arange(30)[:, None] % 2)
    before = np.random.get_state()[1].copy()
    real, fake = tsne(groups[:20], groups[20:], seed=3)
    assert (np.random.get_state()[1] == before).all()
    assert real.shape == (20, 2) and fake.shape == (10, 2)
    even, odd = torch.cat([real[::2], fake[::2]]), torch.cat([real[1::2], fake[1::2]])
    between = (even.mean(0) - odd.mean(0)).norm()
    assert between > 2 * max(even.std(0).max(), odd.std(0).max())
    again, _ = tsne(groups[:20], groups[20:], seed=3)
    torch.testing.assert_close(again, real)
