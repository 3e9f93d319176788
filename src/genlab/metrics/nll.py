"""Test log-likelihood: exact where a model has it, else by importance sampling with its Monte Carlo error.

Letters in shapes: K importance samples, B images at once, n images.
"""

import time
from typing import Any

import torch
from torch import Tensor

from genlab.contracts import Density, ImageBatch, ImportanceSampler
from genlab.errors import UserError
from genlab.metrics.density_metric import DensityMetric, Number, Verdict, doubled, pieces, ready, summary
from genlab.metrics.peak_memory import bytes_per_row

MEGABYTE = 2**20
DEFAULT_MB = {"cpu": 16, "else": 1024}
"""On a CPU what fits its cache is fastest."""

INSIDE = 2
"""Operations make about as much inside of themselves, which is not counted, as what is."""

LATENTS_AT_ONCE = 20_000
"""Noise is drawn for so many latents at a time, whatever the memory: the numbers do not depend on it."""


class NLL(DensityMetric):
    """-log p(x) in nats per image: the mean over images, with bits per dimension where they mean something.

    With latents it is -log 1/K sum_k w_k, w = p(x, z) / q(z|x), z ~ q(z|x) (Burda et al. 2016, eq. 8): an
    upper bound of -log p(x) in expectation, whose variance and gap both fall with K.
    """

    def __init__(self, *, k: int = 500, n: int | None = 1000, memory_mb: float | None = None) -> None:
        """Sets the protocol.

        Args:
            k: K, at least 1.
            n: test images, spread evenly, at least 1; None: all.
            memory_mb: what the latents that are decoded at once may take, above 0; None: 16 on a CPU,
                1024 elsewhere. A single latent that takes more is decoded all the same.

        Raises:
            UserError: a number out of its range.
        """
        if k < 1:
            raise UserError(f"metrics.nll.k must be at least 1, got {k}")
        if n is not None and n < 1:
            raise UserError(f"metrics.nll.n must be at least 1, or null for all, got {n}")
        if memory_mb is not None and memory_mb <= 0:
            raise UserError(f"metrics.nll.memory_mb must be above 0, or null, got {memory_mb}")
        self.k, self.n, self.memory_mb = k, n, memory_mb
        self._exact = False

    def check(self, model: Any) -> None:
        self._exact = not isinstance(model, ImportanceSampler)
        if self._exact and not isinstance(model, Density):
            raise UserError(
                f"metrics.nll needs a model with a density, and {type(model).__name__} has no log_prob and no "
                "log_weights: give metrics.nll=null"
            )

    def seconds(self, model: Any, batch: ImageBatch) -> float:
        if self._exact:
            return 0.0
        part = ready(pieces(batch, self._images_at_once())[0], model)
        chunk = self._chunk(model, part)
        samples = max(1, min(self.k, 2 * chunk // len(part.image)))
        for _ in range(2):  # the first is slower than all others
            began = time.perf_counter()
            model.log_weights(part, samples=samples, chunk=chunk).sum().item()
            took = time.perf_counter() - began
        return took * self.k / samples * len(batch.image) / len(part.image)

    @torch.no_grad()
    def compute(self, model: Any, batch: ImageBatch) -> Verdict:
        """`nll` and, of importance sampling, `nll_effective_samples`, out of K; `nll_bits_per_dim`."""
        if self._exact:
            nats = -torch.cat([model.log_prob(ready(part, model).image).cpu() for part in pieces(batch, 500)])
            mean, over_images = summary(nats)
            return Verdict({"nll": Number(mean, over_images)} | _bits(model, mean, batch), {})
        parts = pieces(batch, self._images_at_once())
        chunk = self._chunk(model, ready(parts[0], model))
        found = []
        for part in parts:
            weights = model.log_weights(ready(part, model), samples=self.k, chunk=chunk)  # [K, B]
            found.append(torch.stack(log_mean_exp(weights)).cpu())
        log_p, variance, effective = torch.cat(found, 1)  # [n] each
        nll, over_images = summary(-log_p)
        noise = float(variance.sum().sqrt() / len(log_p))
        numbers = {
            "nll": Number(nll, over_images, noise if self.k > 1 else None),
            "nll_effective_samples": Number(*summary(effective)),
        }
        return Verdict(numbers | _bits(model, nll, batch), {})

    def stamp(self) -> dict[str, Any]:
        spread = "all" if self.n is None else "spread evenly"
        way = {"estimator": "exact"} if self._exact else {"estimator": "importance sampling", "k": self.k}
        return {**way, "n": self.n, "images": spread, "split": "test"}

    def _images_at_once(self) -> int:
        return min(500, max(1, LATENTS_AT_ONCE // self.k))

    def _chunk(self, model: Any, part: ImageBatch) -> int:
        """How many latents may be decoded at once."""
        budget = self.memory_mb or DEFAULT_MB["cpu" if model.device.type == "cpu" else "else"]
        one = ImageBatch(part.image[:1], part.label[:1])
        each = bytes_per_row(lambda rows: model.log_weights(one, samples=rows, chunk=rows))
        return max(1, int(budget * MEGABYTE / (INSIDE * each)))


def log_mean_exp(log_weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log 1/K sum_k w_k of `[K, B]` log weights, in double precision.

    Returns:
        Its value `[B]`; its variance `[B]` by the delta method, Var(w) / (K E[w]^2); and the effective number
        of samples `[B]`, (sum w)^2 / sum w^2.
    """
    log_weight = doubled(log_weight)
    k = len(log_weight)
    log_sum, log_square = log_weight.logsumexp(0), (2 * log_weight).logsumexp(0)
    effective = torch.exp(2 * log_sum - log_square)
    # K E[w^2] / (sum w)^2 = 1 / effective; unbiased by K / (K - 1)
    variance = (1 / effective - 1 / k).clamp(min=0) * (k / (k - 1) if k > 1 else torch.nan)
    return log_sum - torch.tensor(k).log(), variance, effective


def _bits(model: Any, nll: float, batch: ImageBatch) -> dict[str, Number]:
    """Bits for each value of 8-bit images, where the model's likelihood says that its nats are of those."""
    likelihood = getattr(model, "likelihood", None)
    if likelihood is None:
        return {}
    bits = likelihood.bits_per_dim(torch.tensor(nll), batch.image[0].numel())
    return {} if bits is None else {"nll_bits_per_dim": Number(float(bits))}
