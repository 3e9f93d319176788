"""Which tokens may be drawn, by hand."""

import math

import torch

from genlab.models.choosing import Choice

LOGITS = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25]]).log()


def odds(**settings):
    return [[round(p, 4) for p in row] for row in Choice(**settings).of(LOGITS).softmax(-1).tolist()]


def test_as_it_is_nothing_changes():
    assert odds() == [[0.1, 0.4, 0.2, 0.3], [0.25] * 4]
    assert odds(top_k=9, top_p=1.0) == odds()


def test_temperature_raises_odds_to_a_power():
    squares = [p * p / 0.3 for p in (0.1, 0.4, 0.2, 0.3)]
    assert odds(temperature=0.5)[0] == [round(p, 4) for p in squares]
    assert odds(temperature=0)[0] == [0, 1, 0, 0]
    steep = Choice(temperature=1e-37).of(100 * LOGITS)  # divided as they are, all would be infinite
    assert steep.softmax(-1)[0].tolist() == [0, 1, 0, 0]
    assert sum(odds(temperature=0)[1]) == 1


def test_top_k_keeps_so_many_even_among_equals():
    assert odds(top_k=2)[0] == [0, round(4 / 7, 4), 0, round(3 / 7, 4)]
    assert sorted(odds(top_k=2)[1]) == [0, 0, 0.5, 0.5]
    assert odds(top_k=1)[0] == [0, 1, 0, 0]


def test_top_p_keeps_the_fewest_that_have_the_probability():
    assert odds(top_p=0.39)[0] == [0, 1, 0, 0]
    assert odds(top_p=0.69)[0] == [0, round(4 / 7, 4), 0, round(3 / 7, 4)]
    assert odds(top_p=0.71)[0] == [0, round(4 / 9, 4), round(2 / 9, 4), round(3 / 9, 4)]
    assert odds(top_p=1e-9)[0] == [0, 1, 0, 0]


def test_top_p_is_of_what_temperature_and_top_k_left():
    # of 4/7 and 3/7 the first suffices for a half, of 0.4 and 0.3 it would not
    assert odds(top_k=2, top_p=0.5)[0] == [0, 1, 0, 0]
    assert odds(top_p=0.5)[0] == [0, round(4 / 7, 4), 0, round(3 / 7, 4)]
    assert odds(temperature=0.5, top_p=0.5)[0] == [0, 1, 0, 0]


def test_what_may_not_be_drawn_is_impossible():
    assert Choice(top_k=1).of(LOGITS)[0].tolist()[0] == -math.inf
