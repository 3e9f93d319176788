"""The house's table: which rooms and libraries a file may import. Imports point down, never sideways."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "genlab"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 300
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}


class Place(NamedTuple):
    """What a room (a folder or a file of the package) may import, beside itself and the standard library."""

    own: str
    libraries: str


FLOOR_0 = {
    "errors": Place("", ""),
    "atomic": Place("", ""),
    "suggestions": Place("", ""),
    "tables": Place("", ""),
    "job_progress": Place("", ""),
    "contracts": Place("", "torch"),
    "code_contracts": Place("", "torch"),
    "sequence_contracts": Place("", "torch"),
    "codecs": Place("errors suggestions sequence_contracts", "torch numpy tokenizers"),
    "seeding": Place("", "torch"),
    "latents": Place("", "torch"),
    "pictures": Place("", "torch PIL"),
    "plots": Place("pictures", "torch PIL"),
    "projections": Place("", "torch sklearn"),
    "schedules": Place("", ""),
    "kl_schedules": Place("", ""),
    "layers": Place("", "torch"),
    "objectives": Place("", "torch"),
}
FLOOR_1 = {
    "networks": Place("errors contracts code_contracts sequence_contracts layers", "torch"),
    "data": Place(
        "errors atomic codecs contracts sequence_contracts",
        "torch torchvision pytorch_lightning numpy PIL sklearn",
    ),
    "models": Place(
        "errors contracts code_contracts sequence_contracts objectives schedules kl_schedules seeding",
        "torch pytorch_lightning",
    ),
    "metrics": Place(
        "errors atomic contracts sequence_contracts layers seeding latents", "torch torchvision numpy sklearn"
    ),
    "callbacks": Place(
        "errors atomic tables job_progress contracts sequence_contracts seeding latents pictures plots projections",
        "torch pytorch_lightning numpy tensorboard tqdm wandb mlflow",
    ),
}
# a staircase: each step may import the steps before it, and what every step may
STAIRS = [
    "run_folder",
    "invocation",
    "resuming",
    "options",
    "config",
    "validation",
    "sweeps",
    "gate",
    "commandline",
    "checkpoint",
    "lean_steps",
    "assembly",
    "report",
    "metric_choice",
    "sample_metrics",
    "density_metrics",
]
VERBS = ["train", "sample", "evaluate"]
EVERY_STEP = " ".join(FLOOR_0.keys() - {"layers", "objectives"} | {"__init__", "callbacks", "metrics"})
LIBRARIES_OF_STEPS = "hydra omegaconf torch pytorch_lightning numpy"
FLOOR_2 = {
    step: Place(" ".join([EVERY_STEP, *STAIRS[:height]]), LIBRARIES_OF_STEPS)
    for height, step in enumerate(STAIRS)
} | {verb: Place(" ".join([EVERY_STEP, *STAIRS]), LIBRARIES_OF_STEPS) for verb in VERBS}
TABLE = {"__init__": Place("checkpoint", "")} | FLOOR_0 | FLOOR_1 | FLOOR_2

LIGHT = [
    "invocation",
    "run_folder",
    "resuming",
    "options",
    "config",
    "validation",
    "gate",
    "commandline",
    *VERBS,
]
LIGHT += [
    f"sweeps.{name}"
    for name in ("jobs", "leading", "ranking", "display", "processes", "pool", "launching", "in_process")
]
HEAVY = {"torch", "torchvision", "pytorch_lightning", "matplotlib", "sklearn", "numpy", "PIL"}


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _statements(node: ast.AST, *, inside_functions: bool) -> Iterator[ast.AST]:
    """The nodes of a tree without what stands under `if TYPE_CHECKING:`, which is never run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not inside_functions:
            continue
        yield child
        yield from _statements(child, inside_functions=inside_functions)


def imported(source: str, *, inside_functions: bool = True) -> set[str]:
    """The modules that a source file imports, as `torch.nn` or `genlab.config`."""
    modules = set()
    for node in _statements(ast.parse(source), inside_functions=inside_functions):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute: write `from genlab...`"
            if node.module == "genlab":
                modules |= {f"genlab.{alias.name}" for alias in node.names}
            else:
                modules.add(str(node.module))
    return modules


