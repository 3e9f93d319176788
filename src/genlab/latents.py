"""Ways through a latent space: between two points, along its axes, between groups; and a look at it in a plane.

Letters in shapes: N images, n images of a group, L latent dimensions.
"""

from collections.abc import Sequence
from typing import NamedTuple

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


class Plane(NamedTuple):
    """Latents seen from one side.

    Attributes:
        points: `[N, 2]`.
        axes: what x and y are.
    """

    points: Tensor
    axes: tuple[str, str]


def plane(latents: Tensor) -> Plane:
    """Latents in two dimensions: as they are where they have no more, else their two leading principal components.

    The components are centred; the share of the variance that each holds stands in its name. What is not finite
    has no part in them.

    Args:
        latents: `[N, L]`.
    """
    latents = latents.detach().cpu().float()
    dims = latents.shape[1]
    if dims <= 2:
        flat = torch.nn.functional.pad(latents, (0, 2 - dims))
        return Plane(flat, ("z0", "z1" if dims == 2 else ""))
    finite = latents.isfinite().all(1)
    points = latents.new_full((len(latents), 2), torch.nan)
    centred = (latents[finite] - latents[finite].mean(0)).double()  # [n, L]
    variances, directions = torch.linalg.eigh(centred.T @ centred)  # [L], [L, L]; the widest last
    leading = directions[:, [-1, -2]]  # [L, 2]
    # of a direction and its opposite the one whose largest number is positive
    leading = leading * leading.gather(0, leading.abs().argmax(0, keepdim=True)).sign()
    points[finite] = (centred @ leading).float()
    shares = variances[[-1, -2]] / variances.sum().clamp_min(torch.finfo(variances.dtype).tiny)
    first, second = (round(100 * float(share.clamp(0, 1))) for share in shares)
    return Plane(points, (f"component 1 ({first} % of the variance)", f"component 2 ({second} %)"))


def difference(latents: Tensor, labels: Tensor, start: int, end: int) -> Tensor:
    """The mean latent of one class minus that of another: `[L]`, the way from `start` to `end`.

    Attribute vectors: Larsen et al. 2016 (arXiv:1512.09300), sec. 4.2; White 2016 (arXiv:1609.04468), sec. 3.3.

    Args:
        latents: `[N, L]`.
        labels: `[N]`, their classes.
        start: the class that the way begins in.
        end: the class that it leads to.

    Raises:
        ValueError: If there is nothing of one of the classes.
    """
    means = []
    for label in (start, end):
        group = latents[labels == label]
        if len(group) == 0:
            raise ValueError(f"there is nothing of class {label}")
        means.append(group.mean(0))
    return means[1] - means[0]


def shift(z: Tensor, direction: Tensor, steps: int) -> Tensor:
    """Latents with a growing amount of a direction added: none of it first, all of it last.

    Args:
        z: `[n, L]`.
        direction: `[L]`.
        steps: Amounts, evenly spaced, at least 2.

    Returns:
        Tensor `[n, steps, L]`.

    Raises:
        ValueError: If `steps` is less than 2.
    """
    if steps < 2:
        raise ValueError(f"amounts from 0 to 1 are at least 2, got {steps}")
    amounts = torch.linspace(0, 1, steps, dtype=z.dtype, device=z.device)[:, None]  # [steps, 1]
    return z[:, None] + amounts * direction
