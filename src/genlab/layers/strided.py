"""Convolutions that halve and double a side without pooling, and their first weights, after DCGAN (Radford 2016)."""

from collections.abc import Sequence

from torch import nn

from genlab.layers.norms import ClassNorm


def halving_conv(before: int, after: int, *, bias: bool) -> nn.Module:
    """From a side s to s // 2."""
    return nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1, bias=bias)


def doubling_conv(before: int, after: int, size: Sequence[int], *, bias: bool) -> nn.Module:
    """From sides s // 2 to exactly s: 2 (s // 2), and one more where s is odd."""
    odd = (size[0] % 2, size[1] % 2)
    return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, output_padding=odd, bias=bias)


def init_weights(module: nn.Module) -> None:
    """Weights N(0, .02), scales of the norms N(1, .02), biases 0 (Radford 2016, sec. 4)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, ClassNorm):
        nn.init.normal_(module.scale, 1.0, 0.02)
        return
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
