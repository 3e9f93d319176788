"""The verb `sample`: pictures, arrays, tables or texts drawn from a trained model."""

import logging
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from genlab.commandline import run_verb
from genlab.errors import UserError
from genlab.suggestions import did_you_mean

if TYPE_CHECKING:
    from genlab.shows.kinds import Kind
    from genlab.shows.shown import Shown

log = logging.getLogger("genlab")
SHOWS = ("samples", "reconstruct", "interpolate", "traverse", "transfer", "scatter", "arithmetic")
FORMATS = ("png", "npz", "pt", "csv", "txt")
INTERPOLATIONS = ("slerp", "linear")
OF_ONE_SHOW = {
    "interpolation": "interpolate",
    "dims": "traverse",
    "from_class": "arithmetic",
    "to_class": "arithmetic",
}
"""Settings that one show alone looks at."""

NAMED = ("label", "length", "temperature", "top_k", "top_p")
"""Settings that are told in a file's name where they are given."""

OF_STEPS = ("interpolate", "traverse", "arithmetic")
"""Shows that look at `steps`."""

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
    from genlab.shows.kinds import check_kind, formats_of, kind_of

    out = Path(cfg.out) if cfg.out else None
    if out and out.exists() and (not cfg.overwrite or not (out.is_file() or (cfg.single and out.is_dir()))):
        raise UserError(
            f"out={out}: is there already; choose another name, or replace a file by overwrite=true"
        )
    model = load_model(cfg.run, weights=cfg.weights, trust=list(cfg.trust), device=pick_device(cfg.device))
    kind = kind_of(model, trust=list(cfg.trust))
    check_kind(kind, cfg)
    formats = formats_of(kind, cfg)
    if kind in ("images", "rows") and "png" in formats and cfg.show != "scatter":
        _check_count(cfg.n or 1, cfg.n, cfg)
    shown = _show(model, kind, cfg)
    if shown.kind == "points" and (cfg.single or cfg.show != "samples"):
        raise UserError(
            "samples of this model are points: they are drawn in one picture, or written with format=npz or format=pt; "
            f"leave {'single' if cfg.single else 'show'} out"
        )
    if shown.kind == "images" and "png" in formats:
        _check_count(len(shown.values), shown.n, cfg)
    files = _write(shown, formats, out or _place(model, shown, cfg), cfg)
    count = len(shown.values)
    what = "text" if shown.kind == "texts" and count == 1 else shown.kind
    made = f"{count:,} {what} from {model.weights} weights of {model.checkpoint_path}"
    _tell("\n  ".join([made, *map(str, files)]), kind)
    return files[0]


def _tell(line: str, kind: "Kind") -> None:
    """Says what was made; behind texts so that nobody has to read it, as with `| head`."""
    from genlab.shows.texts import told

    if kind == "texts":
        told([f"{line}\n"])
    else:
        log.info(line)


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
    if cfg.single and cfg.format not in (None, "png"):
        raise UserError(f"single=true writes one PNG per image; with format={cfg.format} leave it out")
    if cfg.format == "png" and cfg.show != "scatter":
        _check_count(cfg.n or 1, cfg.n, cfg)


def _check_count(images: int, n: int, cfg: DictConfig) -> None:
    if not cfg.single and images > MOST_IN_A_GRID:
        raise UserError(
            f"n={n} is too much for one picture ({MOST_IN_A_GRID} at most); use format=npz, format=pt or single=true"
        )


def _show(model: Any, kind: "Kind", cfg: DictConfig) -> "Shown":
    """What the show of that name gives; of sequences there is one."""
    from genlab.shows.grids import reconstruct, samples, transfer
    from genlab.shows.groups import arithmetic, scatter
    from genlab.shows.series import rows, series
    from genlab.shows.texts import texts
    from genlab.shows.ways import interpolate, traverse

    if kind != "images":
        return {"texts": texts, "series": series, "rows": rows}[kind](model, cfg)
    shows = (samples, reconstruct, interpolate, traverse, transfer, scatter, arithmetic)
    return {show.__name__: show for show in shows}[cfg.show](model, cfg)


def _place(model: Any, shown: "Shown", cfg: DictConfig) -> Path:
    """The file without its ending, or with `single=true` the folder, where none is named: in the run's folder."""
    from genlab.checkpoint import find

    checkpoint = find(cfg.run)
    folder = (
        checkpoint.parent.parent / "sampled" if checkpoint.parent.name == "checkpoints" else Path("sampled")
    )
    classes = f"{cfg.from_class}_to_{cfg.to_class}" if cfg.show == "arithmetic" else None
    what = re.sub(r"[^\w.-]+", "-", "_".join(filter(None, (cfg.show, cfg.interpolation, classes))))
    name = f"{what}_{checkpoint.stem}_step{model.checkpoint_step}_{model.weights}_n{shown.n}_seed{cfg.seed}"
    chosen = [f"{name}{cfg[name]}" for name in NAMED if cfg[name] is not None]
    if cfg.dims is not None:
        chosen.append(f"dims{'-'.join(map(str, cfg.dims))}")
    if cfg.show in OF_STEPS:
        chosen.append(f"steps{cfg.steps}")
    if shown.prompt:
        chosen.append(f"prompt{zlib.crc32(shown.prompt.encode(errors='replace')):08x}")
    return folder / "_".join([name, *chosen])


def _write(shown: "Shown", formats: Sequence[str], out: Path, cfg: DictConfig) -> list[Path]:
    """Writes in the formats that were asked for, beside each other where `out` is none of the user's.

    Returns:
        What was written: files, or with `single=true` the folder.
    """
    from genlab.shows.files import write, write_each

    files = [out] if cfg.out or cfg.single else [out.with_name(f"{out.name}.{form}") for form in formats]
    try:
        if cfg.single:
            write_each(shown, out)
        else:
            for file, form in zip(files, formats, strict=True):
                write(shown, file, form)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from error
    return files


if __name__ == "__main__":
    main()
