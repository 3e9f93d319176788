"""Which classes a classifier sees in the samples, and whether they are those that were asked for.

Letters in shapes: n samples, N training images, K classes.
"""

from collections.abc import Mapping
from typing import Any

from genlab.errors import UserError
from genlab.metrics.classifier import Classifier, accuracy, predict
from genlab.metrics.classifier_training import ClassifierRecipe, fingerprint
from genlab.metrics.histograms import counts, reverse_kl
from genlab.metrics.sample_metric import Needs, SampleMetric, Samples


class ClassAgreement(SampleMetric):
    """Agreement of a classifier with the labels of conditional samples; classes seen and their balance."""

    def __init__(self, *, classifier: ClassifierRecipe, n: int = 10_000) -> None:
        """Trains nothing yet.

        Args:
            classifier: how the judge is trained on the data's own labels.
            n: samples of the model, at least 1.

        Raises:
            UserError: `n` is below 1.
        """
        if n < 1:
            raise UserError(f"metrics.classifier.n must be at least 1, got {n}")
        self.recipe, self.n = classifier, n
        self._judge: Classifier | None = None

    def needs(self) -> Needs:
        return Needs(fakes=self.n, train=True, test=True)

    def prepare(self, facts: Mapping[str, Any], train: Samples | None) -> None:
        """Trains the classifier, or reads it from its file.

        Raises:
            UserError: the data is no labelled images.
        """
        if train is None or train.label is None or train.x.dim() != 4:
            raise UserError("metrics=classifier needs images with labels; give metrics=none")
        self._judge = self.recipe.classifier(train.x, train.label, int(facts["num_classes"]))

    def compute(self, fake: Samples, test: Samples | None) -> dict[str, float]:
        """`label_agreement` (of conditional samples, 0 to 1), `classes`, `classes_kl` (nats).

        `classifier_accuracy` is that of the classifier itself on the test images. The balance of classes is
        held against that of the test images' labels.
        """
        assert self._judge is not None and test is not None and test.label is not None
        seen, num_classes = predict(self._judge, fake.x), self._judge.num_classes
        histogram = counts(seen, num_classes)
        numbers = {
            "classes": float((histogram > 0).sum()),
            "classes_kl": reverse_kl(histogram, counts(test.label, num_classes)),
            "classifier_accuracy": accuracy(self._judge, test.x, test.label),
        }
        if fake.label is None:
            return numbers
        return {"label_agreement": float((seen == fake.label.cpu()).double().mean()), **numbers}

    def stamp(self) -> dict[str, Any]:
        assert self._judge is not None
        return {
            "fakes": self.n,
            "split": "test",
            "extractor": "classifier",
            "extractor_sha256": fingerprint(self._judge.state_dict()),
        }
