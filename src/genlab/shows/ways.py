"""Ways through a latent space: from one latent to another, and along its axes.

Letters in shapes: n latents, L latent dimensions, R rows, S steps.
"""

from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from genlab.checkpoint import load_data
from genlab.contracts import ClassSampler, LatentSampler, Reconstructor
from genlab.errors import UserError
from genlab.latents import interpolate as way
from genlab.latents import traverse as walk
from genlab.seeding import seeded
from genlab.shows.originals import encode, first_images, known_labels, refuse_label
from genlab.shows.shown import Shown, grid

N = 64
"""Rows of an interpolation where `n` is null."""


def interpolate(model: Any, cfg: DictConfig) -> Shown:
    """A row for each of `n` pairs of latents: the way between them, under one label."""
    n = cfg.n or N
    z, labels = _latents(model, cfg, 2 * n)
    asked = cfg.interpolation
    arcs = getattr(model, "spherical", True) if asked is None else asked == "slerp"
    ways = [way(a, b, cfg.steps, spherical=arcs) for a, b in zip(z[::2], z[1::2], strict=True)]
    images = decoded(model, torch.stack(ways), [label[::2] for label in labels], cfg)
    return grid(images, n, columns=cfg.steps)


def traverse(model: Any, cfg: DictConfig) -> Shown:
    """A row for each latent dimension: one latent with that dimension from -3 to 3, under a uniform prior from -1 to 1."""
    latents, labels = _latents(model, cfg, 1)
    z = latents[0]
    dims = list(cfg.dims) if cfg.dims else list(range(min(10, len(z))))
    wrong = [d for d in dims if not 0 <= d < len(z)]
    if wrong:
        raise UserError(f"dims: the latent has dimensions 0 to {len(z) - 1}, got {wrong[0]}")
    reach = 3 if isinstance(model, Reconstructor) or getattr(model, "spherical", True) else 1
    rows = walk(z, dims, torch.linspace(-reach, reach, cfg.steps).to(z))  # [R, S, L]
    images = decoded(model, rows, [label.expand(len(rows)) for label in labels], cfg)
    return grid(images, len(rows), columns=cfg.steps)


def _latents(model: Any, cfg: DictConfig, n: int) -> tuple[Tensor, list[Tensor]]:
    """Latents `[n, L]`, of the first validation images where there is an encoder, else drawn from the prior.

    Beside them the classes `[n]` of those images, where the model knows classes.
    """
    if isinstance(model, Reconstructor):
        batch = first_images(model, load_data(model, trust=list(cfg.trust)), cfg, n)
        return encode(model, batch, cfg), known_labels(model, batch.label)
    if not isinstance(model, LatentSampler):
        raise UserError(f"show={cfg.show} needs a model with a latent space; {type(model).__name__} has none")
    with seeded(cfg.seed, getattr(model, "device", None)):
        return model.noise(n), []


def decoded(model: Any, rows: Tensor, labels: list[Tensor], cfg: DictConfig) -> Tensor:
    """Samples `[R * S, ...]` at latents `[R, S, L]`; a conditional model keeps to one class in a row.

    It is that of `label=`, else of the image that the row begins with, `[R]`, else all classes take turns.
    """
    known = model.classes_of(len(rows)) if isinstance(model, ClassSampler) else None  # [R]
    if known is None:
        refuse_label(model, cfg)
        return model.decode(rows.flatten(0, 1))
    if cfg.label is not None:
        known = known.new_full(known.shape, cfg.label)
    elif labels:
        known = labels[0]
    return model.decode(rows.flatten(0, 1), known.repeat_interleave(rows.shape[1]))
