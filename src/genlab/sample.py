"""The verb `sample`: pictures or arrays drawn from a trained model."""

import inspect
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from genlab.commandline import run_verb
from genlab.errors import UserError
from genlab.suggestions import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("genlab")
FORMATS = ("png", "npz", "pt")
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
    shows = {
        "samples": _samples,
        "reconstruct": _reconstruct,
        "interpolate": _interpolate,
        "traverse": _traverse,
        "transfer": _transfer,
    }
    _check(cfg, list(shows))
    from genlab.checkpoint import find, load_model, pick_device
    from genlab.pictures import save_png, scatter

    out = Path(cfg.out) if cfg.out else None
    if out and out.exists() and (not cfg.overwrite or not (out.is_file() or (cfg.single and out.is_dir()))):
        raise UserError(
            f"out={out}: is there already; choose another name, or replace a file by overwrite=true"
        )
    if out and not cfg.single and out.suffix != f".{cfg.format}":
        raise UserError(f"out={out} should end in .{cfg.format}, or format= be another: {', '.join(FORMATS)}")
    model = load_model(cfg.run, weights=cfg.weights, trust=list(cfg.trust), device=pick_device(cfg.device))
    images, columns = shows[cfg.show](model, cfg)
    points = images.ndim == 2
    if points and (cfg.single or cfg.show != "samples"):
        raise UserError(
            "samples of this model are points: they are drawn in one picture, or written with format=npz or format=pt; "
            f"leave {'single' if cfg.single else 'show'} out"
        )
    if not points:
        _check_count(len(images), cfg)
    if out is None:
        checkpoint = find(cfg.run)
        folder = (
            checkpoint.parent.parent / "sampled"
            if checkpoint.parent.name == "checkpoints"
            else Path("sampled")
        )
        name = f"{cfg.show}_{checkpoint.stem}_step{model.checkpoint_step}_{model.weights}_n{cfg.n}_seed{cfg.seed}"
        out = folder / (name if cfg.single else f"{name}.{cfg.format}")
    try:
        if points and cfg.format == "png":
            save_png(scatter(_real_points(model, cfg), images), out)
        else:
            _write(images, out, cfg, columns)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from error
    kind = "points" if points else "images"
    log.info(f"{len(images):,} {kind} from {model.weights} weights of {model.checkpoint_path}\n  {out}")
    return out


def _check(cfg: DictConfig, shows: list[str]) -> None:
    if cfg.show not in shows:
        raise UserError(f"show={cfg.show} is not known{did_you_mean(cfg.show, shows)}")
    if cfg.format not in FORMATS:
        raise UserError(f"format={cfg.format} is not known{did_you_mean(cfg.format, FORMATS)}")
    for name, least in (("n", 1), ("steps", 2)):
        if cfg[name] < least:
            raise UserError(f"{name} must be at least {least}, got {cfg[name]}")
    if cfg.single and cfg.format != "png":
        raise UserError(f"single=true writes one PNG per image; with format={cfg.format} leave it out")
    _check_count(cfg.n, cfg)


def _check_count(images: int, cfg: DictConfig) -> None:
    if cfg.format == "png" and not cfg.single and images > MOST_IN_A_GRID:
        raise UserError(
            f"n={cfg.n} is too much for one picture ({MOST_IN_A_GRID} at most); use format=npz, format=pt or single=true"
        )


def _samples(model: Any, cfg: DictConfig) -> "tuple[Tensor, int | None]":
    """`n` draws, the same as `load_model(run).sample(n, seed=seed)`; of one class with `label=`."""
    if cfg.label is None:
        return model.sample(cfg.n, seed=cfg.seed).cpu(), None
    if "label" not in inspect.signature(model.sample).parameters:
        _refuse_label(model, cfg)
    return model.sample(cfg.n, seed=cfg.seed, label=cfg.label).cpu(), None


def _reconstruct(model: Any, cfg: DictConfig) -> "tuple[Tensor, int | None]":
    """Validation images, each followed by its reconstruction."""
    import torch

    from genlab.contracts import Reconstructor

    if not isinstance(model, Reconstructor):
        raise UserError(f"show=reconstruct needs a model with an encoder; {type(model).__name__} has none")
    _keep_classes(model, cfg)
    images, labels = _images(model, cfg, cfg.n)
    pairs = torch.stack([images, model.reconstruct(images, *labels)], dim=1)  # [n, 2, C, H, W]
    return pairs.flatten(0, 1).cpu(), 2 * max(1, round((2 * cfg.n) ** 0.5 / 2))


def _interpolate(model: Any, cfg: DictConfig) -> "tuple[Tensor, int | None]":
    """A row for each of `n` pairs of latents: the path between them, under one label."""
    import torch

    from genlab.latents import interpolate

    z, labels = _latents(model, cfg, 2 * cfg.n)
    arcs = getattr(model, "spherical", True)
    paths = [interpolate(a, b, cfg.steps, spherical=arcs) for a, b in zip(z[::2], z[1::2], strict=True)]
    return _decoded(model, torch.stack(paths), [label[::2] for label in labels], cfg), cfg.steps


def _traverse(model: Any, cfg: DictConfig) -> "tuple[Tensor, int | None]":
    """A row for each latent dimension: one latent with that dimension from -3 to 3, under a uniform prior from -1 to 1."""
    import torch

    from genlab.contracts import Reconstructor
    from genlab.latents import traverse

    latents, labels = _latents(model, cfg, 1)
    z = latents[0]
    dims = list(cfg.dims) if cfg.dims else list(range(min(10, len(z))))
    wrong = [d for d in dims if not 0 <= d < len(z)]
    if wrong:
        raise UserError(f"dims: the latent has dimensions 0 to {len(z) - 1}, got {wrong[0]}")
    reach = 3 if isinstance(model, Reconstructor) or getattr(model, "spherical", True) else 1
    rows = traverse(z, dims, torch.linspace(-reach, reach, cfg.steps).to(z))  # [R, steps, L]
    return _decoded(model, rows, [label.expand(len(rows)) for label in labels], cfg), cfg.steps


