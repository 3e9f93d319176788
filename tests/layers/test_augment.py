import pytest
import torch
from torch.testing import assert_close

from genlab.layers import augment
from genlab.layers.augment import DiffAugment, cut_out, shift_colors, translate

POLICIES = ["color", "translation", "cutout"]


def images(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1


def per_image(*values):
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def draws(monkeypatch):
    """Gives color numbers of our choice, one tuple a draw, and keeps the range each was asked for."""
    numbers, ranges = [], []

    def draw(image, low, high):
        ranges.append((low, high))
        return per_image(*numbers.pop(0))

    monkeypatch.setattr(augment, "_uniform", draw)
    return numbers, ranges


# -- color --------------------------------------------------------------------------------------------


def test_color_shifts_then_stretches_about_the_mean_of_the_channels_then_about_that_of_the_image(draws):
    draws[0].extend([(0.2, 0.0), (-0.5, 1.0), (0.4, 0.0)])
    image = torch.tensor([[[0.1, 0.3]], [[0.2, 0.4]], [[0.6, 0.8]]], dtype=torch.float64).repeat(2, 1, 1, 1)
    # first image: + .2, so the channels' means are .5 and .7; half as far from them: .4 .45 .65 and .6 .65
    # .85; mean of all .6; 1.4 times as far from it
    first = [[[0.32, 0.6]], [[0.39, 0.67]], [[0.67, 0.95]]]
    # second: saturation alone, twice as far from .3 and .5
    second = [[[-0.1, 0.1]], [[0.1, 0.3]], [[0.9, 1.1]]]
    expected = torch.tensor([first, second], dtype=torch.float64)
    assert_close(shift_colors(image, 1.0), expected)
    assert draws[1] == [(-0.5, 0.5), (-1.0, 1.0), (-0.5, 0.5)]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_without_three_channels_there_is_no_saturation(draws, channels):
    draws[0].extend([(0.2,), (0.4,)])
    image = images(1, channels, 4, 4)
    mean = image.mean()
    assert_close(shift_colors(image, 0.6), mean + 0.2 + 1.4 * (image - mean))
    assert draws[1] == [(-0.3, 0.3)] * 2


def test_brightness_is_one_shift_for_all_of_an_image_and_another_for_the_next():
    shifts = shift_colors(torch.zeros(2000, 1, 4, 4), 1.0)  # of a flat image there is no contrast
    assert_close(shifts, shifts[:, :, :1, :1].expand_as(shifts), rtol=0, atol=1e-6)
    counts = torch.histc(shifts[:, 0, 0, 0], bins=10, min=-0.5, max=0.5)
    assert counts.sum() == 2000
    assert_close(counts, torch.full_like(counts, 200), rtol=0, atol=60)


def test_values_may_leave_the_range_of_images_as_in_the_paper():
    assert DiffAugment(["color"])(torch.ones(20, 1, 4, 4)).max() > 1


# -- translation --------------------------------------------------------------------------------------


def shifted(image, down, right):
    """`[C, H, W]` moved by whole pixels, zeros where nothing came to lie."""
    height, width = image.shape[1:]
    moved = torch.zeros_like(image)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                moved[:, y, x] = image[:, y - down, x - right]
    return moved


def test_translation_moves_each_image_by_up_to_an_eighth_of_a_side_and_fills_with_zeros():
    image = images(1, 2, 8, 16)  # up to 1 pixel down or up, up to 2 to either side
    options = {(d, r): shifted(image[0], d, r) for d in (-1, 0, 1) for r in (-2, -1, 0, 1, 2)}
    seen = {}
    for moved in translate(image.expand(400, -1, -1, -1), 0.125):
        matches = [shift for shift, option in options.items() if torch.equal(moved, option)]
        assert len(matches) == 1
        seen[matches[0]] = seen.get(matches[0], 0) + 1
    assert len(seen) == 15 and min(seen.values()) > 10  # each of 15 about 27 times


def test_translation_by_the_whole_side_may_empty_an_image():
    moved = translate(torch.ones(200, 1, 3, 3), 1.0)
    filled = moved.sum((1, 2, 3))
    assert filled.min() == 0 and filled.max() == 9


# -- cutout -------------------------------------------------------------------------------------------


def emptied(image, cut):
    """The rows and columns of the rectangle that is zero, having checked that all else is as it was."""
    hole = (cut == 0).all(0)
    rows, columns = hole.any(1), hole.any(0)
    assert torch.equal(hole, rows[:, None] & columns[None, :])
    assert torch.equal(cut, image * ~hole)
    return rows.nonzero().flatten().tolist(), columns.nonzero().flatten().tolist()


@pytest.mark.parametrize(
    ("side", "ratio", "spans"),
    [
        # 4 of 8 around a centre 0 .. 8: rows -2 .. 1 to 6 .. 9, cut at the borders
        (8, 0.5, [(max(c - 2, 0), min(c + 1, 7)) for c in range(9)]),
        # 4 of 7, as half a pixel counts for a whole one, around a centre 0 .. 7
        (7, 0.5, [(max(c - 2, 0), min(c + 1, 6)) for c in range(8)]),
        # 3 of 6 around a centre 0 .. 5
        (6, 0.5, [(max(c - 1, 0), min(c + 1, 5)) for c in range(6)]),
    ],
)
def test_cutout_empties_a_rectangle_of_half_the_side_anywhere(side, ratio, spans):
    image = images(1, 2, side, 2 * side).expand(300, -1, -1, -1)
    found = [emptied(before, after) for before, after in zip(image, cut_out(image, ratio), strict=True)]
    assert {(rows[0], rows[-1]) for rows, _ in found} == set(spans)
    assert max(len(columns) for _, columns in found) == side


# -- all of them --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_dtype_stay(channels, dtype):
    image = images(4, channels, 9, 7, dtype=torch.float32).to(dtype)
    augmented = DiffAugment()(image)
    assert augmented.shape == image.shape and augmented.dtype == dtype
    assert not torch.equal(augmented, image)


def test_at_zero_strength_nothing_changes():
    image = images(4, 3, 8, 8)
    assert torch.equal(DiffAugment(color=0.0, translation=0.0, cutout=0.0)(image), image)
    assert torch.equal(DiffAugment(probability=0.0)(image), image)
    assert torch.equal(DiffAugment([])(image), image)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_acts_alone_and_is_the_function_of_its_name(policy):
    function = {"color": shift_colors, "translation": translate, "cutout": cut_out}[policy]
    strength = {"color": 1.0, "translation": 0.125, "cutout": 0.5}[policy]
    image = images(6, 3, 8, 8)
    augmented = DiffAugment([policy])(image)
    torch.manual_seed(0)
    torch.empty(6, 1, 1, 1, dtype=torch.float64).uniform_()  # who is augmented: all
    assert torch.equal(augmented, function(image, strength))


@pytest.mark.parametrize("policy", POLICIES)
def test_each_image_is_augmented_with_the_probability_given(policy):
    image = images(600, 1, 16, 16)
    changed = (DiffAugment([policy], probability=0.25)(image) != image).flatten(1).any(1)
    share = {"color": 1.0, "translation": 24 / 25, "cutout": 1.0}[policy]  # of shifts, one is none
    assert_close(changed.double().mean().item(), 0.25 * share, rtol=0, atol=0.06)


def test_equal_seeds_augment_alike_and_two_calls_do_not():
    image, diffaugment = images(4, 3, 8, 8), DiffAugment()
    first, second = diffaugment(image), diffaugment(image)
    torch.manual_seed(0)
    assert torch.equal(diffaugment(image), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("policy", [[name] for name in POLICIES] + [POLICIES])
def test_an_image_has_no_effect_on_another(policy):
    image = images(3, 3, 8, 8).requires_grad_()
    (slopes,) = torch.autograd.grad(DiffAugment(policy)(image)[1].square().sum(), image)
    assert slopes[1].abs().sum() > 0
    assert torch.equal(slopes[[0, 2]], torch.zeros(2, 3, 8, 8, dtype=torch.float64))


def test_the_gradient_of_what_was_cut_out_is_zero_and_that_of_the_rest_one():
    image = images(2, 1, 8, 8).requires_grad_()
    cut = DiffAugment(["cutout"])(image)
    (slopes,) = torch.autograd.grad(cut.sum(), image)
    assert torch.equal(slopes, (cut != 0).double())


@pytest.mark.parametrize("policy", [[name] for name in POLICIES] + [POLICIES])
def test_a_penalty_on_the_gradient_before_augmentation_can_be_minimised(policy):
    # R1 of critic(augment(x)): its slope in the critic's weight against finite differences
    image, diffaugment = images(2, 3, 4, 4), DiffAugment(policy)

    def squared_slope(weight):
        torch.manual_seed(1)
        x = image.clone().requires_grad_()
        logits = (weight * diffaugment(x)).tanh().sum()
        return torch.autograd.grad(logits, x, create_graph=True)[0].square().sum()

    weight = images(1, 3, 4, 4, seed=5).requires_grad_()
    assert torch.autograd.gradcheck(squared_slope, weight)
    assert torch.autograd.grad(squared_slope(weight), weight)[0].norm() > 0


@pytest.mark.parametrize("policy", [["colour"], ["color", "color"]])
def test_an_unknown_or_repeated_policy_is_refused(policy):
    message = "policy must name each of color, translation, cutout at most once; got "
    with pytest.raises(ValueError) as caught:
        DiffAugment(policy)
    assert str(caught.value) == f"{message}{policy}"


@pytest.mark.parametrize("name", [*POLICIES, "probability"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_numbers_outside_zero_to_one_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"^{name} must lie in 0 .. 1, got {value}$"):
        DiffAugment(**{name: value})


def test_points_are_refused():
    with pytest.raises(ValueError) as caught:
        DiffAugment()(torch.zeros(5, 2))
    assert str(caught.value) == "DiffAugment wants images [B, C, H, W], got [5, 2]; take model/augment=none"
