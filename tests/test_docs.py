"""What the documents promise: every training command composes and validates; what cannot be run here is marked."""

import itertools
import re
import shlex
from pathlib import Path

import pytest

from conftest import ROOT
from genlab.config import compose
from genlab.validation import validate

DOCS = sorted((ROOT / "docs").glob("*.md"))
COMMAND = re.compile(r"^python train\.py +(.*?)(?: +#.*)?$", re.M)
COMMANDS = [(doc.stem, line) for doc in DOCS for line in COMMAND.findall(doc.read_text(encoding="utf-8"))]
HYDRAS = ("hydra.", "hydra/", "-m", "--")


def test_the_documents_show_commands():
    assert {"sweeps", "dashboards"} <= {doc for doc, _ in COMMANDS}


@pytest.mark.parametrize(("doc", "line"), COMMANDS)
def test_every_training_command_of_a_document_is_a_right_config(doc, line):
    words = [w for w in shlex.split(line) if not w.startswith(HYDRAS) and "logs/" not in w]
    firsts = [re.sub(r",.*", "", w) if "[" not in w else w for w in words]
    validate(compose(firsts), facts_known=False)


def test_every_link_of_a_document_leads_somewhere():
    for doc, target in itertools.chain.from_iterable(
        [(d, t) for t in re.findall(r"\]\((?!http)([^)#]+)\)", d.read_text(encoding="utf-8"))] for d in DOCS
    ):
        assert (Path(doc).parent / target).exists(), (doc.name, target)
