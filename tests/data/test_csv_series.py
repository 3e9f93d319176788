"""Windows of a CSV file: split by time, scaled by the training part alone."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import fails

from genlab.codecs.registry import restore
from genlab.codecs.scale import Scale
from genlab.data.csv_series import CSVData
from genlab.sequence_contracts import SeriesCodec

STOCKS = Path(os.environ.get("GENLAB_DATA", "data"), "series", "stock_data.csv")


@pytest.fixture
def path(tmp_path):
    """Forty rows: k, its square, and a word."""
    lines = ["k,square,word", *(f"{k},{k * k},w{k}" for k in range(40))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    return str(tmp_path / "a.csv")


def ready(path, **changes):
    settings = {"columns": ["k", "square"], "sequence_length": 4, "batch_size": 5, "drop_last": False}
    data = CSVData(path=path, **settings | changes)
    data.prepare_data()
    data.setup()
    return data


def windows(loader):
    """All windows `[N, T, D]`, in the order of their first value."""
    every = torch.cat([batch.target for batch in loader])
    return every[every[:, 0, 0].argsort()]


def splits(data):
    return [windows(getattr(data, f"{name}_dataloader")()) for name in ("train", "val", "test")]


def test_splits_follow_each_other_in_time_and_no_window_crosses_a_border(path):
    train, val, test = splits(ready(path, scaling="none", val_size=8, test_size=0.25))
    # 40 rows: the last quarter tests, the 8 before validate; a split of n rows has n - 4 + 1 windows
    for part, begin, end in ((train, 0, 22), (val, 22, 30), (test, 30, 40)):
        starts = np.arange(begin, end - 3)
        assert part[:, 0, 0].tolist() == starts.tolist()
        expected = torch.tensor(starts[:, None] + np.arange(4), dtype=torch.float32)
        torch.testing.assert_close(part, torch.stack([expected, expected**2], 2))


def test_strides_leave_windows_out(path):
    train, val, test = splits(ready(path, scaling="none", val_size=8, test_size=10, stride=3))
    assert train[:, 0, 0].tolist() == [0, 3, 6, 9, 12, 15, 18]
    assert val[:, 0, 0].tolist() == [22, 25] and test[:, 0, 0].tolist() == [30, 33, 36]


def test_a_file_with_the_newest_row_first_is_turned_round(path):
    train, _, test = splits(ready(path, scaling="none", reverse=True))
    assert train[-1, :, 0].tolist() == [39, 38, 37, 36] and test[0, :, 0].tolist() == [3, 2, 1, 0]


def test_minmax_maps_the_training_part_to_zero_to_one_and_later_parts_beyond(path):
    data = ready(path, val_size=8, test_size=10)
    train, _, test = splits(data)
    # training rows are 0 to 21: k / 21 and k^2 / 441
    assert (train.amin(), train.amax()) == (0, 1)
    torch.testing.assert_close(test[-1, -1], torch.tensor([39 / 21, 39**2 / 441]))
    torch.testing.assert_close(
        data.codec.unscale(test[0]), torch.tensor([[k, k * k] for k in range(30, 34)]).double()
    )


def test_standard_scales_by_mean_and_deviation_of_the_training_part(path):
    train, *_ = splits(ready(path, scaling="standard", val_size=8, test_size=10, stride=4, sequence_length=2))
    # 0..21 has mean 10.5 and variance (22^2 - 1) / 12
    k = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(train[0, :, 0], (k - 10.5) / (483 / 12) ** 0.5)


def test_minmax_maps_any_range_to_zero_to_one():
    values = torch.tensor([[5.0, -3.0], [7.0, -1.0], [11.0, -2.0]])
    scaled = Scale.fit(["a", "b"], "minmax", values).scale(values)
    torch.testing.assert_close(scaled, torch.tensor([[0.0, 0.0], [1 / 3, 1.0], [1.0, 0.5]]))


@pytest.mark.parametrize("scaling", ["minmax", "standard", "none"])
def test_a_scale_is_undone_and_goes_through_plain_data(scaling):
    values = torch.randn(50, 2, dtype=torch.float64) * torch.tensor([1.0, 1e6]) + torch.tensor([5.0, 1e7])
    scale = Scale.fit(["a", "b"], scaling, values[:30])
    assert isinstance(scale, SeriesCodec) and scale.scale(values).dtype == torch.float32
    torch.testing.assert_close(scale.unscale(scale.scale(values)), values, rtol=1e-6, atol=1e-6)
    state = scale.state()
    assert state["kind"] == "series" and type(state["shift"][0]) is float
    again = restore(state)
    assert again.state() == state and again.columns == ["a", "b"]
    torch.testing.assert_close(again.unscale(values), scale.unscale(values))


def test_the_facts_are_those_of_the_file(path):
    data = ready(path)
    assert data.facts() == {
        "num_features": 2, "columns": ["k", "square"], "sequence_length": 4, "num_classes": None,
    }  # fmt: skip
    assert (data.num_train, data.num_val, data.num_test) == (29, 1, 1)
    assert ready(path, columns=[2]).facts()["columns"] == ["square"]


def test_wrong_settings_and_files_are_told_in_a_sentence(path, tmp_path):
    fails("data.stride must be at least 1, got 0", lambda: ready(path, stride=0))
    fails("data.scaling must be one of minmax, standard, none, got max", lambda: ready(path, scaling="max"))
    for size in (0, 1.5, 0.0, -3):
        fails(
            f"data.val_size must be a part between 0 and 1 or a number of rows, at least 1, got {size}",
            lambda size=size: ready(path, val_size=size),
        )
    fails(
        f"data.path {path} has 40 rows, of which 3 are for test: too few for one window of"
        " data.sequence_length=4; give a shorter one, or other data.val_size and data.test_size",
        lambda: ready(path, test_size=3),
    )
    fails(
        f"data.path {path} has 40 rows, of which 0 are for train: too few for one window of"
        " data.sequence_length=4; give a shorter one, or other data.val_size and data.test_size",
        lambda: ready(path, test_size=30, val_size=30),
    )
    fails(
        "data.num_features says 3 but the data has 2 columns; give data.num_features=2, or null to take what"
        " there is",
        lambda: ready(path, num_features=3),
    )
    still = tmp_path / "still.csv"
    still.write_text("\n".join(["a,b", *(f"{k},{7 if k < 32 else k}" for k in range(40))]))
    for scaling in ("minmax", "standard", "none"):  # the training rows alone decide
        fails(
            "column b is 7 in every training row: there is nothing to learn from it; leave it out by"
            " data.columns=[...]",
            lambda scaling=scaling: ready(str(still), columns=None, scaling=scaling),
        )


@pytest.mark.skipif(not STOCKS.is_file(), reason=f"{STOCKS} is not there")
def test_the_stock_data_of_timegan_runs_forward_in_time():
    data = CSVData(path=str(STOCKS))
    data.setup()
    assert data.facts()["columns"] == ["Open", "High", "Low", "Close", "Adj_Close", "Volume"]
    # 3,685 days: 368 test, 368 validate, each n - 23 windows
    assert (data.num_train, data.num_val, data.num_test) == (2926, 345, 345)
    opening = data.codec.unscale(windows(data.train_dataloader())[:, 0])[:, 0]
    assert 49 < opening.min() < 50  # 2004; the last rows are of 2019, about 1,200
    assert float(data.codec.unscale(next(iter(data.test_dataloader())).target).max(1)[0][:, 3].max()) > 1195
