"""Pixels between files, memory and models: uint8 as they are stored, [-1, 1] as a model sees them.

Letters in shapes: C channels, H height, W width; `...` any leading dimensions or none.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F


def to_signed(image: Tensor) -> Tensor:
    """Maps uint8 0..255 to float -1..1, any shape; 0 and 255 exactly to -1 and 1."""
    return torch.div(image, 127.5).sub_(1)


def from_pil(image: Image.Image) -> Tensor:
    """The pixels of a picture of any mode as uint8 `[1 or 3, H, W]`; what is transparent becomes white.

    Raises:
        ValueError: the pixels are 32-bit floats, whose range nobody knows.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floats of an unknown range")
    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow's own conversion would clip at 255
        return torch.from_numpy((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))[None]
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    array = np.array(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    return torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def with_channels(images: Tensor, channels: int | None) -> Tensor:
    """Makes uint8 images `[..., C, H, W]` gray (1 channel) or coloured (3); None leaves them as they are.

    Gray is the luma of ITU-R 601, `.299 R + .587 G + .114 B`.
    """
    if channels in (None, images.shape[-3]):
        return images
    if channels == 3:
        return images.repeat_interleave(3, dim=-3)
    red, green, blue = images.unbind(dim=-3)
    luma = red.to(torch.int32).mul_(299).add_(green, alpha=587).add_(blue, alpha=114)
    return ((luma + 500) // 1000).to(torch.uint8).unsqueeze(-3)


def fit(images: Tensor, size: int | None) -> Tensor:
    """Makes uint8 images `[..., C, H, W]` square: the shorter side to `size` pixels, the longer side cropped.

    None leaves them as they are. Bilinear, antialiased.
    """
    height, width = images.shape[-2:]
    if size is None or height == width == size:
        return images
    new = [max(size, round(side * size / min(height, width))) for side in (height, width)]
    flat = images.reshape(-1, *images.shape[-3:]).contiguous()
    flat = F.interpolate(flat, new, mode="bilinear", antialias=True)
    top, left = (new[0] - size) // 2, (new[1] - size) // 2
    flat = flat[..., top : top + size, left : left + size].contiguous()
    return flat.reshape(*images.shape[:-2], size, size)
