"""What an adversarial step is made of: packs, judgements, and a network that only lets gradients through.

Letters in shapes: B batch, C channels, m samples in a pack, F features, K classes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genlab.contracts import Conditioning, Discriminator
from genlab.errors import UserError
from genlab.models.precision import full
from genlab.objectives.adversarial import AdversarialLoss
from genlab.objectives.penalties import Penalty


def at_least(least: float, numbers: Mapping[str, float]) -> None:
    """Refuses settings of the model below their least.

    Raises:
        UserError: names the first.
    """
    for name, value in numbers.items():
        if value < least:
            raise UserError(f"model.{name} must be at least {least:g}, got {value}")


def check_packs(pack: int, conditioning: Conditioning) -> None:
    """Refuses packs where the discriminator asks for the class of one sample.

    Raises:
        UserError: says which conditionings take packs.
    """
    if pack > 1 and not conditioning.packs:
        raise UserError(
            f"model.pack={pack} joins samples of several classes, and {type(conditioning).__name__} asks for the class "
            "of one: use model.pack=1, or model/conditioning=none or concat"
        )


def _check_clipping(penalty: Penalty, discriminator: Discriminator) -> None:
    """Refuses to clip weights that are divided by their norm anyway.

    Raises:
        UserError: says what to take instead.
    """
    if penalty.clips and discriminator.spectral_norm:
        raise UserError(
            f"{type(penalty).__name__} does nothing to {type(discriminator).__name__}, whose layers are divided by "
            "their spectral norm: use model/penalty=none, or another model/discriminator"
        )


def check_batch(sample: Tensor, pack: int, augment: nn.Module) -> None:
    """Refuses samples `[B, ...]` that a model cannot learn from.

    Raises:
        UserError: a batch fills no pack, or points meet an augmentation of images.
    """
    if len(sample) < pack:
        raise UserError(
            f"model.pack={pack} needs batches of as many samples, got {len(sample)}: raise data.batch_size"
        )
    if sample.ndim != 4 and getattr(augment, "images_only", False):
        raise UserError("this model/augment needs images, and the data are points: take model/augment=none")


def check_endless(instance_noise: float, penalty: Penalty) -> None:
    """Refuses what follows the length of the training where that has no limit.

    Raises:
        UserError: names the setting.
    """
    following = {
        "instance_noise": instance_noise > 0,
        "penalty.final_weight": penalty.final_weight is not None,
    }
    for name in (name for name, follows in following.items() if follows):
        raise UserError(
            f"model.{name} follows the length of the training, which is not limited in epochs or steps: "
            "set trainer.max_epochs or trainer.max_steps"
        )


def doubts(loss: AdversarialLoss, penalty: Penalty, discriminator: Discriminator) -> list[str]:
    """What is allowed, but means something else than its paper says; for the user to read.

    Raises:
        UserError: parts that are of no use together.
    """
    _check_clipping(penalty, discriminator)
    found = []
    mixes = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in discriminator.modules())
    if penalty.per_sample and mixes:
        found.append(
            f"{type(penalty).__name__} takes the slope at each sample alone, and batch norm in the discriminator "
            "mixes the batch: model.discriminator.norm=group or none is what its paper means"
        )
    if loss.needs_bound and not (penalty.per_sample or penalty.clips or discriminator.spectral_norm):
        found.append(
            f"{type(loss).__name__} has no lower limit unless the discriminator's slope is bounded: "
            "add model/penalty=gradient_penalty or weight_clip, or take model/discriminator=sngan"
        )
    return found


def target(factory: Callable[..., Any]) -> Any:
    """The class that a factory of the config makes objects of."""
    return getattr(factory, "func", factory)


def draw_latents(kind: str, n: int, latent_dim: int, device: torch.device) -> Tensor:
    """Latents `[n, L]`: standard `normal`, or `uniform` in [-1, 1]."""
    z = torch.empty(n, latent_dim, device=device)
    return z.normal_() if kind == "normal" else z.uniform_(-1, 1)


def packed(sample: Tensor, m: int) -> Tensor:
    """Joins m samples on their channels: `[B, C, ...]` to `[B // m, m C, ...]`; what fills no pack is left out."""
    if m == 1:
        return sample
    return sample[: len(sample) // m * m].unflatten(0, (-1, m)).flatten(1, 2)


def norm_and_clip(optimizer: Optimizer, limit: float | None) -> Tensor:
    """The norm of all its gradients together, before they are shortened to `limit`; None or 0: they are not."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if limit:
        return nn.utils.clip_grad_norm_(parameters, limit)
    gradients = [p.grad for p in parameters]
    return torch.linalg.vector_norm(
        torch.stack(torch._foreach_norm(gradients))
    )  # as torch's own, which sorts first


def averages(told: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each number over the parts of a batch."""
    if len(told) == 1:
        return dict(told[0])
    return {name: torch.stack([one[name] for one in told]).mean() for name in told[0]}


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Gradients flow through a module, not into its parameters."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def judge(
    discriminator: Discriminator,
    conditioning: Conditioning,
    shown: Tensor,
    label: Tensor | None,
    *,
    pack: int,
) -> tuple[Tensor, Tensor | None]:
    """Logits `[B/m]` of packs, and class logits `[B/m, K]` where the conditioning has them.

    Args:
        discriminator: gives features `[B/m, F]`.
        conditioning: the heads on them.
        shown: `[B/m, m C, ...]`.
        label: `[B]`, of each sample; None where the data has none.
        pack: m.
    """
    first = shown[:, : shown.shape[1] // pack]  # [B/m, C, ...], for its size
    whole = None if label is None else label[: len(shown) * pack]
    if pack > 1:
        first = first.repeat_interleave(pack, dim=0)  # [B, C, ...]
    maps = conditioning.label_maps(whole, first)  # [B, E, ...]
    if maps is not None:
        shown = torch.cat([shown, packed(maps, pack).to(shown)], dim=1)
    features = full(discriminator(shown))
    with torch.autocast(
        features.device.type, enabled=False
    ):  # half precision would round logits to a few values
        return conditioning.logit(features, label), conditioning.class_logits(features)
