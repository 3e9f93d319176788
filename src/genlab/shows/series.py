"""Series, and images that are made row by row.

Letters in shapes: n samples, N real series, T steps, D columns.
"""

import inspect
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from genlab.checkpoint import load_data
from genlab.errors import UserError
from genlab.plots import series_panels
from genlab.sequence_contracts import SeriesCodec
from genlab.shows.originals import refuse_label
from genlab.shows.shown import Shown, grid

N = 64
"""Samples where `n` is null."""

DRAWN = 8
"""Series of each kind in the picture."""


def series(model: Any, cfg: DictConfig) -> Shown:
    """`n` series in the user's units; the picture shows the first of them beside real ones."""
    x = _drawn(model, cfg)
    values = _in_units(model, x)
    columns = model.run_config["data"].get("columns") or [f"column_{k + 1}" for k in range(x.shape[2])]
    return Shown(
        values,
        "series",
        lambda: series_panels(_in_units(model, _real(model, cfg)), values[:DRAWN], list(columns)),
        len(x),
        columns=columns,
    )


def rows(model: Any, cfg: DictConfig) -> Shown:
    """`n` images, each step a row of pixels from 0, black, to 1."""
    x = _drawn(model, cfg)
    return grid(x[:, None] * 2 - 1, len(x))


def _drawn(model: Any, cfg: DictConfig) -> Tensor:
    """`[n, T, D]` on the CPU, in the model's scale."""
    known = inspect.signature(model.sample).parameters
    if "label" not in known:
        refuse_label(model, cfg)
    if cfg.length is not None and "length" not in known:
        raise UserError(
            f"length={cfg.length}: {type(model).__name__} draws series of one length; leave length out"
        )
    asked = {name: cfg[name] for name in ("label", "length") if cfg[name] is not None}
    return model.sample(cfg.n or N, seed=cfg.seed, **asked).cpu().float()


def _in_units(model: Any, values: Tensor) -> Tensor:
    return model.codec.unscale(values) if isinstance(model.codec, SeriesCodec) else values.double()


def _real(model: Any, cfg: DictConfig) -> Tensor:
    """Some training series `[N, T, D]`, in the model's scale.

    Raises:
        UserError: the data is not to be had.
    """
    try:
        batches = load_data(model, trust=list(cfg.trust)).train_dataloader()
    except UserError as error:
        raise UserError(f"{error}; format=csv draws no real series beside and needs no data") from error
    return torch.as_tensor(next(iter(batches)).target)[:DRAWN]
