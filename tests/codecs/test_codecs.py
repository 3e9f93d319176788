"""Codecs: every text comes back, what is not known is named, and a codec survives being kept."""

import json
import random

import numpy as np
import pytest

from genlab.codecs.byte_pairs import BPECodec
from genlab.codecs.characters import ByteCodec, CharCodec, named
from genlab.codecs.registry import KINDS, restore, state_of
from genlab.errors import UserError
from genlab.sequence_contracts import TextCodec

TEXTS = {
    "plain": "To be, or not to be",
    "line ends": "one\r\ntwo\n\n\rthree\n",
    "nothing": "",
    "null": "a\0b\0",
    "emoji": "👩‍🚀 and 🏳️‍🌈, 👍🏽!",
    "combining marks": "e\u0301 is not é; a\u0300\u0316\u0301",
    "chinese": "天地玄黃，宇宙洪荒。日月盈昃",
    "right to left": "שלום \u200fعليكم\u200e",
    "spaces": "  a\t\u00a0\u3000b  ",
    "planes": "\U00010348\U0010ffff\ue000\ufffd",
    "stand-ins of bytes": "ĠĊ Ċ ¡ Â",
}


def trained(texts=(), *, vocab_size: int = 300) -> BPECodec:
    pytest.importorskip("tokenizers", reason="byte pairs need the library tokenizers")
    return BPECodec.train(texts or ["the theme of the thesis " * 20], vocab_size=vocab_size)


def over(text: str) -> CharCodec:
    return CharCodec("".join(sorted(set(text))) or "x")


@pytest.fixture(params=["char", "byte", "bpe"])
def make(request):
    """Makes a codec that knows a text."""
    return {"char": over, "byte": lambda text: ByteCodec(), "bpe": lambda text: trained()}[request.param]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_comes_back_as_it_was(make, text):
    codec = make(text)
    tokens = codec.encode(text)
    assert codec.decode(tokens) == text
    assert all(type(token) is int and 0 <= token < codec.vocab_size for token in tokens)


def test_texts_of_any_characters_come_back(make):
    drawn = random.Random(0)
    everything = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    texts = ["".join(map(chr, drawn.choices(everything, k=30))) for _ in range(40)]
    texts += ["".join(map(chr, drawn.choices(range(300), k=30))) for _ in range(40)]
    codec = make("".join(texts))
    assert [codec.decode(codec.encode(text)) for text in texts] == texts


def test_many_texts_are_encoded_as_one_by_one(make):
    texts = ["ab", "", "天c", "b"]
    codec = make("".join(texts))
    found = codec.encode_all(texts)
    assert [tokens.tolist() for tokens in found] == [codec.encode(text) for text in texts]


def test_a_codec_that_is_kept_as_json_is_the_same(make):
    codec = make("天地 ab")
    kept = json.loads(json.dumps(state_of(codec)))
    again = restore(kept)
    assert isinstance(again, TextCodec) and type(again) is type(codec)
    assert again.state() == codec.state() == kept
    assert again.vocab_size == codec.vocab_size and again.encode("ab 地") == codec.encode("ab 地")
    assert kept["kind"] in KINDS


def test_characters_are_numbered_in_the_order_they_are_given():
    codec = CharCodec("abz")
    assert codec.vocab_size == 3 and codec.unknown is None
    assert codec.encode("zab") == [2, 0, 1] and codec.decode([1, 1, 2]) == "bbz"


def test_a_character_outside_of_the_vocabulary_is_named_with_its_place():
    with pytest.raises(UserError) as error:
        CharCodec("ab").encode("abé漢é")
    assert str(error.value) == (
        "'é' (U+00E9), character 3 of the text, is not among the 2 characters that the model knows, nor is one other"
        " of its characters; leave it out, or train with data/tokenizer=byte, which knows all"
    )
    with pytest.raises(
        UserError, match="^U\\+0000, character 1 of the text, is not among the 2 characters that"
    ):
        CharCodec("ab").encode("\0")
    assert (named("汉"), named("\u200f"), named(" ")) == ("'汉' (U+6C49)", "U+200F", "' ' (U+0020)")


def test_the_unknown_token_is_for_a_text_that_is_judged_and_not_for_a_prompt():
    codec = CharCodec("ab", unknown=True)
    assert (codec.vocab_size, codec.unknown) == (3, 2)
    (tokens,) = codec.encode_all(["aéb"])
    assert tokens.tolist() == [0, 2, 1] and codec.decode([0, 2, 1]) == "a\ufffdb"
    with pytest.raises(UserError, match="is not among the 2 characters"):
        codec.encode("é")
    with pytest.raises(UserError, match="is not among the 2 characters"):
        CharCodec("ab").encode_all(["a", "é"])


def test_missing_characters_are_told_once_each():
    assert CharCodec("ab").missing("abxaxz\0") == "\0xz"
    assert CharCodec("ab").missing("") == ""


def test_half_a_pair_is_no_character_of_any_codec(make):
    with pytest.raises(UserError, match=r"^U\+DC80, character 3 of the text, is"):
        make("ab").encode("ab\udc80")


def test_bytes_are_those_of_utf8_and_broken_ones_are_shown():
    codec = ByteCodec()
    assert codec.encode("é\n") == [0xC3, 0xA9, 10] and codec.vocab_size == 256
    assert codec.decode([0xC3, 65]) == "\ufffdA" and codec.decode(np.array([65, 66])) == "AB"


def test_byte_pairs_join_what_is_frequent_and_keep_all_bytes():
    codec = trained(["abababab"] * 5, vocab_size=258)
    # the most frequent pair is (a, b), then (ab, ab): eight letters are two tokens of four
    assert codec.vocab_size == 258 and codec.merges == [("a", "b"), ("ab", "ab")]
    assert len(codec.encode("abababab")) == 2 and len(codec.encode("ba")) == 2
    assert codec.decode([codec.encode("é")[0]]) == "\ufffd"


def test_byte_pairs_join_nothing_that_is_there_once():
    assert trained(["abcd"]).vocab_size == 256 and trained(["abxab"]).merges == [("a", "b")]


def test_byte_pairs_learn_the_same_of_the_same_text():
    words = [f"{a}{b} " for a in ("pre", "un", "re") for b in ("do", "set", "fix", "view")] * 3
    assert trained(words, vocab_size=290).state() == trained(words, vocab_size=290).state()


def test_without_the_library_byte_pairs_say_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(UserError) as error:
        BPECodec(["a"], [])
    assert str(error.value) == (
        "data/tokenizer=bpe needs the library tokenizers, which is not installed: pip install tokenizers"
    )


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"kind": "chars"}, "the run's codec is of kind 'chars', which is not known; did you mean char?"),
        (
            {"kind": ["x"]},
            "the run's codec is of kind ['x'], which is not known; allowed: bpe, byte, char, series",
        ),
        ("char", "the run's codec is of kind None, which is not known; allowed: bpe, byte, char, series"),
        ({"kind": "char"}, "the run's codec of kind char is damaged ('characters'); it was not loaded"),
        (
            {"kind": "char", "characters": "aa", "unknown": False},
            "the run's codec of kind char is damaged (a vocabulary lists each of its characters once, and at least"
            " one); it was not loaded",
        ),
    ],
)
def test_a_codec_that_cannot_be_restored_is_one_sentence(state, message):
    with pytest.raises(UserError) as error:
        restore(state)
    assert str(error.value) == message


def test_no_codec_is_kept_as_none():
    assert state_of(None) is None and restore(None) is None
