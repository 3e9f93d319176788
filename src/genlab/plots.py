"""Series as lines, real ones beside samples, and clouds of points beside each other.

Letters in shapes: N real series, M samples, T steps, D columns; h, w those of a whole picture.
"""

import math

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from genlab.scatters import scatter

_WIDE, _HIGH = 340, 110
"""Pixels of a panel."""

_LEFT, _TOP, _GAP = 92, 26, 12
"""Pixels left of the panels, for names and numbers, above them, for headings, and between them."""

_FINE = 3
"""Lines are drawn so many times larger and then made smaller, which smooths them."""

_MARGIN = 0.08
"""Room above and below the real values, as a share of their range."""

_REACH = 1.0
"""Samples outside the real range widen a scale by so many ranges each way, at most."""

_FAR_OUT = 0.01
"""The share of samples, on each side, that may stand at the edge of a scatter."""

_MOST_COLUMNS = 12
"""Columns that are drawn; of more the first."""

_INK = [
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40),
    (148, 103, 189), (140, 86, 75), (227, 119, 194), (90, 90, 90),
]  # fmt: skip


def series_panels(real: Tensor, fake: Tensor, names: list[str]) -> Tensor:
    """Draws real series on the left and samples on the right, a row of panels for each column.

    Both panels of a row have one scale, written beside them. It holds all real values, and the samples up to
    their range away on each side: so a model that diverges still has a picture. What is not finite is left
    out. A series has one colour in all rows.

    Args:
        real: `[N, T, D]`, at least one; the first eight have colours of their own.
        fake: `[M, T, D]`.
        names: of the D columns; at most 12 are drawn.

    Returns:
        The picture, `[3, h, w]` in [0, 1].

    Raises:
        ValueError: If these are no series, of unlike columns, or no real value is finite.
    """
    if real.ndim != 3 or fake.ndim != 3 or real.shape[2] != fake.shape[2] or len(names) != real.shape[2]:
        raise ValueError(
            f"panels need series [N, T, D] and D names, got {list(real.shape)}, {list(fake.shape)} and {len(names)}"
        )
    real, fake = real.detach().cpu().double(), fake.detach().cpu().double()
    if not real.isfinite().any():
        raise ValueError("panels need a finite real value")
    shown = min(len(names), _MOST_COLUMNS)
    height = _TOP + shown * (_HIGH + _GAP)
    sheet = Image.new("RGB", (_LEFT + 2 * (_WIDE + _GAP), height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for k, heading in enumerate((f"real ({len(real)})", f"samples ({len(fake)})")):
        pen.text(
            (_LEFT + k * (_WIDE + _GAP) + _WIDE / 2, _TOP / 2), heading, fill="black", font=font, anchor="mm"
        )
    for row in range(shown):
        top = _TOP + row * (_HIGH + _GAP)
        low, high = _scale(real[..., row], fake[..., row])
        for k, series in enumerate((real, fake)):
            sheet.paste(_panel(series[..., row], low, high), (_LEFT + k * (_WIDE + _GAP), top))
        _write_beside(pen, font, top, names[row], low, high)
    return _as_tensor(sheet)


def clouds(panels: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
    """Draws scatters beside each other, each under its heading: real points blue, samples red on top of them.

    Each axis has a scale of its own, which holds both clouds: all real points, and the samples but those further
    than the real range away, if they are among the outermost hundredth of a side; these stand at the edge, see
    `genlab.scatters.scatter`.

    Args:
        panels: real points `[N, 2]` and samples `[M, 2]` by heading.

    Returns:
        The picture, `[3, h, w]` in [0, 1].

    Raises:
        ValueError: If points are not of a plane, or no real one is finite.
    """
    pictures = []
    for heading, (real, fake) in panels.items():
        picture = scatter(*_framed(real, fake))
        strip = Image.new("RGB", (picture.shape[2], _TOP), "white")
        text = f"{heading}: {len(real)} real (blue), {len(fake)} samples (red)"
        ImageDraw.Draw(strip).text(
            (picture.shape[2] / 2, _TOP / 2), text, fill="black", font=ImageFont.load_default(), anchor="mm"
        )
        whole = torch.cat([_as_tensor(strip), picture], 1)
        whole[:, _TOP, :] = whole[:, -1, :] = whole[:, _TOP:, 0] = whole[:, _TOP:, -1] = 0.8  # a frame
        pictures += [whole, torch.ones(3, whole.shape[1], _GAP)]
    return torch.cat(pictures[:-1], 2)


def _framed(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Points and what is shown of them, moved and stretched into the unit square."""
    real, fake = (points[points.isfinite().all(1)] for points in (real, fake))
    if not len(real):
        return real, fake, None
    ends = [_holding_both(r, f) for r, f in zip(real.T, fake.T, strict=True)]
    low, high = torch.tensor(ends, dtype=real.dtype).T
    width = (high - low).clamp(min=1e-12)
    return (real - low) / width, (fake - low) / width, torch.tensor([[0.0, 0.0], [1.0, 1.0]])


def _holding_both(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """The range of real coordinates `[N]` and of samples `[M]`, but the outermost where these are far away."""
    low, high = float(real.min()), float(real.max())
    if not len(fake):
        return low, high
    low, high = _widened(low, high, float(fake.min()), float(fake.max()))
    out = max(int(_FAR_OUT * len(fake)), 1 if len(fake) >= 10 else 0)
    inner = fake.sort().values[out : len(fake) - out]
    return min(low, float(inner[0])), max(high, float(inner[-1]))


def _widened(
    low: float, high: float, lowest: float = math.inf, highest: float = -math.inf
) -> tuple[float, float]:
    """The range of the real values with what is near it of the samples'."""
    reach = _REACH * (high - low)
    return min(low, max(low - reach, lowest)), max(high, min(high + reach, highest))


def _scale(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """The ends of the scale of one column, apart even where all is the same."""
    real, fake = real[real.isfinite()], fake[fake.isfinite()]
    if not len(real):
        return 0.0, 1.0
    low, high = float(real.min()), float(real.max())
    if len(fake):
        low, high = _widened(low, high, float(fake.min()), float(fake.max()))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _panel(series: Tensor, low: float, high: float) -> Image.Image:
    """The lines of `[N, T]`."""
    wide, high_ = _WIDE * _FINE, _HIGH * _FINE
    panel = Image.new("RGB", (wide, high_), "white")
    pen = ImageDraw.Draw(panel)
    room = _MARGIN * (high - low)
    across = torch.linspace(0, wide - 1, series.shape[1])
    up = (high_ - 1) * (1 - (series - low + room) / (high - low + 2 * room))
    for k, line in enumerate(up.clamp(-high_, 2 * high_)):  # [T]
        points = [(float(x), float(y)) for x, y in zip(across, line, strict=True) if bool(y.isfinite())]
        if len(points) > 1:
            pen.line(points, fill=_INK[k % len(_INK)], width=_FINE + 1, joint="curve")
    pen.rectangle((0, 0, wide - 1, high_ - 1), outline=(190, 190, 190), width=_FINE)
    return panel.reduce(_FINE)


def _write_beside(
    pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, top: int, name: str,
    low: float, high: float,
) -> None:  # fmt: skip
    """Writes a column's name and the ends of its scale left of its panels."""
    inset = _MARGIN / (1 + 2 * _MARGIN) * _HIGH
    right = _LEFT - 6
    for at, text in ((inset, f"{high:.4g}"), (_HIGH / 2, _cut(name, font)), (_HIGH - inset, f"{low:.4g}")):
        pen.text((right, top + at), text, fill="black", font=font, anchor="rm")


def _cut(name: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """A name that is not longer than its place."""
    plain = "".join(letter if letter.isprintable() else " " for letter in name)
    while font.getlength(plain) > _LEFT - 10:
        plain = plain.removesuffix("...")[:-1] + "..."
    return plain


def _as_tensor(picture: Image.Image) -> Tensor:
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.view(picture.height, picture.width, 3).permute(2, 0, 1) / 255
