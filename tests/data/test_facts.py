from functools import partial

import pytest
from image_files import digits, fails, numbered_data, ready

from genlab.data.digits import Digits
from genlab.errors import UserError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image_shape": [1, 28, 28]},
            "data.image_shape says [1, 28, 28] but the images are [1, 32, 32]; give data.image_shape=[1,32,32],"
            " or null to take theirs",
        ),
        (
            {"num_classes": 7},
            "data.num_classes says 7 but the data has 10 classes; give data.num_classes=10, or null"
            " to take theirs",
        ),
        (
            {"num_classes": 12},
            "data.num_classes says 12 but the data has 10 classes; give data.num_classes=10, or null"
            " to take theirs",
        ),
        (
            {"class_names": ["a", "b"]},
            "data.class_names lists 2 names for 10 classes; list one for each, or give data.class_names=null",
        ),
    ],
)
def test_a_declared_fact_that_the_data_contradicts_is_refused(changes, message):
    fails(message, lambda: ready(digits(**changes)))


def test_test_images_of_another_shape_are_refused():
    data = ready(digits(test=partial(Digits, train=False, size=8)))
    with pytest.raises(
        UserError, match=r"^data.image_shape says \[1, 32, 32\] but the images are \[1, 8, 8\]; "
    ):
        data.setup("test")


def test_labels_alone_tell_how_many_classes_there_are_at_least():
    assert numbered_data(num_classes=None).facts()["num_classes"] == 5
    assert numbered_data(num_classes=9).facts()["class_names"][-1] == "8"  # labels 5 to 8 happen not to occur
    with pytest.raises(UserError, match=r"^data.num_classes says 4 but the data has 5 classes; "):
        numbered_data(num_classes=4)
    fails(
        "data.num_classes is null and the data does not tell it; give data.num_classes=N",
        lambda: numbered_data(num_classes=None, streamed=True),
    )


def test_own_names_of_classes_take_the_place_of_the_datas():
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    assert ready(digits(class_names=names)).facts()["class_names"] == names
