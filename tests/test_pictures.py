import numpy as np
import pytest
import torch
from PIL import Image

from genlab import pictures
from genlab.pictures import image_grid, image_sheet, label_rows, paired_grid, save_png, thumbnails


def _constant_images(values, size=64, channels=1):
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, channels, size, size)


def test_a_grid_reads_from_left_to_right_and_top_to_bottom():
    grid = image_grid(_constant_images([-1.0, -0.5, 0.0]), columns=2)
    assert grid.shape == (1, 130, 130)  # 64 + a gap of 2 + 64
    cells = [grid[0, 0, 0], grid[0, 0, 66], grid[0, 66, 0], grid[0, 66, 66]]
    torch.testing.assert_close(torch.stack(cells), torch.tensor([0.0, 0.25, 0.5, 1.0]))  # the last is paper


def test_there_is_a_white_gap_between_images_and_none_around():
    grid = image_grid(_constant_images([-1.0, -1.0]), columns=2)
    assert grid[0, :, 64:66].eq(1).all()
    assert grid[0, :, :64].eq(0).all() and grid[0, :, 66:].eq(0).all()


@pytest.mark.parametrize(("count", "shape"), [(1, (64, 64)), (5, (130, 196)), (9, (196, 196))])
def test_a_grid_is_nearly_square_by_default(count, shape):
    assert image_grid(torch.zeros(count, 3, 64, 64)).shape == (3, *shape)


def test_a_grid_is_no_wider_than_its_images():
    assert image_grid(torch.zeros(2, 1, 64, 64), columns=10).shape == (1, 64, 130)


@pytest.mark.parametrize(("size", "shown"), [(8, 64), (28, 56), (32, 64), (33, 33), (100, 100)])
def test_small_images_are_enlarged_by_a_whole_factor(size, shown):
    assert image_grid(torch.zeros(1, 1, size, size)).shape == (1, shown, shown)


def test_an_enlarged_pixel_is_a_square_of_its_own_brightness():
    image = torch.tensor([[-1.0, 1.0], [0.0, 0.5]])
    expected = torch.tensor([[0.0, 1.0], [0.5, 0.75]]).kron(torch.ones(32, 32))
    torch.testing.assert_close(image_grid(image[None, None])[0], expected)


def test_two_channels_are_shown_side_by_side_as_gray():
    image = torch.stack([torch.full((40, 20), -1.0), torch.full((40, 20), 0.0)])
    grid = image_grid(image[None])
    assert grid.shape == (1, 40, 40)
    torch.testing.assert_close(grid[0, 0], torch.tensor([0.0, 0.5]).repeat_interleave(20))


def test_a_diverged_model_still_has_a_picture():
    grid = image_grid(_constant_images([float("nan"), 3.0, float("-inf")]), columns=3)
    torch.testing.assert_close(grid[0, 0, [0, 66, 132]], torch.tensor([0.5, 1.0, 0.0]))


def test_pairs_stand_one_above_the_other():
    top, bottom = _constant_images([-1.0, -0.5, 0.0]), _constant_images([1.0, 0.5, 0.25])
    grid = paired_grid(top, bottom, columns=2)
    columns = grid[0, ::66][:, [0, 66]]  # one pixel of every image
    torch.testing.assert_close(columns, torch.tensor([[0.0, 0.25], [1.0, 0.75], [0.5, 1.0], [0.625, 1.0]]))


@pytest.mark.parametrize(
    ("images", "columns", "message"),
    [
        (torch.zeros(0, 1, 8, 8), None, r"N at least 1, got \[0, 1, 8, 8\]"),
        (torch.zeros(1, 8, 8), None, r"needs images \[N, C, H, W\] with N at least 1, got \[1, 8, 8\]"),
        (torch.zeros(1, 1, 8, 8), 0, "columns must be at least 1, got 0"),
    ],
    ids=["none", "no batch", "no columns"],
)
def test_a_grid_of_nothing_is_refused(images, columns, message):
    with pytest.raises(ValueError, match=message):
        image_grid(images, columns)
    with pytest.raises(ValueError, match=message):
        paired_grid(images, images, columns)


def test_pairs_of_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match=r"equal shapes, got \[2, 1, 8, 8\] above \[3, 1, 8, 8\]"):
        paired_grid(torch.zeros(2, 1, 8, 8), torch.zeros(3, 1, 8, 8))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_the_picture_to_the_nearest_of_256_levels(tmp_path, channels):
    picture = torch.rand(channels, 5, 7, generator=torch.Generator().manual_seed(0))
    save_png(picture, tmp_path / "new" / "folders" / "a.png")
    with Image.open(tmp_path / "new" / "folders" / "a.png") as image:
        pixels = torch.from_numpy(np.array(image)).view(5, 7, channels).permute(2, 0, 1)
    torch.testing.assert_close(pixels, (picture * 255).round().to(torch.uint8))


def test_a_failed_write_leaves_the_old_png_alone(tmp_path, monkeypatch):
    save_png(torch.zeros(1, 4, 4), tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    def half_a_file(self, path, format):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pictures.Image.Image, "save", half_a_file)
    with pytest.raises(OSError, match="disk full"):
        save_png(torch.ones(1, 4, 4), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before


def test_a_png_leaves_nothing_else_in_its_folder(tmp_path):
    save_png(torch.zeros(3, 4, 4), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_batch_is_no_png(tmp_path):
    with pytest.raises(ValueError, match=r"written from \[1 or 3, h, w\], got \[2, 1, 4, 4\]"):
        save_png(torch.zeros(2, 1, 4, 4), tmp_path / "a.png")


def test_rows_are_labelled_at_their_own_height():
    picture = image_grid(_constant_images([0.0, 0.0, 0.0]), columns=1)  # [1, 196, 64]
    labelled = label_rows(picture, ["z1", "", "z10"])
    margin = labelled.shape[2] - 64
    assert labelled.shape[:2] == (1, 196) and margin > 10
    torch.testing.assert_close(labelled[:, :, margin:], picture, rtol=0, atol=0)
    dark = (labelled[0, :, :margin] < 0.5).any(1).nonzero().flatten()
    assert len(dark) and (((dark > 22) & (dark < 42)) | ((dark > 154) & (dark < 174))).all()  # 32 and 164


def test_labels_keep_the_channels_of_the_picture():
    assert label_rows(torch.zeros(3, 40, 20), ["a", "b"]).shape[:2] == (3, 40)


def test_thumbnails_are_square_and_small():
    image = torch.full((2, 3, 100, 50), -1.0)
    small = thumbnails(image)
    assert small.shape == (2, 3, 64, 64)
    assert small[..., 16:48].eq(0).all() and small[..., :16].eq(1).all() and small[..., 48:].eq(1).all()


def test_thumbnails_of_small_images_are_the_images():
    image = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(thumbnails(image), image / 2 + 0.5)


def test_very_many_thumbnails_still_make_a_sheet_that_can_be_shown(monkeypatch):
    monkeypatch.setattr(pictures, "_LARGEST_SHEET", 100)
    assert image_sheet(thumbnails(torch.zeros(8, 1, 64, 64))).shape == (1, 99, 99)


def test_a_sheet_has_as_many_rows_as_columns_and_no_gaps():
    sheet = image_sheet(torch.tensor([0.0, 0.25, 0.5, 0.75, 0.1]).view(-1, 1, 1, 1).expand(-1, 1, 2, 2))
    expected = torch.tensor([[0.0, 0.25, 0.5], [0.75, 0.1, 1.0], [1.0, 1.0, 1.0]]).kron(torch.ones(2, 2))
    torch.testing.assert_close(sheet[0], expected)
