"""Texts: told on the terminal while they are made, and kept."""

import inspect
import io
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from genlab.errors import UserError
from genlab.sequence_contracts import TextGenerator
from genlab.shows.originals import refuse_label
from genlab.shows.shown import Shown
from genlab.tables import passages

LINES = 20
"""Texts where `n` is null and each is a line."""


def texts(model: Any, cfg: DictConfig) -> Shown:
    """`n` texts that begin with the prompt, the same as `prompt + load_model(run).generate(prompt, n=n, ...)`.

    A single one is told while it is made, several are made at once, which is faster.

    Raises:
        UserError: a setting is out of range, the prompt cannot be read, or the model writes no text.
    """
    if not isinstance(model, TextGenerator):
        raise UserError(f"{type(model).__name__} writes no text: it has no generate(prompt)")
    if "label" not in inspect.signature(model.generate).parameters:
        refuse_label(model, cfg)
    lines = getattr(model, "end_token", None) is not None
    prompt = prompt_of(cfg)
    if lines and cfg.prompt_file is not None:
        prompt = prompt.removesuffix("\n").removesuffix("\r")  # an editor's last line break
    names = ("length", "temperature", "top_k", "top_p", "seed", "label")
    asked = {name: cfg[name] for name in names if cfg[name] is not None}
    n = cfg.n or (LINES if lines else 1)
    if n == 1 and hasattr(model, "stream"):
        made = ["".join(told([prompt], model.stream(prompt, **asked)))]
        told(["\n"])
    else:
        made = [prompt + text for text in model.generate(prompt, n=n, **asked)]
        told([passages(made, lines=lines), "" if lines else "\n"])
    return Shown(made, "texts", None, n, lines=lines, prompt=prompt)


def prompt_of(cfg: DictConfig) -> str:
    """The prompt as it was typed, or all that its file holds; empty where neither is given.

    Raises:
        UserError: both are given, or the file cannot be read.
    """
    if cfg.prompt_file is None:
        return cfg.prompt or ""
    if cfg.prompt is not None:
        raise UserError("prompt and prompt_file are both given; leave one out")
    try:
        return Path(cfg.prompt_file).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"prompt_file={cfg.prompt_file}: is not UTF-8, see the byte at offset {error.start}; save it as UTF-8"
        ) from error
    except OSError as error:
        raise UserError(f"prompt_file={cfg.prompt_file}: cannot be read ({error.strerror})") from error


def told(*parts: Iterable[str]) -> list[str]:
    """Writes pieces of text on the terminal, each as soon as it is there.

    Ends the process as others do when nobody reads on, as with `| head`.

    Returns:
        The pieces as they came.
    """
    out, pieces = sys.stdout, []
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="replace")  # a terminal of another alphabet
    for piece in (piece for part in parts for piece in part):
        pieces.append(piece)
        try:
            out.write(_harmless(piece) if out.isatty() else piece)
            out.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())  # what Python flushes at its end
            sys.exit(128 + signal.SIGPIPE)
    return pieces


def _harmless(text: str) -> str:
    """A text without signs that would command the terminal."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in text)
