"""What a show gives to the verb `sample`, which draws or writes it.

Letters in shapes: n samples, C channels, H height, W width, D dimensions of a point or columns of a series,
T steps, L latent dimensions.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from torch import Tensor

from genlab.pictures import image_grid


class Shown(NamedTuple):
    """What a show gives.

    Attributes:
        values: images `[n, C, H, W]` in [-1, 1], points `[n, D]`, latents `[n, L]` or series `[n, T, D]` in the
            user's units, on the CPU; or n texts, each with its prompt.
        kind: which of them.
        picture: draws them all in one picture `[1 or 3, h, w]` in [0, 1]; of texts there is none.
        n: how many it is of, counted as the setting `n` does.
        labels: of latents: their classes `[n]`.
        columns: of series: the D names.
        lines: of texts: whether each is a line.
        prompt: of texts: what they begin with.
    """

    values: Tensor | list[str]
    kind: Literal["images", "points", "latents", "series", "texts"]
    picture: Callable[[], Tensor] | None
    n: int
    labels: Tensor | None = None
    columns: Sequence[str] = ()
    lines: bool = False
    prompt: str = ""


def grid(images: Tensor, n: int, columns: int | None = None) -> Shown:
    """Images `[.., C, H, W]` in rows of `columns`, nearly square where None."""
    images = images.cpu()
    return Shown(
        images,
        "images" if images.ndim == 4 else "points",
        lambda: image_grid(images, columns=columns),
        n,
    )
