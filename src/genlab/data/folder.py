"""The user's own images: a folder of files, its subfolders their labels."""

import hashlib
import os
from pathlib import Path

from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from genlab.data.pixels import from_pil
from genlab.data.sources import UnreadableImage
from genlab.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}


class Folder(Dataset):
    """The images below a folder, a fixed part of them set aside for testing.

    The part is chosen by a hash of each file's path below the folder: the same on every machine, and new
    files leave nearly all old ones where they were. Photographs are turned upright, as their EXIF data says.

    Attributes:
        files: the images of this split, mixed by that same hash.
        targets: the label of each file: its first subfolder's place in `classes`; 0 where there are none.
        classes: the subfolders with images by name; the folder's own name where there are none.
    """

    def __init__(self, root: str, *, train: bool, test_size: float = 0.1) -> None:
        """Lists the files; reads none of them.

        Args:
            root: the folder.
            train: the images for training and validation, or those for testing.
            test_size: the part that is set aside for testing, between 0 and 1.

        Raises:
            UserError: no such folder, too few images in it, images both beside and in subfolders, or
                `test_size` out of range.
        """
        if not 0 < test_size < 1:
            raise UserError(f"data.train.test_size must lie between 0 and 1, got {test_size}")
        top = Path(root).expanduser()
        found = _find_images(top)
        self.classes = _class_names(top, found)
        mixed = sorted(found, key=lambda file: _digest(file.relative_to(top)))
        num_test = min(max(1, round(test_size * len(found))), len(found) - 2)
        self.files = mixed[num_test:] if train else mixed[:num_test]
        place = {name: number for number, name in enumerate(self.classes)}
        self.targets = [place.get(file.relative_to(top).parts[0], 0) for file in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """An upright picture, uint8 `[1 or 3, H, W]`, and its label.

        Raises:
            UnreadableImage: the file is damaged or no image.
        """
        file = self.files[index]
        try:
            with Image.open(file) as picture:
                return from_pil(ImageOps.exif_transpose(picture)), self.targets[index]
        # Pillow raises a SyntaxError for a broken PNG
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UnreadableImage(str(file), _without_path(error)) from error


def _find_images(top: Path) -> list[Path]:
    """All image files below a folder, hidden ones left out, links followed."""
    if not top.is_dir():
        what = "a file" if top.exists() else "not there"
        raise UserError(f"data.path must be a folder of images, but {top} is {what}")
    found = []
    for place, folders, names in os.walk(top, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [Path(place, name) for name in names if not name.startswith(".")]
        found += [file for file in files if file.suffix.lower() in SUFFIXES]
    if len(found) < 3:
        raise UserError(
            f"data.path {top} holds {len(found)} images, but at least 3 are needed to train, validate and"
            f" test; image files end in one of {' '.join(sorted(SUFFIXES))}"
        )
    return found


def _class_names(top: Path, found: list[Path]) -> list[str]:
    subfolders = sorted({file.relative_to(top).parts[0] for file in found if file.parent != top})
    beside = sorted(file.name for file in found if file.parent == top)
    if subfolders and beside:
        raise UserError(
            f"data.path {top} holds images both in subfolders ({_few(subfolders)}) and beside them"
            f" ({_few(beside)}): subfolders are labels, so move these into one"
        )
    return subfolders or [top.resolve().name]


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.as_posix().encode("utf-8", "surrogateescape")).hexdigest()


def _without_path(error: BaseException) -> str:
    """What went wrong; Pillow repeats the file's name for the commonest cause."""
    return "no image format is recognised" if "cannot identify image file" in str(error) else str(error)