def _own_rooms(modules: set[str]) -> set[str]:
    paths = [module.split(".") for module in modules if module.split(".")[0] == "genlab"]
    return {path[1] if len(path) > 1 else "__init__" for path in paths}


def _libraries(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules} - set(sys.stdlib_module_names) - {"genlab"}


def _named(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.fixture(params=FILES, ids=_named)
def file(request) -> Path:
    return request.param


def test_every_room_and_file_has_its_place_in_the_table():
    rooms = {_room(path) for path in FILES}
    assert not rooms - set(TABLE), f"say in this file's table on which floor {rooms - set(TABLE)} belongs"
    assert not set(TABLE) - rooms, f"the table gives a place to {set(TABLE) - rooms}, which is not there"


def test_a_file_imports_only_rooms_below_its_own(file):
    room = _room(file)
    rooms = _own_rooms(imported(file.read_text(encoding="utf-8"))) - {room}
    forbidden = rooms - set(TABLE[room].own.split())
    assert not forbidden, f"{_named(file)} may not import {sorted(forbidden)}; see this file's table"


def test_a_file_imports_only_the_libraries_of_its_room(file):
    libraries = _libraries(imported(file.read_text(encoding="utf-8")))
    forbidden = libraries - set(TABLE[_room(file)].libraries.split())
    assert not forbidden, f"{_named(file)} may not import {sorted(forbidden)}; see this file's table"


def test_imports_inside_functions_count_and_those_for_types_do_not():
    source = (
        "import torch.nn\n"
        "from genlab import config\n"
        "if TYPE_CHECKING:\n    from genlab.models.vae import VAE\n"
        "def f():\n    from genlab.networks.mlp import MLP\n    import numpy as np, genlab\n"
    )
    modules = {"torch.nn", "genlab.config", "genlab.networks.mlp", "numpy", "genlab"}
    assert imported(source) == modules
    assert imported(source, inside_functions=False) == {"torch.nn", "genlab.config"}
    assert _own_rooms(modules) == {"config", "networks", "__init__"}
    assert _libraries(modules | {"json"}) == {"torch", "numpy"}


def test_config_alone_calls_instantiate():
    callers = [
        _named(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "instantiate"
    ]
    assert callers == ["config.py"]


def test_init_files_are_empty(file):
    if file.name == "__init__.py" and file.parent != PACKAGE:
        assert file.read_text(encoding="utf-8") == ""


def test_every_room_is_a_package():
    folders = {path.parent for path in FILES}
    assert all((folder / "__init__.py").exists() for folder in folders)


def _sources() -> list[Path]:
    paths = [path for folder in ("src", "tests", "scripts", "conf") for path in (ROOT / folder).rglob("*")]
    return [path for path in paths if path.suffix in (".py", ".yaml")]


def test_no_file_is_longer_than_300_lines():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in _sources()}
    assert lengths
    too_long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST}
    assert not too_long, f"one idea a file: split {too_long}"


def test_every_file_is_named_for_what_it_does():
    parts = {part for path in _sources() for part in (*path.relative_to(ROOT).parts[:-1], path.stem)}
    assert not parts & VAGUE, f"name {parts & VAGUE} for what it does, and put it beside its only user"


@pytest.mark.parametrize("name", LIGHT)
def test_what_help_and_completion_need_imports_nothing_heavy_at_the_top(name):
    source = (PACKAGE / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
    heavy = _libraries(imported(source, inside_functions=False)) & HEAVY
    assert not heavy, f"{name}.py imports {heavy} at its top: `--help` would wait for it"


def test_importing_what_help_needs_brings_nothing_heavy_along():
    code = (
        f"import sys, {', '.join(f'genlab.{name}' for name in LIGHT)}; print(*{HEAVY!r} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", f"importing {LIGHT} brings {done.stdout.strip()} along"
