"""Images side by side in one picture, points of a plane in another, and a picture into a PNG file.

Letters in shapes: N images or points, M points, C channels, H height, W width; h, w those of a whole picture.
"""

import math
import os
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_GAP = 2
"""Pixels between neighbouring images."""

_PAPER = 1.0
"""Brightness of the gaps and of cells without an image: white."""

_READABLE_SIDE = 64
"""Images are enlarged by the largest whole factor that keeps their longer side within this many pixels."""

_LARGEST_SHEET = 8192
"""Pixels on a side of the largest sheet of thumbnails that TensorBoard shows."""

_PLANE = 512
"""Pixels on a side of a scatter."""

_MARGIN = 0.1
"""Room around the real points, as a share of half the picture's side."""

_REAL, _FAKE = (3, (0.55, 0.75, 0.95)), (1, (0.85, 0.1, 0.1))
"""Radius in pixels and colour of a point: real ones large and pale, so that a fake on top leaves a rim."""


def image_grid(images: Tensor, columns: int | None = None) -> Tensor:
    """Lays images out in rows, the first at the top left.

    Small images are enlarged so that a person can see them: 28 pixels become 56, 64 and more stay. Gray
    and colour images keep their channels; of any other kind each channel is shown as a gray image, side
    by side. Values outside [-1, 1] are clipped and NaN is shown as mid-gray, so that a diverged model
    still has a picture.

    Args:
        images: `[N, C, H, W]` in [-1, 1].
        columns: Images in a row; None makes the grid nearly square.

    Returns:
        The picture, `[1 or 3, h, w]` in [0, 1].

    Raises:
        ValueError: If there are no images, or `columns` is less than 1.
    """
    _check(images, columns)
    columns = min(columns or math.ceil(math.sqrt(len(images))), len(images))
    return _assemble(_cells(images, columns))


def paired_grid(top: Tensor, bottom: Tensor, columns: int | None = None) -> Tensor:
    """Lays images out in pairs of rows: a row of `top`, beneath it the same images of `bottom`.

    Args:
        top: `[N, C, H, W]` in [-1, 1], e.g. originals.
        bottom: `[N, C, H, W]` in [-1, 1], e.g. their reconstructions.
        columns: Images in a row; None makes the grid nearly square.

    Returns:
        The picture, `[1 or 3, h, w]` in [0, 1].

    Raises:
        ValueError: If the shapes differ, there are no images, or `columns` is less than 1.
    """
    if top.shape != bottom.shape:
        raise ValueError(f"pairs need equal shapes, got {list(top.shape)} above {list(bottom.shape)}")
    _check(top, columns)
    columns = min(columns or math.ceil(math.sqrt(2 * len(top))), len(top))
    pairs = torch.stack([_cells(top, columns), _cells(bottom, columns)], dim=1)
    return _assemble(pairs.flatten(0, 1))  # [rows * 2, columns, C, H, W]


def label_rows(picture: Tensor, labels: list[str]) -> Tensor:
    """Writes a short text to the left of each row of a grid.

    Args:
        picture: `[1 or 3, h, w]` in [0, 1], from `image_grid`.
        labels: A text for each row, from top to bottom.

    Returns:
        The wider picture, `[1 or 3, h, w]` in [0, 1].
    """
    font = ImageFont.load_default()
    width = math.ceil(max(font.getlength(label) for label in labels)) + 3 * _GAP
    margin = Image.new("L", (width, picture.shape[1]), round(255 * _PAPER))
    pitch = (picture.shape[1] + _GAP) / len(labels)
    for row, label in enumerate(labels):
        top = (row + 0.5) * pitch - _GAP / 2
        ImageDraw.Draw(margin).text((_GAP, top), label, fill=0, font=font, anchor="lm")
    pixels = torch.tensor(list(margin.tobytes()), dtype=picture.dtype).view(picture.shape[1], width) / 255
    return torch.cat([pixels.expand(len(picture), -1, -1), picture], dim=2)


def thumbnails(images: Tensor) -> Tensor:
    """Square copies of images, small enough to be shown by the hundreds.

    Args:
        images: `[N, C, H, W]` in [-1, 1].

    Returns:
        `[N, 1 or 3, S, S]` in [0, 1]: the image in the middle of white, S its longer side, 64 at most and
        less where all N together were more than 8192 pixels wide.
    """
    shown = _visible(images)
    height, width = shown.shape[-2:]
    most = min(_READABLE_SIDE, _LARGEST_SHEET // math.ceil(math.sqrt(len(shown))))
    if max(height, width) > most:
        factor = most / max(height, width)
        height, width = max(1, round(height * factor)), max(1, round(width * factor))
        shown = torch.nn.functional.adaptive_avg_pool2d(shown, (height, width))
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    around = (left, side - width - left, top, side - height - top)
    return torch.nn.functional.pad(shown, around, value=_PAPER)


def image_sheet(cells: Tensor) -> Tensor:
    """Lays images out without gaps, as many rows as columns.

    Args:
        cells: `[N, 1 or 3, H, W]` in [0, 1].

    Returns:
        The picture, `[1 or 3, h, w]` in [0, 1]; white where there is no image.
    """
    side = math.ceil(math.sqrt(len(cells)))
    blanks = cells.new_full((side * side - len(cells), *cells.shape[1:]), _PAPER)
    square = torch.cat([cells, blanks]).unflatten(0, (side, side))
    return square.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)  # [C, rows * H, columns * W]


