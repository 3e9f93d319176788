import re
from pathlib import Path

import genlab

ROOT = Path(__file__).parents[1]


def _version_in(file: str, pattern: str) -> str:
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{file} gives no version"
    return found[1]


def test_the_version_is_the_same_wherever_it_stands():
    assert genlab.__version__ == _version_in("pyproject.toml", r'^version = "(.+)"$')
    assert genlab.__version__ == _version_in("CITATION.cff", r"^version: (.+)$")
    assert genlab.__version__ == _version_in("CHANGELOG.md", r"^## \[(\d.+?)\]")


def test_the_package_hands_on_what_it_promises():
    assert callable(genlab.load_model)
    assert not hasattr(genlab, "no_such_name")
