"""The first rows of a validation: how many, of which loader, and who draws from them."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from genlab.callbacks.gathering import Drawing, First, FirstImages, FirstPoints, FirstSeries
from genlab.contracts import ImageBatch, PointBatch
from genlab.data.series import as_batch


class Drawn(Drawing):
    """Keeps what it is to draw."""

    def __init__(self, first: First, every_n_epochs: int = 1) -> None:
        super().__init__(first, every_n_epochs)
        self.seen: list[Any] = []

    def draw(self, trainer: Any, model: Any, first: Any) -> None:
        self.seen.append(first)


def images(*values: int) -> ImageBatch:
    label = torch.tensor(values)
    return ImageBatch(label.float().view(-1, 1, 1, 1), label)


def trainer(**changes: Any) -> Any:
    epoch: dict[str, Any] = {
        "sanity_checking": False,
        "current_epoch": 0,
        "max_epochs": 9,
        "is_global_zero": True,
    }
    return SimpleNamespace(**epoch | changes)


def validate(
    callback: Drawn, batches: list[Any], *, dataloader: int = 0, ends: bool = True, **changes: Any
) -> None:
    now, model = trainer(**changes), object()
    callback.on_validation_start(now, model)  # type: ignore[arg-type]
    for k, batch in enumerate(batches):
        callback.on_validation_batch_end(now, model, None, batch, k, dataloader)  # type: ignore[arg-type]
    if ends:
        callback.on_validation_epoch_end(now, model)  # type: ignore[arg-type]


def test_the_first_rows_of_all_batches_are_drawn_with_their_labels_each_validation_anew() -> None:
    callback = Drawn(FirstImages(4))
    validate(callback, [images(1, 2, 3), images(4, 5), images(6)])
    validate(callback, [images(7, 8)], ends=False)  # broken off
    validate(callback, [images(9)])
    assert [first.label.tolist() for first in callback.seen] == [[1, 2, 3, 4], [9]]
    assert [first.image.flatten().tolist() for first in callback.seen] == [[1, 2, 3, 4], [9]]


@pytest.mark.parametrize(
    "changes",
    [{"is_global_zero": False}, {"dataloader": 1}, {"sanity_checking": True}, {"current_epoch": 1}],
    ids=str,
)
def test_nothing_is_drawn_elsewhere(changes: dict[str, Any]) -> None:
    callback = Drawn(FirstImages(4), every_n_epochs=3)
    validate(callback, [images(1)], **{"current_epoch": 2} | changes)
    assert callback.seen == []
    validate(callback, [images(1)], current_epoch=2)
    validate(callback, [images(1)], current_epoch=8)
    validate(callback, [images(1)], current_epoch=7, max_epochs=8)  # the last
    assert len(callback.seen) == 3


def test_callbacks_gather_for_themselves() -> None:
    one, other = Drawn(FirstImages(4)), Drawn(FirstImages(4))
    validate(one, [images(1)], ends=False)
    validate(other, [images(2)])
    assert other.seen[0].label.tolist() == [2]


def test_points_and_series_are_taken_of_nothing_else() -> None:
    points, series = FirstPoints(3), FirstSeries(3)
    values = as_batch(torch.rand(2, 4, 1), torch.zeros(2))
    tokens = values._replace(input=values.input.long(), target=values.target.long())
    point = PointBatch(torch.rand(2, 2), torch.zeros(2))
    for batch in (images(1), tokens, point, values, point, values):
        points.add(batch)
        series.add(batch)
    assert torch.equal(points.take(), torch.cat([point.point, point.point[:1]]))
    assert torch.equal(series.take(), torch.cat([values.target, values.target[:1]]))
    assert points.take() is None and len(series.take()) == 3
