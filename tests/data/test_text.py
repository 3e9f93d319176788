"""The datamodule of text: what it tells, what its loaders give, and what it refuses."""

import hashlib

import pytest
import torch
from image_files import fails
from recorded_runs import under_trainer
from text_files import NAMES, PROSE, Given, lines, ready, texts_of

from genlab.data.judged_windows import CarriedWindows, StridedWindows
from genlab.data.text import TextData
from genlab.data.text_sources import DownloadedText
from genlab.data.tokenized import smallest
from genlab.data.tokenizing import BytePairs, Bytes, Characters, pieces
from genlab.data.windows import ContiguousWindows, RandomWindows
from genlab.errors import UserError


def test_the_facts_of_a_stream():
    data = ready(val_size=0.1, test_size=0.1)
    assert data.facts() == {
        "sha256": hashlib.sha256(PROSE.encode()).hexdigest(),
        "vocab_size": len(set(PROSE)),
        "token": "character",
        "sequence_length": 8,
        "num_classes": None,
        "class_names": None,
        "end_token": None,
        "characters_per_token": 1.0,
    }
    n = len(PROSE)
    assert (data.num_val, data.num_test) == (-(-n // 10),) * 2 and data.num_train == n - 2 * -(-n // 10)
    assert (data.counted, data.test_split, data.notes) == ("characters", "test", [])
    assert ready(sequence_length=None).facts()["sequence_length"] == 64


def test_the_facts_of_lines():
    facts = lines().facts()
    longest = max(map(len, NAMES)) + 1
    assert (facts["sequence_length"], facts["characters_per_token"]) == (longest, 1.0)
    assert [facts["end_token"]] == lines().codec.encode("\n")
    facts = lines(tokenizer=Bytes()).facts()
    assert (facts["end_token"], facts["vocab_size"], facts["token"]) == (10, 256, "byte")


def test_characters_per_token_are_those_of_the_validation_part():
    # 90 to train on, then the validation part: ten characters of three bytes each
    data = ready("x" * 90 + "漢" * 10, tokenizer=Bytes(), val_size=10, test_size=0)
    assert data.facts()["characters_per_token"] == pytest.approx(10 / 30)
    assert data.characters_per_token("test") == data.characters_per_token("val") == pytest.approx(10 / 30)
    split = ready("x" * 80 + "漢" * 10 + "é" * 10, tokenizer=Bytes(), val_size=10, test_size=10)
    assert split.characters_per_token("test") == pytest.approx(10 / 20)
    # two lines of one character of three bytes, with a line feed each: 4 characters in 8 bytes
    names = ["a"] * 8 + ["漢", "字"]
    data = lines(names, tokenizer=Bytes(), val_size=2, test_size=0, split_by="position")
    assert data.facts()["characters_per_token"] == data.characters_per_token("val") == pytest.approx(4 / 8)


@pytest.mark.parametrize("windows", ["contiguous", "random"])
def test_batches_are_int64_on_the_device_and_small_in_memory(windows):
    data = ready(windows=windows)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        batch = next(iter(loader))
        assert batch.input.dtype == batch.target.dtype == torch.uint8
        batch = data.transfer_batch_to_device(batch, torch.device("cpu"), 0)
        batch = data.on_after_batch_transfer(batch, 0)
        assert batch.input.dtype == batch.target.dtype == torch.int64 and batch.input.shape == (4, 8)
        assert torch.equal(batch.input[:, 1:], batch.target[:, :-1])


def test_tokens_are_kept_in_the_smallest_type_that_holds_them():
    types = {torch.uint8: (2, 256), torch.int16: (257, 2**15), torch.int32: (2**15 + 1, 2**20)}
    assert all(smallest(size) == kind for kind, sizes in types.items() for size in sizes)


def test_windows_are_those_of_the_text():
    data = ready(windows="contiguous", val_size=0.1, test_size=0.1)
    told = texts_of(data, data.train_dataloader())
    streams = ["".join(told[row::4]) for row in range(4)]  # a batch has four rows
    cut = PROSE.index(streams[0])
    assert "".join(streams) == PROSE[cut : cut + sum(map(len, streams))] and len(streams[0]) % 8 == 0
    n, val = len(PROSE), data.num_val
    for loader, start in ((data.val_dataloader(), n - 2 * val), (data.test_dataloader(), n - val)):
        counted = sorted(sum(([*row] for row in texts_of(data, loader)), []))
        assert counted == sorted(PROSE[start + 1 : start + val])


def test_one_switch_chooses_windows_for_training_and_for_judging():
    data = ready(windows="contiguous")
    assert isinstance(data.train_dataloader(), ContiguousWindows)
    assert isinstance(data.val_dataloader(), CarriedWindows) and data.val_dataloader().warmup == 8
    assert ready(windows="contiguous", warmup=0).val_dataloader().warmup == 0
    data = ready(windows="random", sequence_length=9)
    assert isinstance(data.train_dataloader(), RandomWindows)
    judged = data.test_dataloader()
    assert isinstance(judged, StridedWindows) and judged._start[:3].tolist() == [0, 5, 10]
    assert ready(stride=3).val_dataloader()._start[1] == 3
    data = ready(windows="apart", sequence_length=9)
    assert isinstance(data.train_dataloader(), RandomWindows)
    assert data.test_dataloader()._start[:3].tolist() == [0, 9, 18]
    assert data.test_dataloader().stamp() == {"windows": "strided", "sequence_length": 9, "stride": 9}
    carried = ready(windows="contiguous", warmup=3).val_dataloader().stamp()
    assert carried == {"windows": "carried", "sequence_length": 8, "rows": 4, "warmup": 3}


def test_it_is_known_whether_windows_overlap_in_judging():
    overlap = [{}, {"windows": "random"}, {"windows": "apart", "stride": 7}, {"sequence_length": None}]
    apart = [
        {"windows": "apart"},
        {"windows": "apart", "stride": 8},
        {"windows": "random", "stride": 8},
        {"windows": "contiguous"},
        {"windows": "contiguous", "stride": 2},
        {"windows": "random", "unit": "line", "sequence_length": 99},
    ]
    assert [ready(**settings).windows_overlap for settings in overlap] == [True] * 4
    assert [ready(**settings).windows_overlap for settings in apart] == [False] * 6


def test_the_validation_part_is_tested_on_where_nothing_else_is_held_back():
    data = ready(test_size=0)
    assert data.test_split == "val (also served for selection)" and data.num_test == data.num_val
    assert texts_of(data, data.test_dataloader()) == texts_of(data, data.val_dataloader())
    data = lines(test_size=0)
    assert data.test_split.startswith("val (") and data.num_test == 3


def test_characters_that_only_the_held_back_text_has_are_judged_as_one_unknown_token():
    data = ready("ab" * 60 + "aéb漢é漢" + "ab" * 5 + "é" * 9, val_size=16, test_size=9)
    assert data.facts()["vocab_size"] == 3 and data.codec.unknown == 2
    assert data.notes == [
        "2 characters of the text that is held back are not in the training text, 'é' (U+00E9), '漢' (U+6F22): 13 in all,"
        " each judged as one token for the unknown, which no training text holds"
    ]
    judged = [
        t
        for b in data.val_dataloader()
        for t, w in zip(b.target.flatten(), b.weight.flatten(), strict=True)
        if w
    ]
    assert sorted(map(int, judged)).count(2) == 4
    data = ready("ab" * 60 + "abéb" * 5, val_size=20, test_size=0)
    assert data.notes[0].startswith(
        "1 character of the text that is held back is not in the training text, 'é'"
    )


def test_byte_pairs_are_learned_from_the_training_part_alone():
    pytest.importorskip("tokenizers", reason="byte pairs need the library tokenizers")
    text = "the cat sat. " * 40
    one, other = (
        ready(text + end * 20, tokenizer=BytePairs(300), val_size=280, test_size=0)
        for end in ("and so it go.", "zebras graze.")
    )
    assert one.codec.state() == other.codec.state()
    assert one.facts()["token"] == "token" and one.counted == "tokens"
    assert one.facts()["characters_per_token"] == 280 / one.num_val
    assert one.notes == [f"no more than {one.codec.vocab_size} tokens occur twice in the training text"]
    data = lines(["anna b", "an na "] * 10, tokenizer=BytePairs(260))
    assert set(texts_of(data, data.train_dataloader())) == {"anna b\n", "an na \n"}


def test_long_texts_are_encoded_in_pieces_that_end_with_lines(monkeypatch):
    monkeypatch.setattr("genlab.data.tokenizing.PIECE", 10)
    assert list(pieces(["ab\ncdefg\nhij\nk", "l" * 25])) == [
        "ab\ncdefg\n",
        "hij\nk",
        "l" * 10,
        "l" * 10,
        "l" * 5,
    ]
    whole = ready().facts()
    monkeypatch.setattr("genlab.data.tokenizing.PIECE", 2**20)
    assert ready().facts() == whole


def test_a_declared_fact_that_is_not_the_texts_is_refused():
    fails(
        "data.vocab_size says 9 but the text has 3; give data.vocab_size=3, or null to take that",
        lambda: ready("abc" * 99, vocab_size=9),
    )
    digest = hashlib.sha256(b"abc" * 99).hexdigest()
    fails(
        f"the text is not the one that data.sha256 names (0123456789ab...), but {digest[:12]}...: its file was changed,"
        " or it is the library of another Python; take the same text, or give data.sha256=null",
        lambda: ready("abc" * 99, sha256="0123456789abcdef", vocab_size=9),
    )
    with pytest.raises(UserError, match="^the text is not the one that data.sha256 names"):
        ready(
            "x" * 40, val_size=1, test_size=1, sha256="0123456789abcdef"
        )  # too short, too, but for that reason
    facts = ready("abc" * 99).facts()
    assert ready("abc" * 99, **facts).facts() == facts


def test_what_is_too_short_is_one_sentence():
    fails(
        "the part val of the text has 8 tokens, and a window of data.sequence_length=8 needs 9: give a longer text, a"
        " larger data.val_size or a smaller data.sequence_length",
        lambda: ready(val_size=8),
    )
    fails(
        "the part train of the text has 8 tokens, and a window of data.sequence_length=8 needs 9: give a longer text or a"
        " smaller data.sequence_length",
        lambda: ready("x" * 40, val_size=16, test_size=16),
    )
    for windows in ("contiguous", "random"):
        data = ready("x" * 60, val_size=10, test_size=10, batch_size=5, windows=windows)
        fits = ready("x" * 61, val_size=10, test_size=10, batch_size=5, windows=windows)
        assert len(fits.train_dataloader()) == 1
        fails(
            "data.batch_size 5 on 1 process needs as many windows of 8, and the 40 characters to train on fill 4; give"
            " data.batch_size=4, or a smaller data.sequence_length",
            data.train_dataloader,
        )
    fails(
        "the longest line has 10 characters with its end, data.sequence_length is 8; give data.sequence_length=10, or null"
        " to take that of the longest",
        lambda: lines(sequence_length=8),
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unit": "word"}, "data.unit must be stream or line, got word"),
        ({"windows": "none"}, "data.windows must be contiguous, random or apart, got none"),
        ({"split_by": "day"}, "data.split_by must be position, file, random or null, got day"),
        ({"labels": "name"}, "data.labels must be file or null, got name"),
        ({"batch_size": 0}, "data.batch_size must be at least 1, got 0"),
        ({"sequence_length": 0}, "data.sequence_length must be at least 1, got 0"),
        ({"stride": 0}, "data.stride must be at least 1, got 0"),
        ({"warmup": -1}, "data.warmup must be at least 0, got -1"),
        ({"stride": 9}, "data.stride must be at most data.sequence_length, 8, got 9"),
        (
            {"split_by": "random"},
            "data.split_by=random is for data.unit=line; a stream is split by position or by file",
        ),
        ({"labels": "file"}, "data.labels=file is for data.unit=line, give that too; a stream has no labels"),
    ],
)
def test_a_wrong_setting_is_told_in_a_sentence(settings, message):
    fails(message, lambda: ready(**settings))


def test_a_vocabulary_of_pieces_holds_all_bytes():
    fails(
        "data.tokenizer.vocab_size must be at least 257, since each of the 256 bytes has a token, got 256",
        lambda: BytePairs(256),
    )


def test_before_it_is_read_a_text_has_no_facts():
    data = TextData(source=Given("x"), tokenizer=Characters())
    fails("no text is read yet; call prepare_data() and setup() first", data.facts)
    fails("no text is read yet; call prepare_data() and setup() first", data.train_dataloader)
    assert data.codec is None and data.notes == []


def test_files_of_the_users_own_are_read_from_their_path_and_others_from_the_root(tmp_path):
    (tmp_path / "play.txt").write_text(PROSE)
    source = DownloadedText(url="http://localhost/x", file="play.txt")
    data = TextData(source=source, tokenizer=Characters(), root=str(tmp_path))
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    assert data.num_train > 0


@pytest.mark.parametrize("windows", ["contiguous", "random"])
def test_overfitting_sees_the_same_batches_each_epoch(windows):
    loader = under_trainer(ready(windows=windows), overfit_batches=2).train_dataloader()
    first = [batch.input.tolist() for batch in loader]
    loader.order.set_epoch(1)
    assert [batch.input.tolist() for batch in loader] == first


@pytest.mark.parametrize(
    "make", [lambda: ready(windows="contiguous"), lambda: ready(windows="random"), lines]
)
def test_two_processes_read_and_judge_what_one_does(make):
    for loader_of in ("train_dataloader", "val_dataloader"):
        shares = [
            texts_of(data, getattr(under_trainer(data, global_rank=rank, world_size=2), loader_of)())
            for rank, data in ((0, make()), (1, make()))
        ]
        data = make()
        data.batch_size *= 2
        assert sorted("".join(sum(shares, []))) == sorted("".join(texts_of(data, getattr(data, loader_of)())))
