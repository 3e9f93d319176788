"""Series and images made row by row out of a trained model: tables in the user's units, pictures, arrays."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genlab import load_model
from genlab.config import compose
from genlab.train import train

SMALL = ("model=lstm", "model.network.hidden_size=8", "trainer=cpu", "debug=fast", "logger=none", "metrics=none",
         "callbacks.series_map=null", "data.batch_size=16")  # fmt: skip
TABLE = "\n".join(["time;x, y;z", *(f"{k};{k % 7 + 100};{-(k % 5)}" for k in range(300))])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "a.csv").write_text(TABLE)
    words = {
        "csv": (
            "data=csv",
            f"data.path={folder / 'a.csv'}",
            "data.columns=['x, y',z]",
            "data.sequence_length=6",
        ),
        "rows": ("data=digits_rows", "data.image_size=8", "model/output=bernoulli"),
    }
    for name, own in words.items():
        train(compose([*SMALL, *own]), folder=folder / name)
    return {name: folder / name for name in words}


def test_a_run_draws_its_samples_while_it_trains(runs):
    assert {file.name for file in (runs["csv"] / "samples").iterdir()} == {
        f"series_epoch_000{k}.png" for k in (1, 2)
    }
    assert {file.name for file in (runs["rows"] / "samples").iterdir()} == {
        f"samples_epoch_000{k}.png" for k in (1, 2)
    }


def test_a_table_has_the_users_columns_and_units_and_lies_beside_a_picture(command, runs):
    code, out, err = command("sample", f"run={runs['csv']}", "n=3", "seed=4")
    assert (code, err) == (0, "")
    table, picture = (Path(line.strip()) for line in out.splitlines()[-2:])
    assert table == runs["csv"] / "sampled" / "samples_best_step6_live_n3_seed4.csv"
    assert picture == table.with_suffix(".png") and min(Image.open(picture).size) > 200
    with open(table, newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["sample", "step", "x, y", "z"]
    assert [row[:2] for row in rows] == [[str(k), str(t)] for k in (1, 2, 3) for t in range(1, 7)]
    model = load_model(runs["csv"])
    values = model.codec.unscale(model.sample(3, seed=4)).flatten(0, 1)
    torch.testing.assert_close(torch.tensor([[float(v) for v in row[2:]] for row in rows]).double(), values)


def test_an_ending_or_a_format_chooses_one_of_them(command, runs, tmp_path):
    words = (f"run={runs['csv']}", "n=2", "length=9")
    for name, more in (("a.csv", ()), ("b.png", ()), ("c.npz", ("format=npz",)), ("d.pt", ("format=pt",))):
        assert command("sample", *words, f"out={name}", *more)[::2] == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.png", "c.npz", "d.pt"]
    array, tensor = np.load(tmp_path / "c.npz")["series"], torch.load(tmp_path / "d.pt")
    assert array.shape == (2, 9, 2) and (array == tensor.numpy()).all()
    assert np.abs(array[..., 0] - 100).mean() < 30  # in the user's units


def test_without_its_data_a_run_still_gives_a_table(command, runs, tmp_path):
    data = runs["csv"].parent / "a.csv"
    data.rename(tmp_path / "moved.csv")
    try:
        code, _, err = command("sample", f"run={runs['csv']}", "out=x.png")
        assert (
            code == 2 and "a.csv" in err and "format=csv draws no real series beside and needs no data" in err
        )
        assert command("sample", f"run={runs['csv']}", "out=x.csv", "format=csv")[::2] == (0, "")
    finally:
        (tmp_path / "moved.csv").rename(data)


def test_images_made_row_by_row_are_images(command, runs, tmp_path):
    words = (f"run={runs['rows']}", "n=4")
    assert command("sample", *words, "out=x.pt", "format=pt")[::2] == (0, "")
    assert command("sample", *words, "out=x.png")[::2] == (0, "")
    assert command("sample", *words, "out=each", "single=true")[::2] == (0, "")
    expected = load_model(runs["rows"]).sample(4, seed=0)[:, None] * 2 - 1
    torch.testing.assert_close(torch.load(tmp_path / "x.pt"), expected)
    assert set(expected.unique().tolist()) == {-1.0, 1.0} and len(list((tmp_path / "each").iterdir())) == 4


SERIES, ROWS = "samples of this model are series", "samples of this model are images, made row by row"


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("csv", "temperature=1", f"temperature is a setting for models of text; {SERIES}: leave temperature out"),
        ("rows", "length=9", f"length is a setting for models of text and series; {ROWS}: leave length out"),
        ("csv", "format=txt", f"format=txt: {SERIES}, written as csv or png or npz or pt"),
        ("rows", "format=csv", f"format=csv: {ROWS}, written as png or npz or pt"),
        ("csv", "out=x.npz", "out=x.npz should end in .csv or .png, or format= be another: csv, png, npz, pt"),
        ("csv", "single=true", f"single=true writes one PNG per image; {SERIES}: leave single out"),
        ("rows", "show=interpolate", f"show=interpolate is for models that see whole images; {ROWS}: leave show out"),
        ("csv", "length=0", "length must be at least 1, got 0"),
        ("csv", "label=1", "this model knows no classes: it was trained without labels"),
        ("rows", "n=2501", "n=2501 is too much for one picture (2500 at most); use format=npz, format=pt or single=true"),
    ],
)  # fmt: skip
def test_what_means_nothing_for_such_samples_is_refused(command, runs, name, words, sentence):
    code, _, err = command("sample", f"run={runs[name]}", *words.split("  "))
    assert (code, err.strip()) == (2, sentence)
