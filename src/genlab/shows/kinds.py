"""What the samples of a model are, and which settings and formats go with that."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig

from genlab.checkpoint import check_trust
from genlab.errors import UserError
from genlab.sequence_contracts import TextCodec
from genlab.validation import locate

Kind = Literal["images", "rows", "series", "texts"]
"""Points of a plane are among the images, as they share their settings; rows are images made row by row."""

FORMATS: dict[Kind, tuple[str, ...]] = {
    "images": ("png", "npz", "pt"),
    "rows": ("png", "npz", "pt"),
    "series": ("csv", "png", "npz", "pt"),
    "texts": ("txt",),
}
WRITTEN: dict[Kind, tuple[str, ...]] = {
    **{kind: of[:1] for kind, of in FORMATS.items()},
    "series": ("csv", "png"),
}
"""The formats where none is asked for."""

_NAMES: dict[Kind, str] = {
    "images": "images or points",
    "rows": "images, made row by row",
    "series": "series",
    "texts": "text",
}
_OF_KINDS: dict[str, tuple[Kind, ...]] = {
    "prompt": ("texts",),
    "prompt_file": ("texts",),
    "temperature": ("texts",),
    "top_k": ("texts",),
    "top_p": ("texts",),
    "length": ("texts", "series"),
}
"""Settings that mean something for samples of some kinds alone."""


def kind_of(model: Any, *, trust: Sequence[str] = ()) -> Kind:
    """What the samples of a model are, as far as one can tell before they are drawn.

    Args:
        model: from `load_model`.
        trust: further packages whose code the checkpoint may call.

    Raises:
        UserError: the checkpoint names an untrusted constructor of data.
    """
    if isinstance(model.codec, TextCodec):
        return "texts"
    data = model.run_config["data"]
    if not data.get("num_features") or not data.get("sequence_length"):
        return "images"
    check_trust(data, trust, Path(model.checkpoint_path))
    return "rows" if getattr(locate(data["_target_"]), "rows_of_images", False) else "series"


def check_kind(kind: Kind, cfg: DictConfig) -> None:
    """Refuses settings that mean nothing for samples of this kind.

    Raises:
        UserError: the first of them.
    """
    are = f"samples of this model are {_NAMES[kind]}"
    for name, kinds in _OF_KINDS.items():
        if cfg[name] is not None and kind not in kinds:
            of = " and ".join(_NAMES[one] for one in kinds)
            raise UserError(f"{name} is a setting for models of {of}; {are}: leave {name} out")
    if kind != "images" and cfg.show != "samples":
        raise UserError(f"show={cfg.show} is for models that see whole images; {are}: leave show out")
    if kind in ("series", "texts") and cfg.single:
        raise UserError(f"single=true writes one PNG per image; {are}: leave single out")


def formats_of(kind: Kind, cfg: DictConfig) -> tuple[str, ...]:
    """The formats to write.

    Raises:
        UserError: samples of this kind are not written so, or `out` ends otherwise.
    """
    if cfg.format is not None and cfg.format not in FORMATS[kind]:
        raise UserError(
            f"format={cfg.format}: samples of this model are {_NAMES[kind]}, written as {' or '.join(FORMATS[kind])}"
        )
    written = WRITTEN[kind] if cfg.format is None else (cfg.format,)
    if not cfg.out or cfg.single:
        return written
    fitting = tuple(name for name in written if Path(cfg.out).suffix == f".{name}")
    if not fitting:
        ends = " or ".join(f".{name}" for name in written)
        raise UserError(
            f"out={cfg.out} should end in {ends}, or format= be another: {', '.join(FORMATS[kind])}"
        )
    return fitting