def _transfer(model: Any, cfg: DictConfig) -> "tuple[Tensor, int | None]":
    """A row for each of `n` validation images: itself, then what its latent decodes to under each class."""
    import torch

    from genlab.contracts import ClassSampler, Reconstructor

    # the classes come in turn: so many samples have them all
    known = model.classes_of(MOST_IN_A_GRID) if isinstance(model, ClassSampler) else None
    if known is None or not isinstance(model, Reconstructor):
        raise UserError(
            f"show=transfer needs an encoder and classes, as model=cvae has; this {type(model).__name__} "
            f"{'is trained without labels' if known is None else 'has no encoder'}"
        )
    _keep_classes(model, cfg)
    images, labels = _images(model, cfg, cfg.n)
    every = known.unique()  # [K]
    z = model.encode(images, *labels).repeat_interleave(len(every), 0)  # [n * K, L]
    decoded = model.decode(z, every.repeat(len(images))).unflatten(0, (len(images), len(every)))
    rows = torch.cat([images[:, None], decoded], dim=1)  # [n, 1 + K, C, H, W]
    return rows.flatten(0, 1).cpu(), 1 + len(every)


def _latents(model: Any, cfg: DictConfig, n: int) -> "tuple[Tensor, list[Tensor]]":
    """Latents `[n, L]`, of the first validation images where there is an encoder, else drawn from the prior.

    Beside them the classes `[n]` of those images, where the model knows classes.
    """
    from genlab.contracts import LatentSampler, Reconstructor
    from genlab.seeding import seeded

    if isinstance(model, Reconstructor):
        images, labels = _images(model, cfg, n)
        z = model.encode(images, *labels)
        if not z.is_floating_point():
            raise UserError(
                f"show={cfg.show} needs latents with ways between them; those of {type(model).__name__} are codes"
            )
        return z, labels
    if not isinstance(model, LatentSampler):
        raise UserError(f"show={cfg.show} needs a model with a latent space; {type(model).__name__} has none")
    with seeded(cfg.seed, getattr(model, "device", None)):
        return model.noise(n), []


def _decoded(model: Any, rows: "Tensor", labels: "list[Tensor]", cfg: DictConfig) -> "Tensor":
    """Samples `[R * S, ...]` at latents `[R, S, L]`; a conditional model keeps to one class in a row.

    It is that of `label=`, else of the image that the row begins with, `[R]`, else all classes take turns.
    """
    from genlab.contracts import ClassSampler

    known = model.classes_of(len(rows)) if isinstance(model, ClassSampler) else None  # [R]
    if known is None:
        _refuse_label(model, cfg)
        return model.decode(rows.flatten(0, 1)).cpu()
    if cfg.label is not None:
        known = known.new_full(known.shape, cfg.label)
    elif labels:
        known = labels[0]
    return model.decode(rows.flatten(0, 1), known.repeat_interleave(rows.shape[1])).cpu()


def _refuse_label(model: Any, cfg: DictConfig) -> None:
    if cfg.label is not None:
        raise UserError(
            f"label={cfg.label}: {type(model).__name__} draws no samples of a class; leave label out"
        )


def _keep_classes(model: Any, cfg: DictConfig) -> None:
    """Refuses a class where each image has its own."""
    if cfg.label is not None:
        raise UserError(
            f"label={cfg.label}: show={cfg.show} encodes images under their own classes; leave label out"
        )


def _images(model: Any, cfg: DictConfig, n: int) -> "tuple[Tensor, list[Tensor]]":
    """The first `n` validation images of the data that the model was trained on; their classes, where it knows any."""
    import torch

    from genlab.checkpoint import load_data
    from genlab.contracts import ClassSampler

    knows = isinstance(model, ClassSampler) and model.classes_of(1) is not None
    device = model.device
    datamodule = load_data(model, trust=list(cfg.trust))
    found: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in datamodule.val_dataloader():
        ready = datamodule.on_after_batch_transfer(batch, 0)
        found.append(ready.image)
        labels.append(ready.label)
        if sum(map(len, found)) >= n:
            return torch.cat(found)[:n].to(device), [torch.cat(labels)[:n].to(device)] if knows else []
    raise UserError(
        f"show={cfg.show} n={cfg.n} needs {n} validation images, there are {sum(map(len, found))}"
    )


def _real_points(model: Any, cfg: DictConfig) -> "Tensor":
    """The validation points `[N, D]` of the data that the model was trained on."""
    import torch

    from genlab.checkpoint import load_data

    return torch.cat([batch[0] for batch in load_data(model, trust=list(cfg.trust)).val_dataloader()])


def _write(images: "Tensor", out: Path, cfg: DictConfig, columns: int | None) -> None:
    """Writes the images in the format that was asked for; a file appears whole or not at all."""
    import numpy as np
    import torch

    from genlab.atomic import write_whole
    from genlab.pictures import image_grid, save_png

    if cfg.single:
        for k, image in enumerate(images):
            save_png((image + 1) / 2, out / f"{k:06d}.png")
    elif cfg.format == "png":
        save_png(image_grid(images, columns=columns), out)
    elif cfg.format == "npz":
        name = "points" if images.ndim == 2 else "images"
        arrays: dict[str, Any] = {name: images.numpy()}
        write_whole(out, lambda file: np.savez_compressed(file, **arrays))
    else:
        write_whole(out, lambda file: torch.save(images, file))


if __name__ == "__main__":
    main()
