"""What every metric of a model's density is: the images it wants, the numbers it gives, its protocol.

Letters in shapes: N test images, n of them that are judged.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlab.contracts import ImageBatch


class Number(NamedTuple):
    """A number and how far it may be off.

    Attributes:
        value: the estimate.
        over_images: its standard error where the images judged stand for all that there are.
        monte_carlo: the standard error of the noise drawn, for the very images judged; None: no noise in it.
    """

    value: float
    over_images: float | None = None
    monte_carlo: float | None = None


class Verdict(NamedTuple):
    """What a metric says of a model.

    Attributes:
        numbers: by name.
        lists: numbers that belong together, one for each latent dimension or the like.
    """

    numbers: dict[str, Number]
    lists: dict[str, list[float]]


class DensityMetric:
    """Interface: judges what a model says of test images. It knows neither families nor datasets.

    Whoever runs it calls `check`, then `compute` with the images of `rows`, then `stamp`.

    Attributes:
        n: test images that are judged; None: all.
    """

    n: int | None

    def rows(self, num_images: int) -> Tensor:
        """Which of N test images are judged: `[n]`, spread evenly, since files are often sorted somehow."""
        n = num_images if self.n is None else min(self.n, num_images)
        return torch.linspace(0, num_images - 1, n, dtype=torch.float64).round().long()

    def check(self, model: Any) -> None:
        """Refuses a model of which the metric means nothing.

        Raises:
            UserError: what it lacks.
        """
        raise NotImplementedError

    def seconds(self, model: Any, batch: ImageBatch) -> float:
        """About how long `compute` will take, by a small trial."""
        raise NotImplementedError

    def compute(self, model: Any, batch: ImageBatch) -> Verdict:
        """Its numbers, for images `[n, C, H, W]` uint8 or float, with noise from the global random stream."""
        raise NotImplementedError

    def stamp(self) -> dict[str, Any]:
        """The protocol, plain data: results with unlike stamps are not to be compared."""
        raise NotImplementedError


def ready(batch: ImageBatch, model: Any) -> ImageBatch:
    """A batch on the model's device, its images float in [-1, 1] as the model's numbers are."""
    image = batch.image.to(model.device)
    image = image.div(127.5).sub(1) if image.dtype == torch.uint8 else image
    return ImageBatch(image, batch.label.to(model.device))


def doubled(x: Tensor) -> Tensor:
    """In double precision; on the CPU where a device (Apple's) has none."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def pieces(batch: ImageBatch, size: int) -> list[ImageBatch]:
    """A batch in pieces of so many images."""
    return [
        ImageBatch(*piece) for piece in zip(batch.image.split(size), batch.label.split(size), strict=True)
    ]


def summary(value: Tensor) -> tuple[float, float]:
    """The mean of `[n]` numbers and its standard error, infinite for a single one."""
    value = value.double()
    error = value.std() / len(value) ** 0.5 if len(value) > 1 else torch.tensor(torch.inf)
    return float(value.mean()), float(error)
