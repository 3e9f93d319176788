"""What is shown, as files: pictures, arrays, tables, texts. A file appears whole or not at all."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genlab.atomic import write_whole
from genlab.pictures import save_png
from genlab.shows.shown import Shown
from genlab.tables import passages


def write(shown: Shown, out: Path, form: str) -> None:
    """Writes all of it into one file in the format `form`."""
    if form == "txt":
        write_whole(out, lambda file: file.write(passages(_texts(shown), lines=shown.lines).encode()))
    elif form == "csv":
        write_whole(out, lambda file: file.write(_table(shown).encode()))
    elif form == "png":
        assert shown.picture is not None
        save_png(shown.picture(), out)
    else:
        _write_arrays(shown, out, form)


def write_each(shown: Shown, folder: Path) -> None:
    """A PNG for each image."""
    for k, image in enumerate(shown.values):
        assert isinstance(image, torch.Tensor)
        save_png((image + 1) / 2, folder / f"{k:06d}.png")


def _texts(shown: Shown) -> list[str]:
    return [text for text in shown.values if isinstance(text, str)]


def _table(shown: Shown) -> str:
    """A row for each step of each sample, both counted from 1, in the user's units."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sample", "step", *shown.columns])
    for k, series in enumerate(shown.values, start=1):
        assert isinstance(series, torch.Tensor)
        for step, row in enumerate(series.tolist(), start=1):
            writer.writerow([k, step, *(f"{value:.8g}" for value in row)])
    return text.getvalue()


def _write_arrays(shown: Shown, out: Path, form: str) -> None:
    arrays: dict[str, Any] = {shown.kind: shown.values}
    if shown.labels is not None:
        arrays["labels"] = shown.labels
    if form == "npz":
        ready = {name: tensor.numpy() for name, tensor in arrays.items()}
        write_whole(out, lambda file: np.savez_compressed(file, **ready))
    else:
        write_whole(out, lambda file: torch.save(arrays if len(arrays) > 1 else shown.values, file))
