"""What the two networks of an adversarial pair minimise on one batch, and what is told of it.

Letters in shapes: B batch, C channels, m samples in a pack. A sample is an image `[C, H, W]` or a point `[D]`.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from genlab.contracts import Conditioning
from genlab.models.precision import full
from genlab.objectives.adversarial import AdversarialLoss
from genlab.objectives.penalties import Penalty

Terms = tuple[Tensor, dict[str, Tensor]]
"""What is minimised, in the graph, and the numbers to tell, out of it."""


class Pair(Protocol):
    """What is asked of a model: its parts, and what it does with noise and samples."""

    num_classes: int | None

    @property
    def loss(self) -> AdversarialLoss: ...

    @property
    def penalty(self) -> Penalty: ...

    @property
    def conditioning(self) -> Conditioning: ...

    def noise(self, n: int) -> Tensor: ...

    def fake(self, z: Tensor, label: Tensor | None) -> Tensor: ...

    def prepare(self, sample: Tensor) -> Tensor: ...

    def judge(self, shown: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor | None]: ...


def discriminators(model: Pair, real: Tensor, label: Tensor | None, *, penalised: bool) -> Terms:
    """The discriminator's: loss + class cross-entropies + penalty, on real samples and as many fresh fakes.

    Args:
        model: the pair.
        real: `[B, ...]`.
        label: `[B]`; None where the data has none.
        penalised: whether this update has the penalty.
    """
    with torch.no_grad():
        fake = model.fake(model.noise(len(real)), label)
    shown_real, shown_fake = model.prepare(real), model.prepare(fake)
    real_logit, real_class = model.judge(shown_real, label)
    fake_logit, fake_class = model.judge(shown_fake, label)
    objective = model.loss.discriminator(real_logit, fake_logit)
    if real_class is not None and fake_class is not None and label is not None:
        of_class = cross_entropy(real_class, label) + cross_entropy(fake_class, label)
        objective = objective + model.conditioning.weight * of_class
    told = {"d_loss": objective, "real_logit": real_logit.mean(), "fake_logit": fake_logit.mean()}
    told["real_wins"] = (real_logit[:, None] > fake_logit).float().mean()
    known = label if model.conditioning.uses_labels else None
    told["diversity"] = diversity(fake, real, known, model.num_classes or 1)
    if penalised:
        with torch.autocast(real.device.type, enabled=False):
            told["penalty"] = model.penalty(
                lambda shown: model.judge(shown, label)[0],
                full(shown_real),
                full(shown_fake),
                real_logit,
                fake_logit,
            )
        objective = objective + told["penalty"]
    return objective, {name: value.detach() for name, value in told.items()}


def generators(model: Pair, real: Tensor, label: Tensor | None) -> Terms:
    """The generator's: loss + class cross-entropy, on as many fresh fakes as there are real samples `[B, ...]`."""
    logit, classes = model.judge(model.prepare(model.fake(model.noise(len(real)), label)), label)
    real_logit = model.judge(model.prepare(real), label)[0] if model.loss.needs_real else None
    objective = model.loss.generator(logit, real_logit)
    if classes is not None and label is not None:
        objective = objective + model.conditioning.weight * cross_entropy(classes, label)
    return objective, {"g_loss": objective.detach()}


def spread(sample: Tensor, label: Tensor | None = None, num_classes: int = 1) -> Tensor:
    """Standard deviation over the batch, or within its classes `[B]`, averaged over the values of a sample."""
    x = sample.detach().float().flatten(1)  # [B, values]
    if label is None:
        return (x - x.mean(0)).square().mean(0).sqrt().mean()  # seven times as fast as x.std(0) on a CPU
    sums = x.new_zeros(num_classes, x.shape[1]).index_add_(0, label, x)  # [K, values]
    counts = x.new_zeros(num_classes).index_add_(0, label, torch.ones_like(x[:, 0]))  # [K]
    return (x - sums[label] / counts[label, None]).square().mean(dim=0).sqrt().mean()


def diversity(fake: Tensor, real: Tensor, label: Tensor | None = None, num_classes: int = 1) -> Tensor:
    """Spread of fakes over that of the data; 1 where the data have none, as single samples of their class."""
    of_data = spread(real, label, num_classes)
    return torch.where(of_data > 0, spread(fake, label, num_classes) / of_data, 1.0)
