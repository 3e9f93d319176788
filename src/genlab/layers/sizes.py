"""The arithmetic of networks that halve an image stage by stage, for images of any size."""

Size = tuple[int, int]
"""Height, width."""

SMALLEST_SIDE = 3
"""Halving stops before a side would get shorter; 28 and 32 both end after three stages, at 3 and at 4."""

LARGEST_FACTOR = 8
"""Channels double with each stage up to this many times the width, as in DCGAN (64 to 512)."""


def halvings(height: int, width: int) -> list[Size]:
    """The sizes of the stages, from the image down, each side halved and rounded down.

    28x28 gives 28, 14, 7, 3; 100x100 gives 100, 50, 25, 12, 6, 3; 33x47 gives 33x47, 16x23, 8x11, 4x5.

    Returns:
        At least the image's own size, alone if a side is below `2 * SMALLEST_SIDE`.
    """
    sizes = [(height, width)]
    while min(sizes[-1]) // 2 >= SMALLEST_SIDE:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def doublings(width: int, count: int) -> list[int]:
    """The channels of `count` stages: width, 2 width, 4 width, 8 width, 8 width ...

    Raises:
        ValueError: if width is below 1.
    """
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    return [width * min(2**stage, LARGEST_FACTOR) for stage in range(count)]
