"""What the README promises is what there is."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from genlab.config import compose
from genlab.validation import validate

README = (ROOT / "README.md").read_text(encoding="utf-8")
TRAINS = re.findall(r"^(?:pip install .* && )?python train\.py(?: +(.*?))?(?: +#.*)?$", README, re.M)


def test_the_table_of_options_is_that_of_conf(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import options_table

    assert options_table.table() in README, "run python scripts/options_table.py --write"
    assert options_table.replaced(README) == README


def test_the_readme_shows_training_commands():
    assert len(TRAINS) >= 10


@pytest.mark.parametrize(
    "line", sorted({t for t in TRAINS if t and "logs/RUN" not in t and not t.startswith("--")})
)
def test_every_training_command_of_the_readme_is_a_right_config(line):
    words = [w for w in shlex.split(line) if w != "-m"]
    first = [re.sub(r",.*", "", w) for w in words]  # of a sweep its first job
    validate(compose(first), facts_known=False)


def test_the_two_lines_for_a_notebook_and_the_use_of_a_model_run(tmp_path, monkeypatch):
    training, using = re.findall(r"```python\n(.*?)```", README, re.S)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(training.replace('"trainer.max_epochs=5"', '"model/network=mlp", "debug=fast"'), names)
    exec(using, names)
    assert names["images"].shape == (16, 1, 32, 32) and names["nats"].shape == (16,)


def test_every_link_of_the_readme_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("script", ["train.py", "sample.py", "evaluate.py"])
def test_help_is_a_manual_and_needs_no_torch(run, script):
    done = run(script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"python {script}" in done.stdout


def test_help_lists_every_group_and_ten_examples(run):
    text = run("train.py", "--help").stdout
    assert len(re.findall(r"^python train\.py", text, re.M)) == 10
    assert not re.search(r"^\S+/(base|parts|pair): ", text, re.M)  # what options share is no option
    for group in ("model: ", "data: ", "model/network: ", "trainer: ", "logger: "):
        assert re.search(rf"^{group}\w", text, re.M)


@pytest.mark.parametrize("script", ["train", "sample", "evaluate"])
def test_a_verb_starts_without_the_heavy_libraries(script):
    import subprocess

    heavy = ["torch", "pytorch_lightning", "torchvision", "numpy", "sklearn"]
    code = f"import sys, genlab.{script}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scripts_say_how_to_call_them():
    for script in sorted(Path(ROOT / "scripts").glob("*.py")):
        assert f"python scripts/{script.name}" in script.read_text()
