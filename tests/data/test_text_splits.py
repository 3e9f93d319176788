"""Which part of a text is held back, by position, by file and by lot; and what leaves a part empty."""

import pytest
from image_files import fails

from genlab.data.text_sources import Document
from genlab.data.text_splits import Sizes, split_lines, split_stream


def documents(*texts: str) -> list[Document]:
    return [Document(f"{k}.txt", text) for k, text in enumerate(texts)]


def lengths(parts) -> list[int]:
    return [sum(map(len, parts[split].texts)) for split in ("train", "val", "test")]


def test_a_stream_ends_with_what_is_held_back():
    parts = split_stream(documents("abcdefghij"), "position", Sizes(2, 1))
    assert {split: part.texts for split, part in parts.items()} == {
        "train": ["abcdefg"],
        "val": ["hi"],
        "test": ["j"],
    }


def test_parts_are_counted_as_nanogpt_counts_them():
    # int(.9 * 1,115,394) = 1,003,854 to train on
    assert lengths(split_stream(documents("x" * 1_115_394), "position", Sizes(0.1, 0))) == [
        1_003_854,
        111_540,
        0,
    ]
    # .07 * 100 is 7.000000000000001
    assert lengths(split_stream(documents("x" * 100), "position", Sizes(0.07, 0.07))) == [86, 7, 7]
    assert lengths(split_stream(documents("x" * 1001), "position", Sizes(0.05, 0.05))) == [899, 51, 51]


def test_documents_of_a_stream_begin_on_lines_of_their_own():
    parts = split_stream(documents("ab", "", "cd\n", "ef"), "position", Sizes(1, 0))
    assert parts["train"].texts[0] + parts["val"].texts[0] == "ab\ncd\nef"


def test_a_file_stays_in_its_part_when_others_come_and_go():
    many = [Document(f"folder/{k}.py", f"{k}\n") for k in range(400)]
    parts = split_stream(many, "file", Sizes(0.1, 0.2))
    held = {split: set(part.texts[0].split()) for split, part in parts.items()}
    assert sum(map(len, held.values())) == 400 and set.union(*held.values()) == {str(k) for k in range(400)}
    # binomial: 40 +- 6 and 80 +- 8
    assert 25 < len(held["val"]) < 55 and 60 < len(held["test"]) < 100
    fewer = split_stream(many[::2], "file", Sizes(0.1, 0.2))
    assert all(set(fewer[split].texts[0].split()) <= held[split] for split in held)
    changed = split_stream([Document(d.name, f"new {d.text}") for d in many], "file", Sizes(0.1, 0.2))
    assert all(set(changed[split].texts[0].split()) == held[split] | {"new"} for split in held)
    # the first bytes of its name's SHA-256 place a file: that of folder/0.py begins with 0x4b37b8cf
    assert "0" in held["train"]


def test_lines_are_held_back_by_lot_by_position_or_by_file():
    texts = documents("a\nb\nc\n", "d\ne\n")
    by_place = split_lines(texts, "position", Sizes(1, 1), 0)
    assert [by_place[s].texts for s in ("train", "val", "test")] == [["a", "b", "c"], ["d"], ["e"]]
    assert by_place["train"].labels == [0, 0, 0] and by_place["val"].labels == [1]
    by_lot = [split_lines(texts, "random", Sizes(2, 1), seed) for seed in range(8)]
    assert all(sorted(sum((p.texts for p in parts.values()), [])) == list("abcde") for parts in by_lot)
    assert len({tuple(parts["val"].texts) for parts in by_lot}) > 3
    assert all(
        part.texts == sorted(part.texts) for parts in by_lot for part in parts.values()
    )  # as they stood
    many = [Document(f"{k}.txt", f"{k}\n-{k}\n") for k in range(60)]
    by_file = split_lines(many, "file", Sizes(0.2, 0), 0)
    assert set(by_file["val"].texts) == {f"{sign}{k}" for k in by_file["val"].labels for sign in ("", "-")}
    assert len(by_file["val"].texts) + len(by_file["train"].texts) == 120 and by_file["test"].texts == []


@pytest.mark.parametrize("sizes", [Sizes(0, 1), Sizes(5, 5), Sizes(12, 0), Sizes(0.5, 0.5), Sizes(1, -1)])
def test_sizes_that_leave_a_part_empty_are_refused(sizes):
    held = tuple(round(10 * size) if isinstance(size, float) else size for size in sizes)
    fails(
        f"data.val_size={sizes.val} and data.test_size={sizes.test} of 10 characters hold back {held[0]} and {held[1]}:"
        " give at least 1 for validation and leave some to train on",
        lambda: split_stream(documents("x" * 10), "position", sizes),
    )


def test_files_are_dealt_in_parts_and_none_may_be_empty():
    fails(
        "data.split_by=file needs data.val_size as a part between 0 and 1, got 5; or give data.split_by=position",
        lambda: split_stream(documents("a", "b"), "file", Sizes(5, 0)),
    )
    fails(
        "of 1 file none falls to the part val; give data.split_by=position, or other sizes",
        lambda: split_stream([Document("folder/0.py", "a")], "file", Sizes(0.1, 0.1)),
    )
    fails(
        "of 1 file none falls to the part train; give data.split_by=position, or other sizes",
        lambda: split_lines([Document("folder/0.py", "a")], "file", Sizes(0.5, 0.4), 0),
    )


def test_a_text_without_lines_is_refused():
    with pytest.raises(Exception, match="of 0 lines hold back 0 and 0"):
        split_lines(documents(" \n\n"), "random", Sizes(0.1, 0.1), 0)
