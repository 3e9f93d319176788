"""What every metric of samples is: what it wants to see, the numbers it gives, the protocol they are made by.

Letters in shapes: n samples, N training samples; `...` is [C, H, W] of an image,
[D] of a point or [T, D] of a series.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor


class Samples(NamedTuple):
    """Samples of a model, or of the data.

    Attributes:
        x: `[n, ...]`; images float in [-1, 1], or uint8 as the data holds them; points and series float.
        label: `[n]` int64: the classes that a model was asked for, or that the data has; None: no classes.
    """

    x: Tensor
    label: Tensor | None = None

    def first(self, n: int) -> "Samples":
        """The first n of them."""
        return Samples(self.x[:n], None if self.label is None else self.label[:n])


class Needs(NamedTuple):
    """What a metric wants to be given.

    Attributes:
        fakes: samples of the model.
        train: whether it learns something from the training samples, all of them, first.
        test: whether it holds the fakes against samples that no model was trained on, all of them.
    """

    fakes: int
    train: bool = False
    test: bool = False


class Work(NamedTuple):
    """What takes a metric long.

    Attributes:
        what: in words that follow the metric's name: `trains 2 GRUs`.
        seconds: about how long, by a small trial.
    """

    what: str
    seconds: float


class SampleMetric:
    """Interface: judges samples of a model. It is handed tensors; it knows neither models nor datasets.

    Whoever runs it calls `prepare` once, then `work` and `compute` for each set of samples, then `stamp`.
    """

    def needs(self) -> Needs:
        """What `prepare` and `compute` want."""
        raise NotImplementedError

    def prepare(self, facts: Mapping[str, Any], train: Samples | None) -> None:
        """Learns what it has to know of the data.

        Args:
            facts: those of the datamodule: num_classes, image_shape, centers ...
            train: the training samples, where `needs().train`.

        Raises:
            UserError: the metric means nothing for such data.
        """
        raise NotImplementedError

    def work(self, fake: Samples, test: Samples | None) -> Work | None:
        """What `compute` of the same samples will be busy with; None: nothing that takes long."""
        return None

    def compute(self, fake: Samples, test: Samples | None) -> dict[str, float]:
        """Its numbers by name.

        Args:
            fake: `needs().fakes` samples of the model.
            test: the test samples, where `needs().test`.

        Raises:
            UserError: these samples cannot be judged, e.g. some are not finite.
        """
        raise NotImplementedError

    def stamp(self) -> dict[str, Any]:
        """The protocol, plain data: results with unlike stamps are not to be compared.

        Whoever runs the metric adds what it alone knows: the weights (ema, live) and the seed of the samples.
        """
        raise NotImplementedError
