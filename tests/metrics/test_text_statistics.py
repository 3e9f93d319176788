"""What is counted of texts: n-grams by hand, copied runs against a search that tries all."""

import random

import pytest

from genlab.errors import UserError
from genlab.metrics import copies
from genlab.metrics.copies import longest_copy
from genlab.metrics.text import TextStatistics


def tried(texts, train):
    """The longest run, by trying each."""
    best = 0
    for text in texts:
        for start in range(len(text)):
            while start + best < len(text) and text[start : start + best + 1] in train:
                best += 1
    return best


@pytest.mark.parametrize("block", [7, 2**20])
def test_the_longest_copy_is_the_one_that_trying_all_finds(monkeypatch, block):
    monkeypatch.setattr(copies, "_BLOCK", block)
    pick = random.Random(1)
    for _ in range(60):
        letters = pick.choice(["a", "ab", "abc", "abcdefgh天𐍈\0"])
        train = "".join(pick.choices(letters, k=pick.randint(0, 200)))
        texts = ["".join(pick.choices(letters, k=pick.randint(0, 60))) for _ in range(pick.randint(0, 4))]
        if pick.random() < 0.5:
            texts.append(f"x{train[20 : 20 + pick.randint(0, 150)]}y")
        assert longest_copy(texts, train) == tried(texts, train), (texts, train)


def thue_morse(length):
    return "".join(str(bin(k).count("1") % 2) for k in range(length))


def test_runs_whose_hashes_agree_by_accident_are_told_apart():
    # of 2048 letters the Thue-Morse word and its complement have one hash modulo 2^64, whatever the base
    word = thue_morse(2048)
    other = word.translate(str.maketrans("01", "10"))
    one, two = (int(copies._hashes(copies._codes(text), 2048)[0]) for text in (word, other))
    assert one == two and word != other
    assert longest_copy([other], word) == tried([other], word) < 2048


def test_a_copy_does_not_reach_from_one_text_into_the_next():
    assert longest_copy(["xxabc", "defyy"], "--abcdef--") == 3


def numbers(texts, train=("",), *, lines=False):
    return TextStatistics().compute(texts, train, lines=lines)


def test_distinct_ngrams_are_counted_over_all_texts_and_in_none_across_two():
    # words: a b a | b. ; unigrams a b a b . -> 3 of 5; bigrams ab ba | b. -> 3 of 3; trigrams aba -> 1 of 1
    found = numbers(["a b\na", "b."])
    assert found == {
        "distinct_1": 3 / 5, "distinct_2": 1.0, "distinct_3": 1.0, "longest_copy": 0.0
    }  # fmt: skip
    assert numbers(["the cat", "the cat"])["distinct_2"] == 1 / 2


def test_repeated_ngrams_are_those_that_a_text_already_had():
    # a b c d a b c d: 4-grams abcd bcda cdab dabc abcd -> 4 of 5 differ; the second text repeats nothing; the third is short
    assert numbers(["a b c d a b c d", "a b c d e", "a b c"])["repeated_4"] == pytest.approx((1 / 5 + 0) / 2)


def test_a_chinese_character_and_a_sign_are_words():
    # 天 地 , 天 地 x1_y ! -> 5 of 7
    assert numbers(["天地,天地 x1_y!"])["distinct_1"] == 5 / 7


def test_lines_that_are_lines_of_the_training_text_are_copies():
    found = numbers(["Ann", "Bob", "An", "Zoe"], ["Ann", "Bob", "Cy"], lines=True)
    assert found["copied_lines"] == 1 / 2 and found["longest_copy"] == 3


def test_the_protocol_says_how_many_texts_of_which_length():
    stamp = TextStatistics(top_k=3).stamp(lines=False)
    assert {
        "texts": 20,
        "tokens_of_each": 1000,
        "temperature": 1.0,
        "top_k": 3,
        "top_p": None,
    }.items() <= stamp.items()
    assert TextStatistics().stamp(lines=True)["texts"] == 1000 and TextStatistics(n=7).count(lines=True) == 7


@pytest.mark.parametrize("name", ["n", "length"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(UserError, match=f"^metrics.text.{name} must be at least 1, got 0$"):
        TextStatistics(**{name: 0})
