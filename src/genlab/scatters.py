"""Points of a plane in one picture: samples over real ones, and what has classes by their colours.

Letters in shapes: N points, M points, K classes; h, w the sides of a whole picture.
"""

import colorsys
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_PAPER = 1.0
"""Brightness where there is no point: white."""

_PLANE = 512
"""Pixels on a side of a scatter."""

_MARGIN = 0.1
"""Room around the real points, as a share of half the picture's side."""

_REAL, _FAKE = (3, (0.55, 0.75, 0.95)), (1, (0.85, 0.1, 0.1))
"""Radius in pixels and colour of a point: real ones large and pale, so that a fake on top leaves a rim."""

_COLOURS = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
)
"""Of the first ten classes, where there are no more."""

_RADIUS = 2
"""Pixels of a point that has a class."""

_TOP, _LEFT, _BOTTOM, _LINE = 20, 48, 20, 18
"""Pixels of the margins around a scatter by class, and of a line of its legend."""

_LONGEST_NAME = 24
"""Letters of a class's name in the legend."""


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


def class_scatter(
    points: Tensor, *, axes: tuple[str, str], labels: Tensor | None = None, names: Sequence[str] = ()
) -> Tensor:
    """Draws points of a plane in the colours of their classes, with a legend of those that are there.

    The picture shows all points with a margin, both axes in one scale, y upwards, the numbers at the ends of
    the axes beside them. Of points that cover each other the last is on top. What is not finite is left out.

    Args:
        points: `[N, 2]`.
        axes: The names of x and y.
        labels: `[N]`, classes from 0 to K - 1; None: all in one colour, without a legend.
        names: K names of classes.

    Returns:
        The picture, `[3, h, w]` in [0, 1].

    Raises:
        ValueError: If the points are not of a plane, or a label has no name.
    """
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"a scatter needs points [N, 2], got {list(points.shape)}")
    seen = points.detach().cpu().isfinite().all(1)
    points, of = points.detach().cpu()[seen], [0] * int(seen.sum())
    if labels is not None:
        of = labels.cpu()[seen].tolist()
        if of and not 0 <= min(of) <= max(of) < len(names):
            raise ValueError(f"labels need a name each, got {len(names)} names and label {max(of)}")
    there = sorted(set(of)) if labels is not None else []
    legend = _legend([(_colour(k, len(names)), names[k]) for k in there])
    sheet = Image.new("RGB", (_LEFT + _PLANE + legend.width, _TOP + _PLANE + _BOTTOM), "white")
    sheet.paste(legend, (_LEFT + _PLANE, _TOP))
    draw = ImageDraw.Draw(sheet)
    low, half = _range(points)
    for (x, y), k in zip(((points - low) / half * (_PLANE - 1) / 2).round().tolist(), of, strict=True):
        across, down = _LEFT + x, _TOP + _PLANE - 1 - y
        disc = (across - _RADIUS, down - _RADIUS, across + _RADIUS, down + _RADIUS)
        draw.ellipse(disc, fill=_colour(k, len(names)))
    draw.rectangle((_LEFT, _TOP, _LEFT + _PLANE - 1, _TOP + _PLANE - 1), outline="#b0b0b0")
    _name_axes(draw, axes, [(float(a), float(a) + 2 * half) for a in low] if len(points) else [])
    pixels = torch.frombuffer(bytearray(sheet.tobytes()), dtype=torch.uint8)
    return pixels.view(sheet.height, sheet.width, 3).permute(2, 0, 1) / 255


def _range(points: Tensor) -> tuple[Tensor, float]:
    """The lower left corner `[2]` of the square that shows points `[N, 2]`, and half its side."""
    if len(points) == 0:
        return torch.zeros(2), 1.0
    low, high = points.amin(0), points.amax(0)
    half = float((high - low).max()) / 2 * (1 + _MARGIN) or 1.0
    return (low + high) / 2 - half, half


def _colour(label: int, num_classes: int) -> str:
    """Of a class: one of ten, or where there are more of hues around the circle, light and dark in turn."""
    if num_classes <= len(_COLOURS):
        return _COLOURS[label]
    red, green, blue = colorsys.hsv_to_rgb(label / num_classes, 0.85, (0.9, 0.6)[label % 2])
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def _legend(classes: list[tuple[str, str]]) -> Image.Image:
    """A column of squares, each with a name beside it; narrow and empty where there are no classes."""
    most = _PLANE // _LINE
    lines = [(colour, " ".join(name.split())[:_LONGEST_NAME]) for colour, name in classes]
    if len(lines) > most:
        lines = [*lines[: most - 1], ("white", f"and {len(lines) - most + 1} more")]
    font = ImageFont.load_default()
    width = max((int(font.getlength(name)) + 32 for _, name in lines), default=8)
    column = Image.new("RGB", (width, _PLANE), "white")
    draw = ImageDraw.Draw(column)
    for row, (colour, name) in enumerate(lines):
        middle = row * _LINE + _LINE // 2
        draw.rectangle((8, middle - 5, 18, middle + 5), fill=colour)
        draw.text((24, middle), name, fill="black", font=font, anchor="lm")
    return column


def _name_axes(draw: ImageDraw.ImageDraw, axes: tuple[str, str], ends: list[tuple[float, float]]) -> None:
    """Writes the names of x, below, and y, above, and where there are any the numbers at their ends."""
    font, (x, y) = ImageFont.load_default(), axes
    right, below = _LEFT + _PLANE, _TOP + _PLANE
    texts = [(_LEFT + _PLANE // 2, below + 4, x, "mt"), (_LEFT, _TOP - 4, y, "lb")]
    if ends:
        (left_end, right_end), (low_end, high_end) = ends
        texts += [(_LEFT, below + 4, f"{left_end:.3g}", "lt"), (right, below + 4, f"{right_end:.3g}", "rt")]
        texts += [(_LEFT - 4, below, f"{low_end:.3g}", "rb"), (_LEFT - 4, _TOP, f"{high_end:.3g}", "rt")]
    for across, down, text, anchor in texts:
        draw.text((across, down), text, fill="black", font=font, anchor=anchor)
