import math

import pytest
import torch

from genlab.latents import difference, interpolate, plane, shift, slerp, traverse


def test_slerp_a_third_of_the_way_round_a_right_angle_turns_by_30_degrees():
    third = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 1 / 3)
    torch.testing.assert_close(third, torch.tensor([math.sqrt(3) / 2, 0.5]))


def test_slerp_keeps_the_common_norm_where_the_chord_does_not():
    a, b = torch.tensor([3.0, 4.0, 0.0]), torch.tensor([0.0, 3.0, 4.0])
    torch.testing.assert_close(slerp(a, b, 0.5).norm(), torch.tensor(5.0))
    assert torch.lerp(a, b, 0.5).norm() < 4.5


def test_slerp_is_at_its_ends_exactly():
    a, b = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(slerp(a, b, 0.0), a, rtol=0, atol=0)
    torch.testing.assert_close(slerp(a, b, 1.0), b, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("a", "b", "halfway"),
    [
        ([1.0, 1.0], [3.0, 3.0], [2.0, 2.0]),
        ([1.0, 0.0], [-3.0, 0.0], [-1.0, 0.0]),
        ([0.0, 0.0], [0.0, 2.0], [0.0, 1.0]),
        ([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
    ],
    ids=["parallel", "opposite", "from zero", "both zero"],
)
def test_slerp_takes_the_chord_where_there_is_no_arc(a, b, halfway):
    torch.testing.assert_close(slerp(torch.tensor(a), torch.tensor(b), 0.5), torch.tensor(halfway))


def test_slerp_treats_each_row_of_a_batch_alone():
    a, b = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0, 1, 6)[:, None]
    rows = torch.stack([slerp(a[i], b[i], t[i].item()) for i in range(6)])
    torch.testing.assert_close(slerp(a, b, t), rows)


def test_interpolation_walks_the_arc_in_equal_angles():
    path = interpolate(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), 4)
    angles = torch.tensor([0.0, 30.0, 60.0, 90.0]).deg2rad()
    torch.testing.assert_close(path, 2 * torch.stack([angles.cos(), angles.sin()], dim=1))


def test_straight_interpolation_walks_the_line():
    path = interpolate(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), 3, spherical=False)
    torch.testing.assert_close(path, torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))


def test_an_interpolation_of_one_step_is_refused():
    with pytest.raises(ValueError, match="at least 2 steps, its two ends, got 1"):
        interpolate(torch.zeros(2), torch.ones(2), 1)


def test_traverse_changes_one_dimension_at_a_time():
    points = traverse(torch.tensor([5.0, 6.0, 7.0]), [2, 0], [-1.0, 1.0])
    expected = torch.tensor([[[5.0, 6.0, -1.0], [5.0, 6.0, 1.0]], [[-1.0, 6.0, 7.0], [1.0, 6.0, 7.0]]])
    torch.testing.assert_close(points, expected)


def test_traverse_leaves_its_point_alone():
    z = torch.zeros(2)
    traverse(z, [0, 1], torch.ones(3))
    torch.testing.assert_close(z, torch.zeros(2))


@pytest.mark.parametrize("dim", [-1, 3])
def test_traversing_a_dimension_that_is_not_there_is_refused(dim):
    with pytest.raises(ValueError, match=rf"must lie in 0\.\.2, got {dim}"):
        traverse(torch.zeros(3), [dim], [0.0])


@pytest.mark.parametrize("dims", [1, 2])
def test_a_plane_shows_one_or_two_dimensions_as_they_are(dims):
    latents = torch.tensor([[1.0, 2.0], [3.0, torch.nan]])[:, :dims]
    seen = plane(latents)
    torch.testing.assert_close(seen.points[:, :dims], latents, rtol=0, atol=0, equal_nan=True)
    assert seen.points.shape == (2, 2) and seen.axes == ("z0", "z1" if dims == 2 else "")


def test_a_plane_shows_the_two_directions_of_largest_variance_and_their_shares():
    # three orthogonal directions with variances 9 : 4 : 3, the data off the origin
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    own = torch.tensor([[3.0, 0, 0], [-3, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 3**0.5], [0, 0, -(3**0.5)]])
    seen = plane(own @ turn + 5)
    signs = (seen.points[[0, 2], [0, 1]] > 0) * 2.0 - 1
    torch.testing.assert_close(seen.points, own[:, :2] * signs, rtol=1e-4, atol=1e-4)
    assert seen.axes == ("component 1 (56 % of the variance)", "component 2 (25 %)")  # 9/16, 4/16


def test_a_component_points_where_its_largest_number_is_positive():
    latents = torch.tensor([[0.0, -4.0, 1.0], [0.0, 4.0, -1.0], [0.1, 0.0, 0.0], [-0.1, 0.0, 0.0]])
    assert plane(latents).points[1, 0] > 4 and plane(-latents).points[0, 0] > 4


def test_a_broken_latent_has_no_part_in_a_plane():
    latents = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    with_broken = torch.cat(
        [latents[:5], torch.tensor([[torch.nan, 0, 0, 0], [0, torch.inf, 0, 0]]), latents[5:]]
    )
    seen = plane(with_broken)
    assert seen.points[5:7].isnan().all()
    torch.testing.assert_close(seen.points[[0, 1, 2, 3, 4, 7, 8, 9, 10]], plane(latents).points)
    assert plane(latents * torch.nan).points.isnan().all()
    assert plane(latents[:1]).points.tolist() == [[0.0, 0.0]]


def test_the_way_between_classes_is_the_difference_of_their_means():
    latents = torch.tensor([[0.0, 0.0], [2.0, 4.0], [10.0, 10.0], [99.0, 99.0]])
    labels = torch.tensor([3, 3, 8, 1])
    assert difference(latents, labels, 3, 8).tolist() == [9.0, 8.0]
    assert difference(latents, labels, 8, 3).tolist() == [-9.0, -8.0]
    with pytest.raises(ValueError, match="there is nothing of class 5"):
        difference(latents, labels, 3, 5)


def test_a_shift_adds_a_growing_amount_of_a_direction():
    z = torch.tensor([[1.0, 1.0], [5.0, 0.0]])
    moved = shift(z, torch.tensor([2.0, -4.0]), 3)
    expected = [[[1.0, 1.0], [2.0, -1.0], [3.0, -3.0]], [[5.0, 0.0], [6.0, -2.0], [7.0, -4.0]]]
    assert moved.tolist() == expected
    with pytest.raises(ValueError, match="amounts from 0 to 1 are at least 2, got 1"):
        shift(z, z[0], 1)
