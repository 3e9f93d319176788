"""The verb `sample`: pictures or arrays drawn from a trained model."""

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from genlab.commandline import run_verb
from genlab.errors import UserError
from genlab.suggestions import did_you_mean

if TYPE_CHECKING:
    from genlab.shows.shown import Shown

log = logging.getLogger("genlab")
SHOWS = ("samples", "reconstruct", "interpolate", "traverse", "transfer", "scatter", "arithmetic")
FORMATS = ("png", "npz", "pt")
INTERPOLATIONS = ("slerp", "linear")
OF_ONE_SHOW = {
    "interpolation": "interpolate",
    "dims": "traverse",
    "from_class": "arithmetic",
    "to_class": "arithmetic",
}
"""Settings that one show alone looks at."""

MOST_IN_A_GRID = 2500


def main() -> None:
    """The command `python sample.py run=logs/RUN`."""
    run_verb(sample, config="sample")


def sample(cfg: DictConfig) -> Path:
    """Draws what the config asks for and writes it.

    Returns:
        The file written, or the folder with `single=true`.

    Raises:
        UserError: no such run, a wrong setting, or a file in the way.
    """
    _check(cfg)
    from genlab.checkpoint import load_model, pick_device

    out = Path(cfg.out) if cfg.out else None
    if out and out.exists() and (not cfg.overwrite or not (out.is_file() or (cfg.single and out.is_dir()))):
        raise UserError(
            f"out={out}: is there already; choose another name, or replace a file by overwrite=true"
        )
    if out and not cfg.single and out.suffix != f".{cfg.format}":
        raise UserError(f"out={out} should end in .{cfg.format}, or format= be another: {', '.join(FORMATS)}")
    model = load_model(cfg.run, weights=cfg.weights, trust=list(cfg.trust), device=pick_device(cfg.device))
    shown = _show(model, cfg)
    if shown.kind == "points" and (cfg.single or cfg.show != "samples"):
        raise UserError(
            "samples of this model are points: they are drawn in one picture, or written with format=npz or format=pt; "
            f"leave {'single' if cfg.single else 'show'} out"
        )
    if shown.kind == "images":
        _check_count(len(shown.values), shown.n, cfg)
    out = out or _place(model, shown, cfg)
    try:
        _write(shown, out, cfg)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from error
    log.info(
        f"{len(shown.values):,} {shown.kind} from {model.weights} weights of {model.checkpoint_path}\n  {out}"
    )
    return out


def _check(cfg: DictConfig) -> None:
    for name, allowed in (("show", SHOWS), ("format", FORMATS), ("interpolation", INTERPOLATIONS)):
        if cfg[name] is not None and cfg[name] not in allowed:
            raise UserError(f"{name}={cfg[name]} is not known{did_you_mean(cfg[name], allowed)}")
    for name, show in OF_ONE_SHOW.items():
        if cfg[name] is not None and cfg.show != show:
            raise UserError(f"{name} is a setting of show={show}, and not of show={cfg.show}; leave it out")
    for name, least in (("n", 1), ("steps", 2)):
        if cfg[name] is not None and cfg[name] < least:
            raise UserError(f"{name} must be at least {least}, got {cfg[name]}")
    if cfg.single and cfg.show == "scatter":
        raise UserError("show=scatter is one picture; leave single out")
    if cfg.single and cfg.format != "png":
        raise UserError(f"single=true writes one PNG per image; with format={cfg.format} leave it out")
    if cfg.show != "scatter":
        _check_count(cfg.n or 1, cfg.n, cfg)


def _check_count(images: int, n: int, cfg: DictConfig) -> None:
    if cfg.format == "png" and not cfg.single and images > MOST_IN_A_GRID:
        raise UserError(
            f"n={n} is too much for one picture ({MOST_IN_A_GRID} at most); use format=npz, format=pt or single=true"
        )


def _show(model: Any, cfg: DictConfig) -> "Shown":
    """What the show of that name gives."""
    from genlab.shows.grids import reconstruct, samples, transfer
    from genlab.shows.groups import arithmetic, scatter
    from genlab.shows.ways import interpolate, traverse

    shows = (samples, reconstruct, interpolate, traverse, transfer, scatter, arithmetic)
    return {show.__name__: show for show in shows}[cfg.show](model, cfg)


def _place(model: Any, shown: "Shown", cfg: DictConfig) -> Path:
    """The file, or with `single=true` the folder, where none is named: in the run's folder."""
    from genlab.checkpoint import find

    checkpoint = find(cfg.run)
    folder = (
        checkpoint.parent.parent / "sampled" if checkpoint.parent.name == "checkpoints" else Path("sampled")
    )
    classes = f"{cfg.from_class}_to_{cfg.to_class}" if cfg.show == "arithmetic" else None
    what = re.sub(r"[^\w.-]+", "-", "_".join(filter(None, (cfg.show, cfg.interpolation, classes))))
    name = f"{what}_{checkpoint.stem}_step{model.checkpoint_step}_{model.weights}_n{shown.n}_seed{cfg.seed}"
    return folder / (name if cfg.single else f"{name}.{cfg.format}")


def _write(shown: "Shown", out: Path, cfg: DictConfig) -> None:
    """Writes in the format that was asked for; a file appears whole or not at all."""
    import numpy as np
    import torch

    from genlab.atomic import write_whole
    from genlab.pictures import save_png

    if cfg.single:
        for k, image in enumerate(shown.values):
            save_png((image + 1) / 2, out / f"{k:06d}.png")
        return
    if cfg.format == "png":
        return save_png(shown.picture(), out)
    arrays: dict[str, Any] = {shown.kind: shown.values}
    if shown.labels is not None:
        arrays["labels"] = shown.labels
    if cfg.format == "npz":
        ready = {name: tensor.numpy() for name, tensor in arrays.items()}
        write_whole(out, lambda file: np.savez_compressed(file, **ready))
    else:
        write_whole(out, lambda file: torch.save(arrays if len(arrays) > 1 else shown.values, file))


if __name__ == "__main__":
    main()
