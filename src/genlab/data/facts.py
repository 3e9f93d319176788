"""What a model must know of the images it is built for: declared in the config, held against the data."""

import json
from typing import NamedTuple

from torch.utils.data import Dataset

from genlab.data.sources import Source
from genlab.errors import UserError


class ImageFacts(NamedTuple):
    """Facts of an image dataset; None where only the data can tell.

    Attributes:
        image_shape: [C, H, W].
        num_classes: number of labels.
        class_names: a name for each label.
    """

    image_shape: list[int] | None
    num_classes: int | None
    class_names: list[str] | None


def check_shape(declared: list[int] | None, source: Source) -> None:
    """Holds a declared [C, H, W] against the images.

    Raises:
        UserError: they differ.
    """
    found = list(source.shape)
    if declared is not None and list(declared) != found:
        raise UserError(
            f"data.image_shape says {json.dumps(list(declared))} but the images are {json.dumps(found)};"
            f" give data.image_shape={json.dumps(found, separators=(',', ':'))}, or null to take theirs"
        )


def settle(declared: ImageFacts, dataset: Dataset, source: Source) -> ImageFacts:
    """The facts, none of them None: the declared ones where they agree with the data, else what is found.

    Args:
        declared: as the config has them.
        dataset: may know its `classes` by name.
        source: its images.

    Raises:
        UserError: a declared fact is not that of the data, or the data does not tell what is not declared.
    """
    check_shape(declared.image_shape, source)
    found_names = [str(name) for name in getattr(dataset, "classes", [])]
    num_classes = _settle_num_classes(declared.num_classes, found_names, source.max_label)
    names = list(declared.class_names or found_names) or [str(label) for label in range(num_classes)]
    if len(names) != num_classes:
        raise UserError(
            f"data.class_names lists {len(names)} names for {num_classes} classes; list one for each, or give"
            " data.class_names=null"
        )
    return ImageFacts([int(side) for side in source.shape], num_classes, names)


def _settle_num_classes(declared: int | None, names: list[str], max_label: int | None) -> int:
    """The number of classes. Names tell it exactly; labels alone only that there are so many at least."""
    found = len(names) or (None if max_label is None else max_label + 1)
    if declared is None and found is None:
        raise UserError("data.num_classes is null and the data does not tell it; give data.num_classes=N")
    if declared is None or found is None:
        return declared or found or 0
    if found > declared or (names and found != declared):
        raise UserError(
            f"data.num_classes says {declared} but the data has {found} classes; give"
            f" data.num_classes={found}, or null to take theirs"
        )
    return declared
