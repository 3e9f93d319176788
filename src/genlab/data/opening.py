"""Opens and downloads datasets of torchvision's kind; trouble with their files is told in a sentence."""

import inspect
import os
import pickle
import socket
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from io import StringIO
from typing import Any

from torch.utils.data import Dataset

from genlab.errors import UserError

TIMEOUT = 20.0
"""Seconds a server may be silent while something is downloaded."""

_FILE_TROUBLE = (
    OSError,  # URLError is one
    RuntimeError,
    ValueError,
    AssertionError,
    EOFError,
    IndexError,
    pickle.UnpicklingError,
    tarfile.TarError,
    zlib.error,
)


class MissingData(UserError):
    """The files of a dataset are not where they should be."""


def open_dataset(factory: Callable[..., Dataset], root: str) -> Dataset:
    """Opens a dataset whose files are there; writes nothing.

    Args:
        factory: a dataset class of torchvision's kind, or a partial of one; `root` and `download` are given
            to it where it takes them and they are not set yet.
        root: folder in which datasets are kept.

    Raises:
        MissingData: its files are not there.
        UserError: they cannot be read.
    """
    try:
        return factory(**_accepted(factory, root=root, download=False))
    except _FILE_TROUBLE as error:
        name, (files, folder) = _name(factory), _expected(factory, root)
        if isinstance(error, FileNotFoundError) or "not found" in str(error).lower():
            raise MissingData(f"{name} is not complete in {folder}: {_advice(files, folder)}") from error
        raise UserError(
            f"the files of {name} in {folder} cannot be read ({_reason(error)}): delete them and let them be"
            " downloaded again, or take data=digits, which needs no files"
        ) from error


def download_dataset(factory: Callable[..., Dataset], root: str) -> None:
    """Downloads a dataset into `root`; archives that lie there already are unpacked.

    Raises:
        UserError: it fails; the files expected and their folder are named.
    """
    try:
        with _timeout(TIMEOUT), redirect_stdout(StringIO()):
            factory(**_accepted(factory, root=root, download=True))
    except _FILE_TROUBLE as error:
        name, (files, folder) = _name(factory), _expected(factory, root)
        raise UserError(
            f"{name} is not complete in {folder} and cannot be downloaded ({_reason(error)}):"
            f" {_advice(files, folder)}"
        ) from error


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _accepted(factory: Callable[..., Dataset], **offered: Any) -> dict[str, Any]:
    """Those of the offered arguments that the factory takes and that its partial has not set."""
    parameters = inspect.signature(factory).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    set_already = factory.keywords if isinstance(factory, partial) else {}
    return {k: v for k, v in offered.items() if (k in parameters or takes_any) and k not in set_already}


def _advice(files: list[str], folder: str) -> str:
    what = ", ".join(files) if files else "its files"
    return f"put {what} into {folder}, or take data=digits, which needs no files"


def _reason(error: BaseException) -> str:
    """The last line of an error's text: torchvision lists its mirrors above it."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def _class(factory: Callable[..., Dataset]) -> Any:
    while isinstance(factory, partial):
        factory = factory.func
    return factory


def _name(factory: Callable[..., Dataset]) -> str:
    return getattr(_class(factory), "__name__", str(factory))


def _expected(factory: Callable[..., Dataset], root: str) -> tuple[list[str], str]:
    """The files that torchvision looks for, where its class tells them, and the folder they belong in."""
    cls = _class(factory)
    if isinstance(getattr(cls, "filename", None), str):  # the family of CIFAR10: an archive that is unpacked
        return [cls.filename], root
    resources = getattr(cls, "resources", None)
    if isinstance(resources, list) and "url" not in vars(cls):  # the family of MNIST, but for EMNIST
        names = [name.removesuffix(".gz") + "(.gz)" for name, _ in resources]
        return names, os.path.join(root, cls.__name__, "raw")
    return [], root