def scatter(real: Tensor, fake: Tensor, frame: Tensor | None = None) -> Tensor:
    """Draws points of a plane: real ones as large pale blue discs, fakes on top of them as small red ones.

    Blue without red is a mode that the model leaves out; red without blue lies where no data are. The
    picture shows the real points with a margin, both axes in one scale, y upwards; fakes further out stand
    at its edge. What is not finite is left out.

    Args:
        real: `[N, 2]`, at least one point.
        fake: `[M, 2]`.
        frame: `[2, 2]`, the lowest and the highest corner of what is shown, with a margin; None: the real points.

    Returns:
        The picture, `[3, h, w]` in [0, 1], h = w.

    Raises:
        ValueError: If the points are not of a plane, or no real one is finite.
    """
    for name, points in (("real", real), ("fake", fake)):
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"a scatter needs points [N, 2], got {name} ones {list(points.shape)}")
    real, fake = (points[points.isfinite().all(1)] for points in (real.detach().cpu(), fake.detach().cpu()))
    if len(real) == 0:
        raise ValueError("a scatter needs at least one finite real point")
    low, high = (real.amin(0), real.amax(0)) if frame is None else frame
    half = float((high - low).max()) / 2 * (1 + _MARGIN) or 1.0
    picture = torch.full((3, _PLANE, _PLANE), _PAPER)
    for points, (radius, colour) in ((real, _REAL), (fake, _FAKE)):
        x, y = (
            ((points - (low + high) / 2) / half * (_PLANE - 1) / 2).clamp(-_PLANE, _PLANE).round().unbind(1)
        )
        _stamp(picture, (_PLANE // 2 - y).long(), (_PLANE // 2 + x).long(), radius, colour)
    return picture


def _stamp(picture: Tensor, rows: Tensor, columns: Tensor, radius: int, colour: tuple[float, ...]) -> None:
    """Draws discs around pixels `[N]`, moved inside the picture `[3, h, w]` where they are not."""
    reach = torch.arange(-radius, radius + 1)
    down, right = torch.meshgrid(reach, reach, indexing="ij")
    inside = down**2 + right**2 <= (radius + 0.5) ** 2
    size = picture.shape[1]
    rows, columns = (at.clamp(radius, size - 1 - radius)[:, None] for at in (rows, columns))
    rows, columns = rows + down[inside], columns + right[inside]  # [N, pixels of a disc]
    picture[:, rows, columns] = torch.tensor(colour)[:, None, None]


def save_png(picture: Tensor, path: str | Path) -> None:
    """Writes a picture, or a single image, as a PNG file; nobody ever sees half a file.

    Missing folders are made and an existing file is replaced.

    Args:
        picture: `[1 or 3, h, w]` in [0, 1].
        path: Where to write.

    Raises:
        ValueError: If the picture has another shape.
    """
    if picture.ndim != 3 or picture.shape[0] not in (1, 3):
        raise ValueError(f"a PNG is written from [1 or 3, h, w], got {list(picture.shape)}")
    pixels = picture.detach().cpu().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    array = pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(array).save(temporary, format="PNG")
    os.replace(temporary, path)


def _check(images: Tensor, columns: int | None) -> None:
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(f"a grid needs images [N, C, H, W] with N at least 1, got {list(images.shape)}")
    if columns is not None and columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")


def _cells(images: Tensor, columns: int) -> Tensor:
    """Maps `[N, C, H, W]` in [-1, 1] to `[rows, columns, 1 or 3, H, W]` in [0, 1], the last row filled up."""
    images = _visible(images)
    factor = max(1, _READABLE_SIDE // max(images.shape[-2:]))
    images = images.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)
    blanks = images.new_full((-len(images) % columns, *images.shape[1:]), _PAPER)
    return torch.cat([images, blanks]).unflatten(0, (-1, columns))


def _visible(images: Tensor) -> Tensor:
    """Maps `[N, C, H, W]` in [-1, 1] to `[N, 1 or 3, H, W or C * W]` in [0, 1]."""
    images = images.detach().cpu().float().nan_to_num(nan=0.0).clamp(-1, 1) / 2 + 0.5
    return images if images.shape[1] in (1, 3) else torch.cat(images.unbind(1), dim=-1)[:, None]


def _assemble(cells: Tensor) -> Tensor:
    """Maps `[rows, columns, C, H, W]` to one picture `[C, h, w]` with gaps between the cells."""
    gapped = torch.nn.functional.pad(cells, (0, _GAP, 0, _GAP), value=_PAPER)
    picture = gapped.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)  # [C, rows * H, columns * W]
    return picture[:, :-_GAP, :-_GAP]
