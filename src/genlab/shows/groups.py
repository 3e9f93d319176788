"""What the latents of whole classes of validation images tell: where they lie, and the way from one to another.

Letters in shapes: N images, n images of one class, L latent dimensions, S steps.
"""

from typing import Any

import torch
from omegaconf import DictConfig

from genlab.checkpoint import load_data
from genlab.errors import UserError
from genlab.latents import difference, plane, shift
from genlab.scatters import class_scatter
from genlab.shows.originals import encode, encoder, first_images, keep_classes, known_labels, validation
from genlab.shows.shown import Shown, grid
from genlab.suggestions import did_you_mean

POINTS = 2500
"""Of a scatter at most, where `n` is null."""

N = 8
"""Rows of an arithmetic at most, where `n` is null."""


def scatter(model: Any, cfg: DictConfig) -> Shown:
    """The latents of `n` validation images in a plane, in the colours of their classes."""
    encoder(model, cfg)
    keep_classes(cfg)
    datamodule = load_data(model, trust=list(cfg.trust))
    n = cfg.n or min(POINTS, datamodule.num_val)
    batch = first_images(model, datamodule, cfg, n)
    z = encode(model, batch, cfg).cpu()
    seen, names = plane(z), _class_names(datamodule)
    labels = batch.label.cpu() if names else None
    return Shown(
        z,
        "latents",
        lambda: class_scatter(seen.points, axes=seen.axes, labels=labels, names=names),
        n,
        labels,
    )


def arithmetic(model: Any, cfg: DictConfig) -> Shown:
    """A row for each of `n` validation images of one class: itself, then decoded on the way to another class.

    The way is the mean latent of the other class minus that of its own, over all validation images, added in
    `steps` amounts from 0 to 1. A conditional model encodes and decodes a row under the class of its image: what
    changes is what the latents of the two classes have beside the label; see `transfer` for the label.
    """
    encoder(model, cfg)
    keep_classes(cfg)
    datamodule = load_data(model, trust=list(cfg.trust))
    start, end = _pair(cfg, _class_names(datamodule))
    parts = [
        (encode(model, batch, cfg), batch.label, batch.image[batch.label == start])
        for batch in validation(model, datamodule)
    ]
    latents, labels, images = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    for name, label in (("from_class", start), ("to_class", end)):
        if not (labels == label).any():
            raise UserError(f"{name}={cfg[name]}: no validation image is of this class")
    n = cfg.n or min(N, len(images))
    if n > len(images):
        raise UserError(
            f"show=arithmetic n={n} needs {n} validation images of class {cfg.from_class}, there are {len(images)}"
        )
    z = shift(latents[labels == start][:n], difference(latents, labels, start, end), cfg.steps)  # [n, S, L]
    known = known_labels(model, labels.new_full((n * cfg.steps,), start))
    decoded = model.decode(z.flatten(0, 1), *known).unflatten(0, (n, cfg.steps))
    rows = torch.cat([images[:n, None], decoded], dim=1)  # [n, 1 + S, C, H, W]
    return grid(rows.flatten(0, 1), n, columns=1 + cfg.steps)


def _class_names(datamodule: Any) -> list[str]:
    """Those of the data; none where all of it is one class, which is no label."""
    facts = datamodule.facts()
    names = [str(name) for name in facts.get("class_names") or range(facts.get("num_classes") or 0)]
    return names if len(names) > 1 else []


def _pair(cfg: DictConfig, names: list[str]) -> tuple[int, int]:
    """The two classes that are asked for."""
    if not names:
        raise UserError("show=arithmetic needs data with classes, and this data has no labels")
    start, end = (class_of(name, cfg[name], names) for name in ("from_class", "to_class"))
    if start == end:
        raise UserError(f"from_class and to_class must be two classes, got {cfg.to_class} twice")
    return start, end


def class_of(setting: str, asked: str | None, names: list[str]) -> int:
    """The class that has the name which a setting asks for, else the number.

    Raises:
        UserError: nothing is asked for, or there is no such class.
    """
    if asked is None:
        few = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise UserError(f"show=arithmetic needs two classes: give {setting}=..., one of {few}")
    if asked in names:
        return names.index(asked)
    if asked.isdecimal() and int(asked) < len(names):
        return int(asked)
    raise UserError(f"{setting}={asked} is no class of this data{did_you_mean(asked, names)}")
