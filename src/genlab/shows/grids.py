"""Samples, reconstructions, and images under other classes.

Letters in shapes: n samples or images, C channels, H height, W width, K classes, D dimensions of a point.
"""

import inspect
from typing import Any

import torch
from omegaconf import DictConfig

from genlab.checkpoint import load_data
from genlab.contracts import ClassSampler, Reconstructor
from genlab.errors import UserError
from genlab.scatters import scatter
from genlab.shows.originals import encoder, first_images, keep_classes, known_labels, refuse_label
from genlab.shows.shown import Shown, grid

N = 64
"""Of each where `n` is null."""

MANY = 2500
"""More classes than a model can have: they come in turn, so that so many samples have them all."""


def samples(model: Any, cfg: DictConfig) -> Shown:
    """`n` draws, the same as `load_model(run).sample(n, seed=seed)`; of one class with `label=`."""
    n, asked = cfg.n or N, {} if cfg.label is None else {"label": cfg.label}
    if "label" not in inspect.signature(model.sample).parameters:
        refuse_label(model, cfg)
    shown = grid(model.sample(n, seed=cfg.seed, **asked), n)
    points = shown.values
    if shown.kind == "images" or isinstance(points, list):
        return shown
    return shown._replace(picture=lambda: scatter(_real_points(model, cfg), points))


def _real_points(model: Any, cfg: DictConfig) -> torch.Tensor:
    """The validation points `[N, D]` of the data that the model was trained on."""
    return torch.cat([batch[0] for batch in load_data(model, trust=list(cfg.trust)).val_dataloader()])


def reconstruct(model: Any, cfg: DictConfig) -> Shown:
    """Validation images, each followed by its reconstruction."""
    n = cfg.n or N
    reconstructor = encoder(model, cfg)
    keep_classes(cfg)
    batch = first_images(model, load_data(model, trust=list(cfg.trust)), cfg, n)
    again = reconstructor.reconstruct(batch.image, *known_labels(model, batch.label))
    pairs = torch.stack([batch.image, again], dim=1)  # [n, 2, C, H, W]
    return grid(pairs.flatten(0, 1), n, columns=2 * max(1, round((2 * n) ** 0.5 / 2)))


def transfer(model: Any, cfg: DictConfig) -> Shown:
    """A row for each of `n` validation images: itself, then what its latent decodes to under each class."""
    n = cfg.n or N
    known = model.classes_of(MANY) if isinstance(model, ClassSampler) else None
    if known is None or not isinstance(model, Reconstructor):
        raise UserError(
            f"show=transfer needs an encoder and classes, as model=cvae has; this {type(model).__name__} "
            f"{'is trained without labels' if known is None else 'has no encoder'}"
        )
    keep_classes(cfg)
    image, label = first_images(model, load_data(model, trust=list(cfg.trust)), cfg, n)
    every = known.unique()  # [K]
    z = model.encode(image, label).repeat_interleave(len(every), 0)  # [n * K, L]
    decoded = model.decode(z, every.repeat(n)).unflatten(0, (n, len(every)))
    rows = torch.cat([image[:, None], decoded], dim=1)  # [n, 1 + K, C, H, W]
    return grid(rows.flatten(0, 1), n, columns=1 + len(every))
