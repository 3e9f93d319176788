"""What can be chosen, read from folders of config files."""

from pathlib import Path

import pytest

from genlab.config import conf_dir
from genlab.errors import UserError
from genlab.invocation import config_dirs
from genlab.options import FIRST, SHARED, describe, listing, options


@pytest.fixture
def theirs(tmp_path):
    texts = {
        "train.yaml": "# No option: the root of all\n",
        "data/digits.yaml": "# Has the name of one of ours\n",
        "data/stars.yaml": "# Stars of the night sky.\na: 1\n",
        "data/base/shared.yaml": "# Nobody chooses this\n",
        "model/network/mixer.yaml": "# @package model\n# Mixes tokens and channels\n",
        "weather/rain.yaml": "a: 1\n# no description\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_options_are_found_in_all_folders_and_what_they_share_is_left_out(theirs):
    assert options([theirs]) == {
        "data": {"digits": "Has the name of one of ours", "stars": "Stars of the night sky"},
        "model/network": {"mixer": "Mixes tokens and channels"},
        "weather": {"rain": ""},
    }
    both = options([conf_dir(), theirs])
    assert {"mnist", "stars"} <= both["data"].keys() and {"mlp", "mixer"} <= both["model/network"].keys()
    assert not any(SHARED & set(group.split("/")) for group in both)


def test_of_two_options_of_one_name_the_first_counts_as_it_does_for_hydra(theirs):
    assert options([conf_dir(), theirs])["data"]["digits"].startswith("1,797 handwritten digits")


def test_groups_come_in_the_order_people_choose_in():
    groups = list(options([conf_dir()]))
    assert groups[: len(FIRST)] == list(FIRST)
    assert groups[len(FIRST) :] == sorted(groups[len(FIRST) :])


def test_every_option_of_ours_is_described():
    assert all(text for names in options([conf_dir()]).values() for text in names.values())


def test_the_description_is_the_comment_that_a_file_begins_with(theirs):
    assert describe(theirs / "model/network/mixer.yaml") == "Mixes tokens and channels"
    assert describe(theirs / "weather/rain.yaml") == ""


def test_a_listing_has_a_line_for_each_option_as_it_is_typed(theirs):
    assert listing([theirs]).splitlines() == [
        "data=digits          Has the name of one of ours",
        "data=stars           Stars of the night sky",
        "",
        "model/network=mixer  Mixes tokens and channels",
        "",
        "weather=rain",
    ]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder of config files; --config-dir wants one$"):
        listing([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    "words", [["--config-dir", "their conf"], ["--config-dir=their conf"], ["-cd", "their conf"]]
)
def test_the_folder_is_read_from_the_command_line(words):
    assert config_dirs(["--list", *words, "data=shapes"]) == [Path("their conf")]
    assert config_dirs(["--list", "data=shapes"]) == []
