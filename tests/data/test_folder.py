from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import fails
from PIL import Image

from genlab.data.folder import Folder
from genlab.data.images import ImageData
from genlab.data.sources import UnreadableImage
from genlab.errors import UserError

COLOURS = {"cats": (200, 10, 10), "dogs": (10, 200, 10), "eels": (10, 10, 200)}


def paint(file: Path, colour=(90, 90, 90), size=(10, 8), mode="RGB"):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(file)


@pytest.fixture
def pets(tmp_path):
    """Twelve images of each colour under a folder of their own, sizes, formats and modes mixed."""
    formats = [
        ("png", "RGB"),
        ("png", "P"),
        ("png", "RGBA"),
        ("bmp", "RGB"),
        ("webp", "RGB"),
        ("tiff", "RGB"),
    ]
    for kind, colour in COLOURS.items():
        for i in range(12):
            suffix, mode = formats[i % 6]
            paint(tmp_path / kind / f"{i}.{suffix}", colour, (10 + i, 9 + 2 * i), mode)
    return tmp_path


def data_of(path, **changes):
    settings = {"channels": 3, "image_size": 6, "batch_size": 4, "val_size": 0.1, "num_workers": 0} | changes
    data = ImageData(
        train=lambda root: Folder(root, train=True, test_size=0.2),
        test=lambda root: Folder(root, train=False, test_size=0.2),
        root="unused",
        path=str(path),
        **settings,
    )
    data.prepare_data()
    data.setup("fit")
    return data


def test_subfolders_are_labels_and_facts_are_found(pets):
    data = data_of(pets)
    assert data.facts() == {
        "image_shape": [3, 6, 6],
        "num_classes": 3,
        "class_names": ["cats", "dogs", "eels"],
    }
    for batch in data.train_dataloader():
        for image, label in zip(batch.image, batch.label.tolist(), strict=True):
            colour = torch.tensor(list(COLOURS.values())[label])
            torch.testing.assert_close(image.float().mean((1, 2)), colour.float(), rtol=0, atol=2.0)


def test_the_three_splits_hold_every_image_once(pets):
    train, test = Folder(str(pets), train=True, test_size=0.2), Folder(str(pets), train=False, test_size=0.2)
    assert (len(train), len(test)) == (29, 7)
    assert sorted([*train.files, *test.files]) == sorted(f for f in pets.rglob("*") if f.is_file())
    data = data_of(pets)
    data.setup("test")
    assert (data.num_train, data.num_val, data.num_test) == (26, 3, 7)


def test_the_split_goes_with_the_names_below_the_folder_and_not_with_its_place(pets, tmp_path_factory):
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    names = [f.relative_to(pets) for f in Folder(str(pets), train=False).files]
    pets.rename(moved)
    assert [f.relative_to(moved) for f in Folder(str(moved), train=False).files] == names


def test_the_test_images_are_a_mixture_of_all_folders(pets):
    targets = Folder(str(pets), train=False, test_size=0.3).targets
    assert set(targets) == {0, 1, 2} and targets != sorted(targets)


def test_a_new_image_leaves_the_test_images_where_they_were(pets):
    before = set(Folder(str(pets), train=False).files)
    paint(pets / "cats" / "new.png")
    assert len(before - set(Folder(str(pets), train=False).files)) <= 1


def test_without_subfolders_there_is_one_class_named_after_the_folder(tmp_path):
    for i in range(5):
        paint(tmp_path / "holiday" / f"{i}.png")
    facts = data_of(tmp_path / "holiday", channels=1, batch_size=2).facts()
    assert facts == {"image_shape": [1, 6, 6], "num_classes": 1, "class_names": ["holiday"]}


def test_deeper_folders_belong_to_the_first_one(tmp_path):
    for i in range(4):
        paint(tmp_path / "a" / "deep" / "er" / f"{i}.png")
        paint(tmp_path / "b" / f"{i}.PNG")
    folder = Folder(str(tmp_path), train=True)
    assert folder.classes == ["a", "b"]
    assert [f.relative_to(tmp_path).parts[0] == "b" for f in folder.files] == [t == 1 for t in folder.targets]


