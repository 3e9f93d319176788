"""What is read of a CSV file, and how what cannot be read is told."""

import numpy as np
import pytest
from image_files import fails

from genlab.data.csv_table import read_table
from genlab.errors import UserError


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def written(text, encoding="utf-8"):
        (tmp_path / "a.csv").write_bytes(text.encode(encoding))
        return "a.csv"

    return written


def begins(sentence, action):
    """The action raises a UserError that begins so."""
    with pytest.raises(UserError) as raised:
        action()
    assert str(raised.value).startswith(sentence), str(raised.value)


def rows(path, **settings):
    table = read_table(path, **settings)
    return table.names, table.values.tolist()


PRICES = "Open,High,Volume\n1,2.5,3e2\n-4,5,6\n"


def test_a_header_is_found_and_numbers_of_all_kinds_are_read(write):
    assert rows(write(PRICES)) == (["Open", "High", "Volume"], [[1, 2.5, 300], [-4, 5, 6]])
    assert read_table("a.csv").values.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "has_one"),
    [
        ("1,2\n3,4\n", False),
        ("a,b\n3,4\n", True),
        ("date,b\n2004-08-19,4\n", True),  # a word above a number, in one column at least
        ("2004-08-19,4\n2004-08-20,5\n", False),  # a word above a word tells nothing
        (",b\n0,4\n", True),  # what pandas writes: a column of numbers without a name
        (",2\n3,4\n", False),  # a missing value is no name
    ],
)
def test_a_header_is_a_first_line_with_a_word_above_a_number(write, text, has_one):
    table = read_table(write(text), columns=[2])  # a number everywhere
    assert len(table.values) == (1 if has_one else 2)


def test_the_header_can_be_told(write):
    # years as names cannot be told from numbers
    assert rows(write("2001,2002\n1,2\n"), header=True) == (["2001", "2002"], [[1, 2]])
    assert rows("a.csv", header=False) == (["column_1", "column_2"], [[2001, 2002], [1, 2]])
    begins(
        "a.csv line 1, column column_1: 'x' is no finite number",
        lambda: rows(write("x,1\n1,2\n"), header=False),
    )


@pytest.mark.parametrize(
    ("name", "character"), [("comma", ","), ("semicolon", ";"), ("tab", "\t"), ("bar", "|")]
)
def test_separators_are_found_and_can_be_told(write, name, character):
    path = write(PRICES.replace(",", character))
    expected = (["Open", "High", "Volume"], [[1, 2.5, 300], [-4, 5, 6]])
    assert rows(path) == rows(path, separator=name) == rows(path, separator=character) == expected


def test_any_character_can_separate(write):
    assert rows(write("a b\n1 2\n"), separator=" ") == (["a", "b"], [[1, 2]])


def test_columns_are_chosen_by_name_or_number_in_the_order_asked_for(write):
    write(PRICES)
    assert rows("a.csv", columns=["Volume", "Open"]) == (["Volume", "Open"], [[300, 1], [6, -4]])
    assert rows("a.csv", columns=[3, "Open"]) == (["Volume", "Open"], [[300, 1], [6, -4]])


def test_what_a_file_without_names_calls_its_columns_chooses_them_again(write):
    names, values = rows(write("1,2\n3,4\n"))
    assert rows("a.csv", columns=names) == (names, values)
    assert rows("a.csv", columns=["column_2"]) == (["column_2"], [[2], [4]])


def test_columns_that_are_not_chosen_need_not_be_numbers(write):
    assert rows(write("day,x\nMonday,1\n,2\n"), columns=["x"]) == (["x"], [[1], [2]])


def test_byte_order_marks_blank_lines_quotes_spaces_and_windows_line_ends_are_read_over(write):
    text = '\ufeff"Open", High \r\n\r\n" 1","2"\r\n\r\n3, 4\r\n'
    assert rows(write(text)) == (["Open", "High"], [[1, 2], [3, 4]])


def test_other_alphabets_are_read(write):
    assert rows(write("开盘,收盘\n1,2\n"), columns=["收盘"]) == (["收盘"], [[2]])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "x,y\n1,2\n3,\n",
            "a.csv line 3, column y: the value is missing; fill it or remove the line, or leave",
        ),
        ("x,y\n\n1,NaN\n3,4\n", "a.csv line 3, column y: the value is missing (NaN); fill it"),
        ("x,y\n1,2\n3,n/a\n", "a.csv line 3, column y: the value is missing (n/a); fill it"),
        ("x,y\n1,2\n3,4 EUR\n", "a.csv line 3, column y: '4 EUR' is no finite number; mend it, or leave"),
        ("x,y\n1,2\n3,inf\n", "a.csv line 3, column y: 'inf' is no finite number"),
        (
            "x;y\n1;2\n3;4,5\n",
            "a.csv line 3, column y: '4,5' is no finite number; write decimals with a point",
        ),
        ("x;y\n0,5;0,3\n", "a.csv line 2, column x: '0,5' is no finite number; write decimals with a point"),
        ("x;y\n1;2\n3;4,a\n", "a.csv line 3, column y: '4,a' is no finite number; mend it"),
        ("when,what\n", "data.path a.csv holds no rows of numbers"),
        ("when,2\n", "a.csv line 1, column column_1: 'when' is no finite number"),
        ("x,y\n1,2\n3\n", "a.csv line 3 has 1 fields, the first line 2; mend it, or give data.separator"),
        ('x,y\n"1\n",2\n3,4,5\n', "a.csv line 4 has 3 fields, the first line 2"),
        ("x,y\n1,2\n,\n3,4\n", "a.csv line 3, column x: the value is missing; fill it"),
        ("x,y\n", "data.path a.csv holds no rows of numbers"),
        (" \n\n", "data.path a.csv is empty"),
        ("", "data.path a.csv is empty"),
    ],
)
def test_what_is_no_number_is_told_with_its_line_and_column(write, text, sentence):
    path = write(text)
    header = True if text.startswith("x,y\n") else None
    begins(sentence, lambda: rows(path, header=header))


def test_files_that_cannot_be_read_are_told(write, tmp_path):
    fails("data.path b.csv cannot be read (No such file or directory)", lambda: rows("b.csv"))
    fails(f"data.path {tmp_path} cannot be read (Is a directory)", lambda: rows(str(tmp_path)))
    write("prix,é\n1,2\n", encoding="latin-1")
    fails("data.path a.csv is no UTF-8 text (invalid continuation byte at byte 5)", lambda: rows("a.csv"))


def test_columns_that_are_not_there_are_told(write):
    write(PRICES)
    fails(
        "data.columns: a.csv has no column open; it has Open, High, Volume",
        lambda: rows("a.csv", columns=["open"]),
    )
    for number in (0, 4):
        fails(
            f"data.columns: a.csv has columns 1 to 3, counted from 1, got {number}",
            lambda k=number: rows("a.csv", columns=[k]),
        )
    fails("data.columns lists a column twice: Open, Open", lambda: rows("a.csv", columns=["Open", 1]))
    fails("data.columns lists none; name some, or give null for all", lambda: rows("a.csv", columns=[]))
    fails(
        "data.separator must be comma, semicolon, tab, bar, one character, or null to find out, got 'space'",
        lambda: rows("a.csv", separator="space"),
    )
    fails(
        "data.columns: a.csv has several columns x; choose by number, from 1",
        lambda: rows(write("x,x\n1,2\n3,4\n")),
    )
    assert rows("a.csv", columns=[2]) == (["x"], [[2], [4]])
