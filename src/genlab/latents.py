"""Paths through a latent space: between two points, and along its axes.

Letters in shapes: L latent dimensions.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_PARALLEL = 1e-4
"""Below this sine of the angle, the arc and the chord agree to single precision."""


def slerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """Spherical interpolation: the point at `t` of the way along the arc from `a` to `b`.

    `sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b`, where w is the angle between `a` and `b`
    (Shoemake 1985, Animating rotation with quaternion curves; for latents White 2016, arXiv:1609.04468).
    High-dimensional Gaussian latents lie near a sphere: the arc stays there, the chord does not. Where
    no arc is defined (a zero vector, opposite or equal directions) the chord is taken.

    Args:
        a: `[..., L]`, the point at t = 0.
        b: `[..., L]`, the point at t = 1.
        t: A number, or a tensor that broadcasts against `[..., L]`, e.g. `[steps, 1]`.

    Returns:
        Tensor `[..., L]` of the broadcast shape.
    """
    norms = a.norm(dim=-1, keepdim=True) * b.norm(dim=-1, keepdim=True)
    cosine = (a * b).sum(dim=-1, keepdim=True) / norms.clamp_min(torch.finfo(a.dtype).tiny)
    angle = torch.where(norms > 0, cosine, 1.0).clamp(-1, 1).arccos()  # [..., 1]
    sine = angle.sin()
    arc = torch.sin((1 - t) * angle) / sine * a + torch.sin(t * angle) / sine * b
    return torch.where(sine > _PARALLEL, arc, torch.lerp(a, b, t))


def interpolate(a: Tensor, b: Tensor, steps: int, *, spherical: bool = True) -> Tensor:
    """Evenly spaced points from `a` to `b`, both included.

    Args:
        a: `[L]`, the first point.
        b: `[L]`, the last point.
        steps: Number of points, at least 2.
        spherical: Along the arc (`slerp`); otherwise along the straight line.

    Returns:
        Tensor `[steps, L]`.

    Raises:
        ValueError: If `steps` is less than 2.
    """
    if steps < 2:
        raise ValueError(f"an interpolation has at least 2 steps, its two ends, got {steps}")
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[:, None]  # [steps, 1]
    return slerp(a, b, t) if spherical else torch.lerp(a, b, t)


def traverse(z: Tensor, dims: Sequence[int], values: Sequence[float] | Tensor) -> Tensor:
    """Copies of `z` in which one latent dimension at a time takes each of `values`.

    Args:
        z: `[L]`, the point that all other dimensions keep.
        dims: The dimensions to walk along, each in 0 .. L-1.
        values: What each of them becomes, e.g. -3 .. 3 under a standard normal prior.

    Returns:
        Tensor `[len(dims), len(values), L]`.

    Raises:
        ValueError: If a dimension does not exist.
    """
    for dim in dims:
        if not 0 <= dim < len(z):
            raise ValueError(f"latent dimensions to traverse must lie in 0..{len(z) - 1}, got {dim}")
    values = torch.as_tensor(values, dtype=z.dtype, device=z.device)
    points = z.repeat(len(dims), len(values), 1)  # [dims, values, L]
    for row, dim in enumerate(dims):
        points[row, :, dim] = values
    return points


def active(means: Tensor, threshold: float = 0.01) -> Tensor:
    """Which latent dimensions are used: `[L]`, where Var_x E[z|x] is above the threshold.

    Burda et al. 2016 (arXiv:1509.00519), sec. 5.2.

    Args:
        means: E[z|x] `[N, L]` of N images, at least 2.
        threshold: of the variance.
    """
    return means.double().var(0) > threshold
