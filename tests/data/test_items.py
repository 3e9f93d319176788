"""Lines as items: each from its beginning to its end, in batches of about one length, each once."""

import numpy as np
import pytest
import torch
from text_files import NAMES, lines, ready, texts_of

from genlab.data.items import LengthOrder, judged, pad
from genlab.errors import UserError


def items(*lengths: int):
    """Items of the tokens 1, 2, ..., with the end token 0."""
    return pad([np.arange(1, n + 1) for n in lengths], list(range(len(lengths))), end=0, dtype=torch.uint8)


def test_items_stand_between_end_tokens():
    made = items(2, 0, 3)
    assert made.tokens.tolist() == [[0, 1, 2, 0, 0], [0, 0, 0, 0, 0], [0, 1, 2, 3, 0]]
    assert made.length.tolist() == [3, 1, 4] and made.tokens.dtype == torch.uint8
    assert made.label.tolist() == [0, 1, 2]


def test_a_batch_is_as_long_as_its_longest_item_and_weighs_no_padding():
    loader = judged(items(2, 5, 3), batch_size=2, rank=0, world_size=1)
    first, second = list(loader)
    assert first.input.tolist() == [[0, 1, 2, 0], [0, 1, 2, 3]]
    assert first.target.tolist() == [[1, 2, 0, 0], [1, 2, 3, 0]]
    assert first.weight.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert first.label.tolist() == [0, 2] and first.begins.tolist() == [True, True]
    assert second.target.tolist() == [[1, 2, 3, 4, 5, 0]] and second.weight.tolist() == [[1.0] * 6]


def test_the_lines_of_a_file_come_back_each_once():
    data = lines()
    told = [
        texts_of(data, make()) for make in (data.train_dataloader, data.val_dataloader, data.test_dataloader)
    ]
    assert [len(part) for part in told] == [15, 3, 2]
    assert sorted(line for part in told for line in part) == sorted(name + "\n" for name in NAMES)
    assert (data.num_train, data.num_val, data.num_test, data.counted) == (15, 3, 2, "lines")


def test_lines_are_split_by_lot_and_the_lot_does_not_depend_on_the_run():
    parts = [set(texts_of(d, d.val_dataloader())) for d in (lines(), lines(seed=5), lines(split_seed=1))]
    assert parts[0] == parts[1] != parts[2]
    ends = {name + "\n" for name in NAMES[-5:-2]}
    assert parts[0] != ends
    data = lines(split_by="position")
    assert set(texts_of(data, data.val_dataloader())) == ends


def test_every_epoch_gives_every_item_once_in_another_order():
    loader = lines().train_dataloader()
    epochs = []
    for epoch in (0, 1, 0):
        loader.order.set_epoch(epoch)
        epochs.append([rows.tolist() for rows in loader.order])
    assert epochs[0] == epochs[2] != epochs[1]
    assert [len(rows) for rows in epochs[0]] == [4, 4, 4, 3]
    assert sorted(row for rows in epochs[0] for row in rows) == list(range(15))


def test_batches_hold_items_of_one_length_and_come_mixed():
    length = np.random.default_rng(0).permutation(
        np.repeat(np.arange(1, 41), 8)
    )  # 40 lengths, 8 items of each
    order = LengthOrder(length, batch_size=8, seed=0)
    batches = [length[rows] for rows in order]
    assert all(batch.min() == batch.max() for batch in batches)
    means = [batch.mean() for batch in batches]
    assert means != sorted(means) and len(set(means)) == 40


def test_a_bucket_is_a_part_of_many_batches_so_that_neighbours_change():
    length = np.arange(4000)
    first, second = (LengthOrder(length, batch_size=4, seed=seed) for seed in (0, 1))
    pairs = [{frozenset(rows.tolist()) for rows in order} for order in (first, second)]
    assert len(pairs[0] & pairs[1]) < 100
    assert max(rows.max() - rows.min() for rows in first) < 400  # of 4,000, some 20 apart in a bucket of 200


def test_processes_share_the_items_of_an_epoch():
    length = lines().train_dataloader().items.length.numpy()
    shares = [
        [row for rows in LengthOrder(length, batch_size=2, seed=3, rank=r, world_size=2) for row in rows]
        for r in (0, 1)
    ]
    assert sorted(shares[0] + shares[1]) == list(range(15))


def test_judging_counts_every_item_once_on_any_number_of_processes():
    made = items(3, 1, 2, 4, 2)
    for world_size in (1, 2, 3, 7):
        for batch_size in (1, 2, 8):
            ranks = [
                list(judged(made, batch_size=batch_size, rank=r, world_size=world_size))
                for r in range(world_size)
            ]
            assert len({len(batches) for batches in ranks}) == 1
            batches = [batch for rank in ranks for batch in rank]
            assert min(batch.input.shape[1] for batch in batches) >= 1  # no network reads nothing
            assert sum(float(batch.weight.sum()) for batch in batches) == 3 + 1 + 2 + 4 + 2 + 5
            labels = [b.label[b.weight.sum(1) > 0].tolist() for b in batches]
            assert sorted(sum(labels, [])) == [0, 1, 2, 3, 4]


def test_blank_lines_are_no_items_and_line_ends_of_windows_are_line_ends():
    data = lines(
        ["ab\r", "", "  ", "cd", "e f ", "\r", "ba\r", "c"], val_size=1, test_size=1, split_by="position"
    )
    told = [
        texts_of(data, make()) for make in (data.train_dataloader, data.val_dataloader, data.test_dataloader)
    ]
    assert sorted(told[0]) == ["ab\n", "cd\n", "e f \n"] and told[1:] == [["ba\n"], ["c\n"]]
    assert data.facts()["sequence_length"] == 5


def test_the_class_of_a_line_can_be_its_file():
    data = ready(
        "anna\nberta",
        "carl\ndirk\nemil",
        unit="line",
        labels="file",
        val_size=1,
        test_size=1,
        split_by="position",
    )
    facts = data.facts()
    assert (facts["num_classes"], facts["class_names"]) == (2, ["file0", "file1"])
    found = {}
    for batch in data.train_dataloader():
        for target, label in zip(batch.target, batch.label, strict=True):
            found[data.codec.decode(target.tolist()).strip()] = int(label)
    assert found == {"anna": 0, "berta": 0, "carl": 1}


def classes(*texts, **changes):
    return ready(*texts, **{"unit": "line", "labels": "file", "val_size": 1, "test_size": 1} | changes)


def test_classes_that_are_judged_alone_are_refused():
    files = ["anna\nberta"] * 20
    with pytest.raises(UserError) as error:
        classes(*files, split_by="file", val_size=0.3, test_size=0.3)
    assert str(error.value) == (
        "data.labels=file makes a class of each file, and with data.split_by=file no class of the part val is"
        " trained on: give data.split_by=random, or data.labels=null"
    )
    assert classes(*files, split_by="file", val_size=0.3, test_size=0.3, labels=None).notes == []
    with pytest.raises(UserError, match="data.split_by=position no class of the part test is trained on: "):
        classes("anna\nberta", "carl", split_by="position")


def test_classes_without_a_line_to_train_on_are_noted():
    two = "ab\nba"
    assert classes(two, "ab\nba\nab", split_by="position").notes == []
    # of the part val one line is of the second file, which is trained on, one of the third
    some = classes(two, two, "ab", split_by="position", val_size=2, test_size=0)
    assert some.notes == ["no line to train on is of the class file2"]
    many = classes(two, *[""] * 7, "ab\nba\nab", split_by="position")
    assert many.notes == ["no line to train on is of the class file1, file2, file3, file4, file5 and 2 more"]
