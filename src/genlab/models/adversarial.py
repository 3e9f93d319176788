"""What an adversarial step is made of: packs, judgements, and a network that only lets gradients through.

Letters in shapes: B batch, C channels, m samples in a pack, F features, K classes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from genlab.contracts import Conditioning, Discriminator
from genlab.errors import UserError


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


def asked_classes(n: int, label: Tensor | int | None, num_classes: int | None) -> Tensor | None:
    """The classes `[n]` of samples: those asked for, or all in turn; None for a model without classes.

    Raises:
        UserError: a class that there is not, or one asked of a model without classes.
    """
    if num_classes is None:
        if label is not None:
            raise UserError("this model knows no classes: it was trained with model/conditioning=none")
        return None
    labels = torch.as_tensor(torch.arange(n) % num_classes if label is None else label).expand(n)
    if not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise UserError(f"label must be from 0 to {num_classes - 1}, got {label}")
    return labels


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


def spread(sample: Tensor) -> Tensor:
    """Standard deviation over the batch, averaged over the values of a sample."""
    return sample.detach().float().std(dim=0).mean()


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
    features = discriminator(shown)
    features = features.float() if features.dtype in (torch.bfloat16, torch.float16) else features
    return conditioning.logit(features, label), conditioning.class_logits(features)
