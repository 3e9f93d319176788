"""Where texts come from: Python's own library, a download, the user's files. Each is read as it is, as Unicode."""

import glob
import os
import socket
import sys
import sysconfig
import tokenize
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

from genlab.atomic import write_whole
from genlab.data.opening import TIMEOUT
from genlab.errors import UserError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Document(NamedTuple):
    """A text and the name by which its file is known, the same on every machine."""

    name: str
    text: str


class TextSource:
    """Interface: gives the documents of a dataset, always in one order.

    `place` is the folder in which datasets are kept, or the path that the user gave.
    """

    def prepare(self, place: str, *, download: bool) -> None:
        """Fetches what is missing, for one process of a machine; nothing unless a class says otherwise."""

    def read(self, place: str) -> list[Document]:
        """Its documents, at least one.

        Raises:
            UserError: there are none, or one cannot be read.
        """
        raise NotImplementedError


class PythonSource(TextSource):
    """The sources of the standard library of the Python that runs: several MB, on every machine.

    Left out are tests, IDLE, what was installed beside it, and two folders of generated tables.
    """

    LEFT_OUT = frozenset(
        {
            "test", "tests", "idle_test", "idlelib", "site-packages", "dist-packages", "__pycache__", "encodings",
            "pydoc_data",
        }
    )  # fmt: skip

    def read(self, place: str) -> list[Document]:
        library = Path(sysconfig.get_path("stdlib"))
        documents = [Document(name, _python_text(library / name)) for name in sorted(self._names(library))]
        if not documents:
            raise UserError(
                f"{library} holds no sources of Python's standard library; choose another data=, e.g. data=text"
                " data.path=FILE"
            )
        return documents

    def _names(self, library: Path) -> Iterator[str]:
        for folder, subfolders, files in os.walk(library):
            subfolders[:] = [name for name in subfolders if name not in self.LEFT_OUT]
            for file in files:
                name = Path(folder, file).relative_to(library)
                if name.suffix == ".py" and name.parts[0].removesuffix(".py") in sys.stdlib_module_names:
                    yield name.as_posix()


def _python_text(file: Path) -> str:
    try:
        with tokenize.open(file) as lines:  # in the encoding that the file declares
            return lines.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error}); choose another data=") from error


class DownloadedText(TextSource):
    """A text file from the web, kept in the folder of datasets."""

    def __init__(self, *, url: str, file: str) -> None:
        """Fetches nothing yet.

        Args:
            url: where it is published.
            file: where it is kept, below the folder of datasets.
        """
        self.url, self.file = url, file

    def prepare(self, place: str, *, download: bool) -> None:
        """Downloads the file where it is not there.

        Raises:
            UserError: it is not there and cannot, or may not, be downloaded.
        """
        target = Path(place, self.file)
        if target.is_file():
            return
        if not download:
            raise UserError(f"{target} is not there, and data.download is false; {self._advice(target)}")
        try:
            content = _fetch(self.url)
            write_whole(target, lambda file: file.write(content))
        except (URLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(
                f"{target} is not there and cannot be downloaded ({reason}); {self._advice(target)}"
            ) from error

    def _advice(self, target: Path) -> str:
        return f"put {self.url} there, or take data=python_source, which needs no files"

    def read(self, place: str) -> list[Document]:
        target = Path(place, self.file)
        if not target.is_file():
            raise UserError(f"{target} is not there; {self._advice(target)}")
        return [Document(target.name, _own_text(str(target)))]


def _fetch(url: str) -> bytes:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with urllib.request.urlopen(url) as answer:
            return bytes(answer.read())
    finally:
        socket.setdefaulttimeout(before)


class TextFiles(TextSource):
    """The user's own files in UTF-8: one, or all that a pattern such as `books/**/*.txt` names."""

    def read(self, place: str) -> list[Document]:
        paths = _matching(place)
        folder = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
        documents = [
            Document(Path(os.path.relpath(path, folder)).as_posix(), _own_text(path)) for path in paths
        ]
        if not any(document.text for document in documents):
            what = (
                f"data.path={place} is"
                if len(paths) == 1
                else f"all {len(paths)} files of data.path={place} are"
            )
            raise UserError(f"{what} empty; give a file with a text in it")
        return documents


def _matching(place: str) -> list[str]:
    path = os.path.expanduser(place)
    if os.path.isfile(path):  # its name may hold what a pattern would read otherwise
        return [path]
    if os.path.isdir(path):
        raise UserError(
            f"data.path={place} is a folder; name its files, e.g. data.path='{place.rstrip('/')}/*.txt'"
        )
    found = sorted(file for file in glob.glob(path, recursive=True) if os.path.isfile(file))
    if not found:
        pattern = glob.has_magic(path)
        raise UserError(f"data.path={place}: {'no file matches it' if pattern else 'no such file'}")
    return found


def _own_text(path: str) -> str:
    """A file in UTF-8, its line ends as they are; a byte order mark is no text.

    Raises:
        UserError: it cannot be read, or is in another encoding.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    start = len(BYTE_ORDER_MARK) if content.startswith(BYTE_ORDER_MARK) else 0
    try:
        return content[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        offset = start + error.start
        line = content.count(b"\n", 0, offset) + 1
        other = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "another encoding"
        raise UserError(
            f"{path} is not UTF-8: the byte 0x{content[offset]:02x} at offset {offset}, in line {line}, belongs to"
            f" {other}; convert it, e.g. iconv -f {'UTF-16' if other == 'UTF-16' else 'LATIN1'} -t UTF-8 FILE > NEW"
        ) from error
