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


def map_sizes(image_shape: Sequence[int], downsampling: int) -> list[Size]:
    """The sizes from an image down to a map of features, each half of the one before, rounded down.

    Args:
        image_shape: C, H, W.
        downsampling: how many times smaller the sides of the map are: 2, 4, 8, 16 ...

    Raises:
        UserError: if it is no power of two, or leaves nothing of the image.
    """
    halved = downsampling.bit_length() - 1
    if downsampling < 2 or downsampling != 2**halved:
        raise UserError(f"model.downsampling must be a power of two from 2 on, got {downsampling}")
    if min(image_shape[1:]) < downsampling:
        raise UserError(
            f"model.downsampling={downsampling} needs images of at least {downsampling}x{downsampling}, "
            f"got {image_shape[1]}x{image_shape[2]}: lower it, or raise data.image_size"
        )
    return [(image_shape[1] >> k, image_shape[2] >> k) for k in range(halved + 1)]
