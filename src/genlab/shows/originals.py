"""The validation images that a show begins with, their latents and their classes.

Letters in shapes: n images asked for, N all of them, B batch, C channels, H height, W width, L latent dimensions.
"""

from collections.abc import Iterator
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from genlab.contracts import ClassSampler, ImageBatch, Reconstructor
from genlab.errors import UserError

_AT_ONCE = 500
"""Images that are encoded at once."""

_WANTED = {"scatter": "latents that are points"}
"""What a show wants of latents, where it is not ways between them."""


def validation(model: Any, datamodule: Any) -> Iterator[ImageBatch]:
    """The validation images of the data in batches, floats on the model's device."""
    for batch in datamodule.val_dataloader():
        ready = datamodule.on_after_batch_transfer(batch, 0)
        yield ImageBatch(ready.image.to(model.device), ready.label.to(model.device))


def first_images(model: Any, datamodule: Any, cfg: DictConfig, n: int) -> ImageBatch:
    """The first `n` validation images `[n, C, H, W]`.

    Raises:
        UserError: there are fewer.
    """
    parts: list[ImageBatch] = []
    for batch in validation(model, datamodule):
        parts.append(batch)
        if sum(len(part.image) for part in parts) >= n:
            return ImageBatch(*(torch.cat(tensors)[:n] for tensors in zip(*parts, strict=True)))
    there = sum(len(part.image) for part in parts)
    raise UserError(f"show={cfg.show} needs {n} validation images, there are {there}: lower n")


def encoder(model: Any, cfg: DictConfig) -> Reconstructor:
    """The model itself, which has an encoder.

    Raises:
        UserError: it has none.
    """
    if not isinstance(model, Reconstructor):
        raise UserError(f"show={cfg.show} needs a model with an encoder; {type(model).__name__} has none")
    return model


def encode(model: Any, batch: ImageBatch, cfg: DictConfig) -> Tensor:
    """The latents `[B, L]` of images, some at a time to spare memory.

    Raises:
        UserError: they are codes, which do not lie near each other.
    """
    pieces = zip(batch.image.split(_AT_ONCE), batch.label.split(_AT_ONCE), strict=True)
    z = torch.cat([model.encode(image, *known_labels(model, label)) for image, label in pieces])
    if not z.is_floating_point():
        wanted = _WANTED.get(cfg.show, "latents with ways between them")
        raise UserError(f"show={cfg.show} needs {wanted}; those of {type(model).__name__} are codes")
    return z


def known_labels(model: Any, label: Tensor) -> list[Tensor]:
    """Classes `[B]` as a further argument of what a model does with images; none where it knows no classes."""
    return [label] if isinstance(model, ClassSampler) and model.classes_of(1) is not None else []


def keep_classes(cfg: DictConfig) -> None:
    """Refuses a class where each image has its own."""
    if cfg.label is not None:
        raise UserError(
            f"label={cfg.label}: show={cfg.show} encodes images under their own classes; leave label out"
        )


def refuse_label(model: Any, cfg: DictConfig) -> None:
    """Refuses a class of a model that draws none."""
    if cfg.label is not None:
        raise UserError(
            f"label={cfg.label}: {type(model).__name__} draws no samples of a class; leave label out"
        )
