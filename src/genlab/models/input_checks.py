"""What a family refuses of what it is called with, each in one sentence.

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions.
"""

from collections.abc import Sequence

from torch import Tensor

from genlab.errors import UserError


def at_least_one(**numbers: int) -> None:
    """Refuses numbers below 1.

    Raises:
        UserError: one is.
    """
    for name, value in numbers.items():
        if value < 1:
            raise UserError(f"{name} must be at least 1, got {value}")


def check_images(image: Tensor, shape: Sequence[int]) -> None:
    """Refuses what are no floats `[B, C, H, W]` of a `shape` `[C, H, W]`.

    Raises:
        UserError: another shape or type.
    """
    if list(image.shape[1:]) != list(shape) or not image.is_floating_point():
        wanted = ", ".join(map(str, ["B", *shape]))
        raise UserError(f"images must be floats [{wanted}] in [-1, 1], got {image.dtype} {list(image.shape)}")


def check_latents(z: Tensor, latent_dim: int) -> None:
    """Refuses what are no latents `[B, L]`.

    Raises:
        UserError: another shape.
    """
    if z.ndim != 2 or z.shape[1] != latent_dim:
        raise UserError(f"latents must be [B, {latent_dim}], got {list(z.shape)}")
