"""Texts for the metrics: those of the model, and real ones cut alike."""

from types import SimpleNamespace

import pytest

from genlab.codecs.characters import CharCodec
from genlab.errors import UserError
from genlab.metrics.text import TextStatistics
from genlab.text_metrics import cut_alike, judge_texts


def test_real_text_is_cut_like_the_samples_and_spread_evenly():
    real = [
        "".join(map(chr, range(100, 120)))
    ]  # 20 letters, of which 3 + 5 are taken: 12 are left over, 6 between
    assert cut_alike(real, ["abc", "defgh"], lines=False) == [real[0][0:3], real[0][9:14]]
    assert cut_alike(["abcdefgh"], ["abc", "defgh"], lines=False) == ["abc", "defgh"]


def test_where_there_is_less_real_text_there_is_none():
    assert cut_alike(["abcdefg"], ["abc", "defgh"], lines=False) == []
    assert cut_alike(["a"], ["b", "c"], lines=True) == []


def test_real_lines_are_spread_evenly():
    assert cut_alike(list("abcdefg"), ["x", "y", "z"], lines=True) == ["a", "c", "e"]


class Writer:
    codec, weights, checkpoint_step = CharCodec("ab"), "ema", 7

    def generate(self, prompt="", **settings):
        self.asked = settings
        return ["ab", "ba"]


def test_what_is_drawn_judged_and_stamped():
    parts = {"train": ["aab"], "test": ["bbbbbb"]}
    data, model = SimpleNamespace(texts=parts.__getitem__, test_split="val"), Writer()
    found = judge_texts(model, {"t": TextStatistics(n=2, length=5, top_k=1)}, data, seed=4)["t"]
    assert model.asked == {"n": 2, "length": 5, "temperature": 1.0, "top_k": 1, "top_p": None, "seed": 4}
    assert found.numbers["longest_copy"] == 2 and found.numbers["longest_copy_real"] == 1
    assert found.numbers["distinct_1"] == 1 and found.numbers["distinct_1_real"] == 1 / 2
    whose = {"weights": "ema", "seed": 4, "step": 7, "real_from": "val", "training_characters": 3, "texts": 2}
    assert whose.items() <= found.stamp.items()
    parts["test"] = ["b"]
    found = judge_texts(model, {"t": TextStatistics(n=2)}, data, seed=4)["t"]
    assert found.stamp["real_from"] is None and "longest_copy_real" not in found.numbers


def test_a_model_of_something_else_is_refused():
    with pytest.raises(UserError, match="^metrics=text needs a model of text; give metrics=none$"):
        judge_texts(SimpleNamespace(codec=None), {"text": TextStatistics()}, None, seed=0)