def test_hidden_files_and_other_kinds_of_files_are_passed_over(tmp_path):
    for i in range(3):
        paint(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "._0.png").write_bytes(b"\0")
    paint(tmp_path / ".thumbnails" / "0.png")
    assert len(Folder(str(tmp_path), train=True)) + len(Folder(str(tmp_path), train=False)) == 3


def test_photographs_are_turned_upright(tmp_path):
    array = np.zeros((2, 4, 3), dtype=np.uint8)
    array[:, 0] = 255  # white at the left
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right: the left becomes the top
    for i in range(3):
        Image.fromarray(array).save(tmp_path / f"{i}.png", exif=exif)
    image, _ = Folder(str(tmp_path), train=True)[0]
    assert image.shape == (3, 4, 2)
    assert (image[:, 0] == 255).all() and (image[:, 1:] == 0).all()


def test_streaming_a_folder_gives_the_batches_that_memory_gives(pets):
    held, streamed = data_of(pets), data_of(pets, memory_budget=0, num_workers=2)
    for a, b in zip(held.train_dataloader(), streamed.train_dataloader(), strict=True):
        torch.testing.assert_close(a.image, b.image, rtol=0, atol=0)
        torch.testing.assert_close(a.label, b.label, rtol=0, atol=0)
    torch.testing.assert_close(held.mean_image(), streamed.mean_image())


def test_a_missing_folder_a_file_and_an_empty_folder_are_told_apart(tmp_path):
    (tmp_path / "file.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    must = "data.path must be a folder of images, but"
    fails(f"{must} {tmp_path}/none is not there", lambda: Folder(f"{tmp_path}/none", train=True))
    fails(f"{must} {tmp_path}/file.png is a file", lambda: Folder(f"{tmp_path}/file.png", train=True))
    fails(
        f"data.path {tmp_path}/empty holds 0 images, but at least 3 are needed to train, validate and test;"
        " image files end in one of .bmp .gif .jpeg .jpg .pbm .pgm .png .ppm .tif .tiff .webp",
        lambda: Folder(f"{tmp_path}/empty", train=True),
    )


def test_images_beside_folders_of_images_are_refused(pets):
    paint(pets / "lost.png")
    fails(
        f"data.path {pets} holds images both in subfolders (cats, dogs, eels) and beside them (lost.png):"
        " subfolders are labels, so move these into one",
        lambda: Folder(str(pets), train=True),
    )


@pytest.mark.parametrize("size", [0.0, 1.0, 3.0])
def test_a_test_size_out_of_range_is_refused(pets, size):
    fails(
        f"data.train.test_size must lie between 0 and 1, got {size}",
        lambda: Folder(str(pets), train=True, test_size=size),
    )


def damage(file: Path):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_a_damaged_image_is_named(pets):
    file = next(f for f in Folder(str(pets), train=True, test_size=0.2).files if f.suffix == ".webp")
    damage(file)
    for budget in (0, 10):
        with pytest.raises(UserError) as raised:
            data = data_of(pets, memory_budget=budget, num_workers=2, drop_last=False)
            list(data.train_dataloader())
            list(data.val_dataloader())
        assert isinstance(raised.value, UnreadableImage)
        assert str(raised.value).startswith(f"{file} cannot be read as an image (")
        assert str(raised.value).endswith("); mend or remove it") and "\n" not in str(raised.value)


def test_of_many_unreadable_files_the_first_are_named(pets):
    files = Folder(str(pets), train=True, test_size=0.2).files[1:6]
    for file in files:
        file.write_text("not an image")
    names = ", ".join(map(str, files[:3]))
    fails(f"5 of 29 images cannot be read; mend or remove them: {names}, ...", lambda: data_of(pets))


def test_images_that_differ_in_size_need_an_image_size(pets):
    with pytest.raises(
        UserError, match=r"^the images differ in shape: the first is .*; give data.image_size and data"
    ):
        data_of(pets, image_size=None)


@pytest.mark.parametrize("num", [3, 4, 5])
def test_the_smallest_folders_still_have_all_three_splits(tmp_path, num):
    for i in range(num):
        paint(tmp_path / f"{i}.png")
    data = data_of(tmp_path, batch_size=1)
    data.setup("test")
    assert len(Folder(str(tmp_path), train=True, test_size=0.99)) == 2
    assert min(data.num_train, data.num_val, data.num_test) >= 1
    assert data.num_train + data.num_val + data.num_test == num
