import numpy as np
import pytest
import torch
from PIL import Image

from genlab.data.pixels import fit, from_pil, to_signed, with_channels


def exact(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_the_range_of_bytes_becomes_exactly_minus_one_to_one():
    # 51 / 127.5 - 1 = -0.6
    exact(to_signed(torch.tensor([0, 255], dtype=torch.uint8)), torch.tensor([-1.0, 1.0]))
    torch.testing.assert_close(to_signed(torch.tensor([51], dtype=torch.uint8)), torch.tensor([-0.6]))


def test_making_images_float_leaves_the_bytes_as_they_were():
    image = torch.arange(256, dtype=torch.uint8)
    to_signed(image)
    exact(image, torch.arange(256, dtype=torch.uint8))


GRAY = np.array([[0, 10, 250]], dtype=np.uint8)
COLOUR = np.array([[[255, 0, 0], [1, 2, 3], [9, 9, 9]]], dtype=np.uint8)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        pytest.param(Image.fromarray(GRAY), [[[0, 10, 250]]], id="gray"),
        pytest.param(Image.fromarray(COLOUR), [[[255, 1, 9]], [[0, 2, 9]], [[0, 3, 9]]], id="colour"),
        pytest.param(Image.fromarray(np.array([[False, True]])), [[[0, 255]]], id="black and white"),
        # 16 bits keep their upper byte: 257 * 10 = 2570, 2570 >> 8 = 10
        pytest.param(Image.fromarray(GRAY.astype(np.uint16) * 257), [[[0, 10, 250]]], id="16 bits"),
        pytest.param(Image.fromarray(GRAY.astype(np.int32) * 257), [[[0, 10, 250]]], id="16 bits in 32"),
        pytest.param(
            Image.fromarray(COLOUR).convert("CMYK"), [[[255, 1, 9]], [[0, 2, 9]], [[0, 3, 9]]], id="print"
        ),
    ],
)
def test_pictures_of_every_mode_are_read(picture, expected):
    exact(from_pil(picture), torch.tensor(expected, dtype=torch.uint8))


def test_palettes_are_looked_up():
    picture = Image.new("P", (2, 1))
    picture.putpalette([7, 8, 9, 20, 30, 40])
    picture.putdata([1, 0])
    exact(from_pil(picture), torch.tensor([[[20, 7]], [[30, 8]], [[40, 9]]], dtype=torch.uint8))


def test_what_is_transparent_becomes_white():
    picture = Image.fromarray(np.array([[[10, 20, 30, 0], [10, 20, 30, 255]]], dtype=np.uint8))
    exact(from_pil(picture), torch.tensor([[[255, 10]], [[255, 20]], [[255, 30]]], dtype=torch.uint8))
    palette = Image.new("P", (1, 1))
    palette.putpalette([1, 2, 3])
    palette.info["transparency"] = 0
    exact(from_pil(palette), torch.full((3, 1, 1), 255, dtype=torch.uint8))


def test_pixels_that_are_floats_are_refused():
    with pytest.raises(ValueError, match="its pixels are floats of an unknown range"):
        from_pil(Image.new("F", (2, 2)))


def test_gray_is_the_luma_that_pillow_computes():
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    gray = with_channels(from_pil(Image.fromarray(array)), 1)
    pillow = torch.from_numpy(np.array(Image.fromarray(array).convert("L")))[None]
    torch.testing.assert_close(gray.int(), pillow.int(), rtol=0, atol=1)
    # .299 * 100 + .587 * 51 + .114 * 200 = 82.637
    colour = torch.tensor([100, 51, 200], dtype=torch.uint8).view(3, 1, 1)
    exact(with_channels(colour, 1), torch.tensor([[[83]]], dtype=torch.uint8))


def test_gray_images_become_coloured_by_repetition_and_none_changes_nothing():
    gray = torch.randint(0, 256, (2, 1, 3, 3), dtype=torch.uint8)
    exact(with_channels(gray, 3), gray.expand(2, 3, 3, 3))
    assert with_channels(gray, None) is gray and with_channels(gray, 1) is gray


def test_images_of_the_right_size_are_left_alone():
    image = torch.randint(0, 256, (1, 4, 4), dtype=torch.uint8)
    assert fit(image, 4) is image and fit(image, None) is image


def test_the_middle_of_the_longer_side_is_kept():
    stripes = torch.tensor([0, 0, 100, 100, 200, 200], dtype=torch.uint8)
    wide = stripes.expand(1, 2, 6)
    exact(fit(wide, 2), torch.full((1, 2, 2), 100, dtype=torch.uint8))
    exact(fit(wide.transpose(1, 2), 2), torch.full((1, 2, 2), 100, dtype=torch.uint8))


def test_shrinking_averages_and_does_not_skip_pixels():
    stripes = torch.tensor([255, 0, 0, 0] * 2, dtype=torch.uint8).expand(1, 8, 8)
    small = fit(stripes, 2)  # four columns become one: about 255 / 4, where sampling between two would give 0
    torch.testing.assert_close(small.float().mean(), torch.tensor(255 / 4), rtol=0, atol=20.0)


@pytest.mark.parametrize(("height", "width"), [(5, 9), (9, 5), (1, 100), (31, 32), (64, 63)])
@pytest.mark.parametrize("size", [2, 8, 33])
def test_any_shape_becomes_the_square_that_was_asked_for(height, width, size):
    assert fit(torch.zeros(3, height, width, dtype=torch.uint8), size).shape == (3, size, size)


def test_a_batch_is_resized_as_its_images_are_one_by_one():
    images = torch.randint(0, 256, (5, 3, 11, 8), dtype=torch.uint8)
    exact(fit(images, 6), torch.stack([fit(image, 6) for image in images]))
