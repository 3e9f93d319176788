"""Points in the plane, made from a seed: small worlds in which one sees what a model leaves out.

Letters in shapes: N points of a split, n points, B batch, K modes or curves.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from genlab.contracts import PointBatch
from genlab.data.loader import TensorLoader
from genlab.data.order import BatchOrder, Rows
from genlab.data.planes import Plane
from genlab.errors import UserError

SPLITS = ("train", "val", "test")


class PointLoader(TensorLoader):
    """The loader of data in memory, which resumes exactly; its batches say that they are points."""

    def __iter__(self) -> Iterator[PointBatch]:  # type: ignore[override]
        return (PointBatch(*batch) for batch in super().__iter__())


class PointData(pl.LightningDataModule):
    """Points of one distribution: training, validation and test points are draws of their own.

    Attributes:
        counted: what the numbers of points below count.
    """

    counted = "points"

    def __init__(
        self,
        *,
        points: Plane,
        num_features: int = 2,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        num_train: int = 100_000,
        num_val: int = 2500,
        num_test: int = 2500,
        batch_size: int = 256,
        drop_last: bool = True,
        draw_seed: int = 0,
        seed: int = 0,
    ) -> None:
        """Draws nothing yet.

        Args:
            points: the distribution.
            num_features: dimensions of a point, held against the distribution.
            num_classes: K, held against the distribution; None takes what it has.
            class_names: a name for each; None numbers them.
            num_train: training points, at least 1, as the next two.
            num_val: validation points.
            num_test: test points.
            batch_size: B, on each process.
            drop_last: leave out training points that do not fill a batch, others each epoch.
            draw_seed: of the points; not the run's seed, so that all runs see and are judged on the same.
            seed: of the order of training points.

        Raises:
            UserError: a number out of its range, or a fact that is not the distribution's.
        """
        super().__init__()
        counts = {"num_train": num_train, "num_val": num_val, "num_test": num_test, "batch_size": batch_size}
        for name, count in counts.items():
            if count < 1:
                raise UserError(f"data.{name} must be at least 1, got {count}")
        self._check_facts(points, num_features, num_classes, class_names)
        self.points, self.class_names = points, class_names
        self.num_train, self.num_val, self.num_test = num_train, num_val, num_test
        self.batch_size, self.drop_last = batch_size, drop_last
        self.draw_seed, self.seed = draw_seed, seed
        self._drawn: dict[str, PointBatch] = {}

    @staticmethod
    def _check_facts(
        points: Plane, num_features: int, num_classes: int | None, class_names: list[str] | None
    ) -> None:
        found = {"num_features": 2, "num_classes": points.num_classes}
        for name, declared in (("num_features", num_features), ("num_classes", num_classes)):
            if declared not in (None, found[name]):
                raise UserError(
                    f"data.{name} says {declared} but the points have {found[name]}; give"
                    f" data.{name}={found[name]}"
                )
        if class_names and len(class_names) != points.num_classes:
            raise UserError(
                f"data.class_names lists {len(class_names)} names for {points.num_classes} classes; list one"
                " for each, or give data.class_names=null"
            )

    def prepare_data(self) -> None:
        """Nothing is downloaded or written."""

    def setup(self, stage: str | None = None) -> None:
        """Draws the points of a stage, "test" or any other; None draws all."""
        wanted = SPLITS if stage is None else SPLITS[2:] if stage == "test" else SPLITS[:2]
        for split in wanted:
            if split not in self._drawn:
                self._drawn[split] = self._draw(split)

    def _draw(self, split: str) -> PointBatch:
        stream = np.random.default_rng([self.draw_seed, SPLITS.index(split)])
        point, label = self.points.draw(getattr(self, f"num_{split}"), stream)
        return PointBatch(torch.from_numpy(point).float(), torch.from_numpy(label))

    def facts(self) -> dict[str, Any]:
        """What is known of the distribution; `centers` and `sigma` where it has modes, else None."""
        centers, num_classes = self.points.centers(), self.points.num_classes
        return {
            "num_features": 2,
            "num_classes": num_classes,
            "class_names": self.class_names or [str(label) for label in range(num_classes)],
            "centers": None if centers is None else centers.tolist(),
            "sigma": None if centers is None else self.points.sigma,
        }

    def centers(self) -> Tensor | None:
        """The modes `[K, 2]`; None where the distribution has none."""
        centers = self.points.centers()
        return None if centers is None else torch.from_numpy(centers).float()

    def train_dataloader(self) -> PointLoader:
        """Shuffled batches; in one fixed order under Lightning's `overfit_batches`.

        Raises:
            UserError: the points do not fill one batch.
        """
        ranks = self._world()[1]
        if self.drop_last and self.batch_size * ranks > self.num_train:
            raise UserError(
                f"data.batch_size {self.batch_size} on {ranks} process{'es' * (ranks > 1)} needs"
                f" {self.batch_size * ranks} training points, there are {self.num_train}; give more by"
                " data.num_train, or data.drop_last=false"
            )
        overfit = getattr(self.trainer, "overfit_batches", 0) > 0
        return self._loader("train", seed=None if overfit else self.seed, drop_last=self.drop_last)

    def val_dataloader(self) -> PointLoader:
        """The validation points, always in the same order."""
        return self._loader("val")

    def test_dataloader(self) -> PointLoader:
        """The test points, always in the same order."""
        return self._loader("test")

    def _loader(self, split: str, *, seed: int | None = None, drop_last: bool = False) -> PointLoader:
        if split not in self._drawn:
            raise UserError(f"no {split} points are drawn yet; call setup() first")
        drawn, (rank, world_size) = self._drawn[split], self._world()
        rows: Rows = np.arange(len(drawn.point), dtype=np.int64)
        order = BatchOrder(
            rows, batch_size=self.batch_size, seed=seed, drop_last=drop_last, rank=rank, world_size=world_size
        )
        return PointLoader(drawn.point, drawn.label, order)

    def _world(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
