"""The stages of convolutional networks, and what to say of images that are too small for them."""

from collections.abc import Sequence

from genlab.errors import UserError
from genlab.layers.sizes import SMALLEST_SIDE, Size, halvings


def stage_sizes(network: str, image_shape: Sequence[int]) -> list[Size]:
    """The sizes of a network's stages, from the image down; two or more.

    Args:
        network: its name, for the error message.
        image_shape: C, H, W.

    Raises:
        UserError: if the image is too small to be halved.
    """
    sizes = halvings(*image_shape[1:])
    if len(sizes) == 1:
        raise UserError(
            f"{network} needs images of at least {2 * SMALLEST_SIDE}x{2 * SMALLEST_SIDE}, "
            f"got {image_shape[1]}x{image_shape[2]}: use model/network=mlp"
        )
    return sizes
