"""What the latents of a model are used for: KL by dimension, active units, mutual information.

Letters in shapes: N images, M of them, B images at once, L latent dimensions.
"""

import math
from typing import Any

import torch
from torch import Tensor

from genlab.contracts import ImageBatch, LatentModel, Posterior
from genlab.errors import UserError
from genlab.latents import active
from genlab.metrics.density_metric import DensityMetric, Number, Verdict, doubled, pieces, ready, summary

IMAGES_AT_ONCE = 500
ROWS = 256
"""Draws that are held against all posteriors at once."""

TWICE = 1000
"""Images at most for which z is drawn again: how far the two draws differ tells the Monte Carlo error."""


class LatentUse(DensityMetric):
    """KL(q(z|x) || p(z)) of each dimension, units with Var_x E[z|x] above a threshold, and I(x; z) in nats.

    The mutual information of x and z under q(z|x) p(x) (Hoffman & Johnson 2016) is estimated with the
    aggregate posterior q(z) = 1/N sum_j q(z|x_j) of the very images judged, one draw of z for each: the mean
    of log q(z_i|x_i) - log q(z_i). It cannot exceed log N, and comes near it where posteriors do not overlap.
    What it leaves of the KL is KL(q(z) || p(z)), by which draws of the prior differ from what was seen; there is no
    such number where each class has a prior of its own. Where the KL itself is known by draws only, their noise
    is in its error over images, not in that of Monte Carlo.
    """

    def __init__(self, *, n: int | None = 10_000, threshold: float = 0.01) -> None:
        """Sets the protocol; the threshold is that of Burda et al. 2016, sec. 5.2.

        Args:
            n: N, test images, spread evenly, at least 2; None: all.
            threshold: of the variance above which a unit is active, at least 0.

        Raises:
            UserError: a number out of its range.
        """
        if n is not None and n < 2:
            raise UserError(f"metrics.latents.n must be at least 2, or null for all, got {n}")
        if threshold < 0:
            raise UserError(f"metrics.latents.threshold must be at least 0, got {threshold}")
        self.n, self.threshold = n, threshold
        self._judged = 0

    def check(self, model: Any) -> None:
        if not isinstance(model, LatentModel):
            raise UserError(
                f"metrics.latents needs a model with encoded latents, and {type(model).__name__} has no infer: "
                "give metrics.latents=null"
            )

    def seconds(self, model: Any, batch: ImageBatch) -> float:
        return 0.0

    @torch.no_grad()
    def compute(self, model: Any, batch: ImageBatch) -> Verdict:
        """`active_units`, `mutual_information`, of one prior for all `aggregate_kl`; the list `kl_per_dimension`."""
        self._judged = len(batch.image)
        parts = [model.infer(ready(part, model)) for part in pieces(batch, IMAGES_AT_ONCE)]
        mean, log_var, kl = (doubled(torch.cat(tensors)) for tensors in zip(*parts, strict=True))  # [N, L]
        posterior = Posterior(mean, log_var, kl)
        information = pointwise_information(posterior)  # [N]
        some = torch.arange(0, len(mean), math.ceil(len(mean) / TWICE), device=mean.device)
        differences = information[some] - pointwise_information(posterior, some)
        noise = float((differences.square().mean() / 2 / len(information)).sqrt())
        numbers = {
            "active_units": Number(float(active(mean, self.threshold).sum())),
            "mutual_information": Number(*summary(information), noise),
        }
        if not getattr(getattr(model, "prior", None), "by_class", False):
            numbers["aggregate_kl"] = Number(*summary(kl.sum(1) - information), noise)
        return Verdict(numbers, {"kl_per_dimension": kl.mean(0).tolist()})

    def stamp(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "images": "all" if self.n is None else "spread evenly",
            "split": "test",
            "active_above": self.threshold,
            "mutual_information": "one draw an image against the mean of all their posteriors",
            "mutual_information_at_most": math.log(max(1, self._judged)),
        }


def pointwise_information(posterior: Posterior, some: Tensor | None = None) -> Tensor:
    """Log q(z_i|x_i) - log 1/N sum_j q(z_i|x_j) at one draw z_i of each of N posteriors, in nats.

    Args:
        posterior: of N images.
        some: `[n]`, the numbers of those that are drawn from; None: all N.

    Returns:
        `[N]`, or `[n]`.
    """
    mean, log_var, _ = posterior
    some = torch.arange(len(mean), device=mean.device) if some is None else some
    own, all_of_them = [], []
    noise = torch.randn_like(mean[some])
    for rows, part in zip(some.split(ROWS), noise.split(ROWS), strict=True):
        z = mean[rows] + torch.exp(0.5 * log_var[rows]) * part
        log_q = log_densities(z, mean, log_var)  # [M, N]
        own.append(log_q.gather(1, rows.unsqueeze(1)).squeeze(1))
        all_of_them.append(log_q.logsumexp(1))
    return torch.cat(own) - torch.cat(all_of_them) + math.log(len(mean))


def log_densities(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Log N(z_i; mean_j, exp(log_var_j)) `[M, N]` of points `[M, L]` under normals `[N, L]`, up to a constant.

    The square is multiplied out, so that no `[M, N, L]` is needed; give double precision.
    """
    precision = torch.exp(-log_var)
    square = z.square() @ precision.T - 2 * z @ (mean * precision).T + (mean.square() * precision).sum(1)
    return -0.5 * (square + log_var.sum(1))
