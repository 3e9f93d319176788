"""What a show gives to the verb `sample`, which draws or writes it.

Letters in shapes: n samples, C channels, H height, W width, D dimensions of a point, L latent dimensions.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor

from genlab.pictures import image_grid


class Shown(NamedTuple):
    """What a show gives.

    Attributes:
        values: images `[n, C, H, W]` in [-1, 1], points `[n, D]` or latents `[n, L]`, on the CPU.
        kind: which of them.
        picture: draws them all in one picture `[1 or 3, h, w]` in [0, 1].
        n: how many it is of, counted as the setting `n` does.
        labels: of latents: their classes `[n]`.
    """

    values: Tensor
    kind: Literal["images", "points", "latents"]
    picture: Callable[[], Tensor]
    n: int
    labels: Tensor | None = None


def grid(images: Tensor, n: int, columns: int | None = None) -> Shown:
    """Images `[.., C, H, W]` in rows of `columns`, nearly square where None."""
    images = images.cpu()
    return Shown(
        images,
        "images" if images.ndim == 4 else "points",
        lambda: image_grid(images, columns=columns),
        n,
    )
