"""Where texts come from, and what is said of files that cannot be read."""

import sys
from pathlib import Path

import pytest
from image_files import fails

from genlab.data.text_sources import DownloadedText, PythonSource, TextFiles


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(place) -> list[tuple[str, str]]:
    return [tuple(document) for document in TextFiles().read(str(place))]


def test_a_file_is_read_as_it_is(tmp_path):
    text = "天地\r\n\0 玄黃\n\ré"
    assert read(write(tmp_path / "a b,c=[1].txt", text)) == [("a b,c=[1].txt", text)]
    assert read(write(tmp_path / "bom.txt", b"\xef\xbb\xbf" + text.encode())) == [("bom.txt", text)]


def test_a_pattern_names_files_in_their_order_and_no_folders(tmp_path):
    for name in ("b/2.txt", "a/1.txt", "a/deep/3.txt", "c.md"):
        write(tmp_path / name, name)
    (tmp_path / "a" / "folder.txt").mkdir()
    assert read(tmp_path / "**" / "*.txt") == [(n, n) for n in ("a/1.txt", "a/deep/3.txt", "b/2.txt")]
    assert [name for name, _ in read(tmp_path / "a" / "*.txt")] == ["1.txt"]


def test_what_is_not_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    fails("data.path=x.txt: no such file", lambda: read("x.txt"))
    fails("data.path=*.txt: no file matches it", lambda: read("*.txt"))
    fails(
        "data.path=folder/ is a folder; name its files, e.g. data.path='folder/*.txt'",
        lambda: read("folder/"),
    )


def test_empty_files_are_told_where_nothing_else_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("a.txt"), "")
    fails("data.path=a.txt is empty; give a file with a text in it", lambda: read("a.txt"))
    write(Path("b.txt"), "")
    fails("all 2 files of data.path=?.txt are empty; give a file with a text in it", lambda: read("?.txt"))
    write(Path("c.txt"), "text")
    assert [text for _, text in read("?.txt")] == ["", "", "text"]


def test_another_encoding_is_told_with_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("latin.txt"), b"one\ntwo caf\xe9\n")
    fails(
        "latin.txt is not UTF-8: the byte 0xe9 at offset 11, in line 2, belongs to another encoding; convert it, e.g."
        " iconv -f LATIN1 -t UTF-8 FILE > NEW",
        lambda: read("latin.txt"),
    )
    write(Path("wide.txt"), "text".encode("utf-16"))
    fails(
        "wide.txt is not UTF-8: the byte 0xff at offset 0, in line 1, belongs to UTF-16; convert it, e.g."
        " iconv -f UTF-16 -t UTF-8 FILE > NEW",
        lambda: read("wide.txt"),
    )
    write(Path("cut.txt"), b"\xef\xbb\xbfab\n" + "漢".encode()[:2])
    with pytest.raises(Exception, match="the byte 0xe6 at offset 6, in line 2"):
        read("cut.txt")


def test_the_library_of_this_python_is_read_without_tests_and_tables():
    documents = PythonSource().read("nowhere")
    names = [document.name for document in documents]
    assert names == sorted(names) and len(set(names)) == len(names) > 300
    assert {"ast.py", "json/decoder.py", "asyncio/events.py"} <= set(names)
    parts = {part for name in names for part in Path(name).parts}
    assert not parts & {
        "test",
        "tests",
        "idlelib",
        "site-packages",
        "encodings",
        "pydoc_data",
        "_sysconfigdata",
    }
    assert all(Path(name).parts[0].removesuffix(".py") in sys.stdlib_module_names for name in names)
    assert sum(len(document.text) for document in documents) > 4_000_000
    text = dict(documents)["ast.py"]
    assert text == Path(__import__("ast").__file__).read_text(encoding="utf-8")
    assert PythonSource().read("nowhere") == documents


def test_a_python_without_its_sources_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    write(tmp_path / "mine.py", "x = 1")
    write(tmp_path / "site-packages" / "ast.py", "x = 1")
    fails(
        f"{tmp_path} holds no sources of Python's standard library; choose another data=, e.g. data=text data.path=FILE",
        lambda: PythonSource().read("nowhere"),
    )
    write(tmp_path / "ast.py", b"# -*- coding: latin-1 -*-\r\n'\xe9'")
    assert PythonSource().read("nowhere") == [("ast.py", "# -*- coding: latin-1 -*-\n'é'")]
    write(tmp_path / "re.py", b"'\xe9'")
    with pytest.raises(Exception, match=r"re.py cannot be read \(.*\); choose another data=$"):
        PythonSource().read("nowhere")


def test_a_file_is_downloaded_once_and_whole(tmp_path):
    origin = write(tmp_path / "origin.txt", "to be")
    source = DownloadedText(url=origin.as_uri(), file="text/play.txt")
    source.prepare(str(tmp_path / "data"), download=True)
    assert source.read(str(tmp_path / "data")) == [("play.txt", "to be")]
    origin.unlink()
    source.prepare(str(tmp_path / "data"), download=True)
    assert [p.name for p in (tmp_path / "data" / "text").iterdir()] == ["play.txt"]


def test_a_download_that_fails_says_where_the_file_belongs(tmp_path):
    url = (tmp_path / "nowhere.txt").as_uri()
    source, target = DownloadedText(url=url, file="play.txt"), tmp_path / "data" / "play.txt"
    advice = f"put {url} there, or take data=python_source, which needs no files"
    with pytest.raises(Exception, match="cannot be downloaded") as error:
        source.prepare(str(target.parent), download=True)
    assert str(error.value).startswith(f"{target} is not there and cannot be downloaded (")
    assert str(error.value).endswith(f"); {advice}") and "\n" not in str(error.value)
    assert not target.exists()
    fails(
        f"{target} is not there, and data.download is false; {advice}",
        lambda: source.prepare(str(target.parent), download=False),
    )
    fails(f"{target} is not there; {advice}", lambda: source.read(str(target.parent)))
