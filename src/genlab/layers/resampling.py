"""Resampling of feature maps between the sizes of a network's stages."""

from torch import nn

from genlab.layers.sizes import Size


def halve(size: Size) -> nn.Module:
    """Averages each two neighbours, from sides s to s // 2; where s is odd each three, so that none is left out.

    Args:
        size: of the feature maps that will come in.
    """
    return nn.AvgPool2d((2 + size[0] % 2, 2 + size[1] % 2), stride=2)
