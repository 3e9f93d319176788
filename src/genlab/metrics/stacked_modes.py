"""Modes of stacked images: three pictures as colour channels, each told by one classifier of single pictures.

Stacked MNIST after Metz et al. 2017 (arXiv:1611.02163) and PacGAN (Lin et al. 2018, arXiv:1712.04086): the
1,000 combinations of three digits are the modes, counted in 26,000 samples.
Letters in shapes: n samples, N training images, H height, W width.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genlab.errors import UserError
from genlab.metrics.classifier import Classifier, accuracy, predict
from genlab.metrics.classifier_training import ClassifierRecipe, fingerprint
from genlab.metrics.histograms import counts, reverse_kl
from genlab.metrics.sample_metric import Needs, SampleMetric, Samples

CHANNELS = 3


def stacked_label(digits: Tensor, base: int = 10) -> Tensor:
    """Maps the classes `[n, 3]` of the channels to their number `[n]`: 100 a + 10 b + c."""
    return digits @ torch.tensor([base**2, base, 1])


def single_labels(label: Tensor, base: int = 10) -> Tensor:
    """The way back: numbers `[n]` to the classes `[n, 3]` of the channels."""
    return torch.stack([label // base**2, label // base % base, label % base], 1)


class StackedModes(SampleMetric):
    """Modes covered, of 1,000, and reverse KL against uniform."""

    def __init__(self, *, classifier: ClassifierRecipe, n: int = 26_000) -> None:
        """Trains nothing yet.

        Args:
            classifier: how the judge of single pictures is trained.
            n: samples of the model, at least 1.

        Raises:
            UserError: `n` is below 1.
        """
        if n < 1:
            raise UserError(f"metrics.stacked_modes.n must be at least 1, got {n}")
        self.recipe, self.n = classifier, n
        self._judge: Classifier | None = None

    def needs(self) -> Needs:
        return Needs(fakes=self.n, train=True, test=True)

    def prepare(self, facts: Mapping[str, Any], train: Samples | None) -> None:
        """Trains the classifier on the first channel, which shows every original about equally often.

        Raises:
            UserError: the data is no stacked set.
        """
        base = round(int(facts["num_classes"] or 0) ** (1 / CHANNELS))
        stacked = train is not None and train.label is not None and train.x.shape[1:2] == (CHANNELS,)
        if not stacked or base**CHANNELS != facts["num_classes"]:
            raise UserError(
                "metrics=stacked_modes needs three pictures as colour channels, data=stacked_mnist or"
                " data=stacked_digits; for points take metrics=modes"
            )
        assert train is not None and train.label is not None
        first = single_labels(train.label, base)[:, 0]
        self._judge = self.recipe.classifier(train.x[:, :1], first, base)

    def classes(self, image: Tensor) -> Tensor:
        """The number `[n]` of the mode that each image `[n, 3, H, W]` shows."""
        assert self._judge is not None
        single = [predict(self._judge, channel[:, None]) for channel in image.unbind(1)]
        return stacked_label(torch.stack(single, 1), self._judge.num_classes)

    def compute(self, fake: Samples, test: Samples | None) -> dict[str, float]:
        """`modes` and `modes_kl` (nats); `classifier_accuracy` on single test pictures."""
        assert self._judge is not None and test is not None and test.label is not None
        histogram = counts(self.classes(fake.x), self._judge.num_classes**CHANNELS)
        first = single_labels(test.label, self._judge.num_classes)[:, 0]
        return {
            "modes": float((histogram > 0).sum()),
            "modes_kl": reverse_kl(histogram),
            "classifier_accuracy": accuracy(self._judge, test.x[:, :1], first),
        }

    def stamp(self) -> dict[str, Any]:
        assert self._judge is not None
        return {
            "fakes": self.n,
            "split": "test",
            "extractor": "classifier of single channels",
            "extractor_sha256": fingerprint(self._judge.state_dict()),
            "of_modes": self._judge.num_classes**CHANNELS,
        }
