"""Where sample.py writes what is asked for, if no file is named."""

from pathlib import Path

import pytest

from genlab.config import compose
from genlab.train import train

SMALL = (
    "data.image_size=8",
    "data.batch_size=16",
    "model/network=mlp",
    "trainer=cpu",
    "debug=fast",
    "logger=none",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each family on the embedded digits."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("vae", "cvae"):
        train(compose([f"model={name}", *SMALL]), folder=folder / name)
    return {name: folder / name for name in ("vae", "cvae")}


@pytest.mark.parametrize(
    ("family", "once", "again", "told"),
    [
        ("cvae", ("n=2", "label=3"), ("n=2", "label=5"), "label5"),
        ("vae", ("show=traverse", "dims=[0,3]"), ("show=traverse", "dims=[1,2]"), "dims1-2_steps9"),
        ("vae", ("show=interpolate", "n=2"), ("show=interpolate", "n=2", "steps=4"), "steps4"),
    ],
)
def test_what_is_asked_for_otherwise_lies_in_a_file_of_its_own(command, runs, family, once, again, told):
    first, second = (
        Path(command("sample", f"run={runs[family]}", *words)[1].splitlines()[-1].strip())
        for words in (once, again)
    )
    assert first != second and first.is_file() and second.is_file() and second.stem.endswith(f"_seed0_{told}")
