"""The recurrent networks that judge series, after TimeGAN (Yoon et al. 2019, section 5 and its code).

Letters in shapes: n series, T steps, D values of a step, B batch.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from genlab.errors import UserError
from genlab.metrics.sample_metric import Samples, Work
from genlab.seeding import seeded

Split = Literal["test", "train"]

_TRIED = 5
"""Updates of a judge by which the time of all is guessed."""


class Judge(nn.Module):
    """A GRU and one linear layer on its states."""

    def __init__(self, *, inputs: int, hidden: int, outputs: int) -> None:
        """Builds it for `inputs` values a step."""
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[B, T, inputs]` to `[B, T, outputs]`."""
        return self.head(self.gru(x)[0])


class Training(NamedTuple):
    """What one judge learns from some series.

    Attributes:
        net: the judge, untrained.
        loss: what it minimises, of another batch at each call.
    """

    net: Judge
    loss: Callable[[], Tensor]


def minimise(net: nn.Module, loss: Callable[[], Tensor], *, iterations: int, lr: float) -> None:
    """Adam steps on what `loss` gives anew each time."""
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    for _ in range(iterations):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def drawn(x: Tensor, batch_size: int) -> Tensor:
    """A batch `[B, ...]` of different rows of `[n, ...]`, from the global random stream."""
    return x[torch.randperm(len(x))[:batch_size]]


def series_of(samples: Samples | None, what: str) -> Tensor:
    """The values `[n, T, D]` of samples, as floats on the CPU.

    Raises:
        UserError: they are no series, or not finite.
    """
    assert samples is not None
    x = samples.x.cpu()
    if x.ndim != 3 or not x.is_floating_point():
        raise UserError(
            f"metrics=series judges series of real values [n, T, D], and the {what} are {list(x.shape)}"
            f"{'' if x.is_floating_point() else ' whole numbers'}"
        )
    if not bool(x.isfinite().all()):
        raise UserError(
            f"some {what} are not finite" + (": the model has diverged" if what == "samples" else "")
        )
    return x.float()


def like(samples: Tensor, real: Tensor) -> Tensor:
    """The samples, once their steps and columns are found to be those of the real windows.

    Raises:
        UserError: they are not.
    """
    if samples.shape[1:] != real.shape[1:]:
        raise UserError(
            f"samples of {list(samples.shape[1:])} steps and columns cannot be held against windows of"
            f" {list(real.shape[1:])}"
        )
    return samples


def real_and_reference(train: Samples | None, test: Samples | None, split: Split) -> tuple[Tensor, Tensor]:
    """The windows of a split, and those of the other one, which stand for a perfect model."""
    both = series_of(test, "test windows"), series_of(train, "training windows")
    return both if split == "test" else both[::-1]


class Repeats:
    """A score that is made several times, from seeds one after the other."""

    def __init__(self, name: str, split: Split, reference: bool, repeats: int, seed: int) -> None:
        """Sets the protocol of `metrics.name`.

        Raises:
            UserError: `split` is neither test nor train, or `seed` negative.
        """
        check_split(name, split)
        if seed < 0:
            raise UserError(f"metrics.{name}.seed must be at least 0, got {seed}")
        self.split, self.reference, self.repeats, self.seed = split, reference, repeats, seed

    def numbers(
        self, score: Callable[[Tensor], float], samples: Tensor, reference: Tensor
    ) -> dict[str, float]:
        """The mean score of samples as `score`, that of real series as `score_real`; `_std` from two repeats on."""
        judged = {"score": samples} | ({"score_real": reference} if self.reference else {})
        found = {}
        for name, x in judged.items():
            scores = []
            for repeat in range(self.repeats):
                with seeded(self.seed + repeat):
                    scores.append(score(x))
            found[name] = sum(scores) / len(scores)
            if self.repeats > 1:
                found[f"{name}_std"] = float(torch.tensor(scores, dtype=torch.float64).std())
        return found

    def work(
        self,
        training: Callable[[Tensor], Training],
        samples: Tensor,
        *,
        iterations: int,
        lr: float,
        task: str,
    ) -> Work:
        """What `numbers` will be busy with: how many judges of which `task`, and how long, by a few updates."""
        count = self.repeats * (1 + self.reference)
        with seeded(self.seed):
            net, loss = training(samples)
            minimise(net, loss, iterations=1, lr=lr)  # the first is slower than all others
            began = time.perf_counter()
            minimise(net, loss, iterations=_TRIED, lr=lr)
        seconds = (time.perf_counter() - began) / _TRIED * iterations * count
        return Work(f"trains {count} GRU{'s' * (count > 1)} {task}, {iterations:,} updates each", seconds)

    def stamp(self) -> dict[str, Any]:
        """The part of the protocol that stands here."""
        return {"split": self.split, "repeats": self.repeats, "judge_seed": self.seed}


def refuse_other_data(name: str, facts: Mapping[str, Any]) -> None:
    """Refuses data that are no series.

    Raises:
        UserError: they have no columns.
    """
    if not facts.get("columns"):
        raise UserError(
            f"metrics={name} needs series of real values, such as data=sines or data=csv; this data has none"
        )


def check_numbers(name: str, **numbers: float) -> None:
    """Refuses settings of `metrics.name` that are not above 0.

    Raises:
        UserError: the first that is not.
    """
    for setting, value in numbers.items():
        if value <= 0:
            raise UserError(f"metrics.{name}.{setting} must be above 0, got {value}")


def check_split(name: str, split: str) -> None:
    """Refuses what is neither the test nor the training split.

    Raises:
        UserError: it is neither.
    """
    if split not in ("test", "train"):
        raise UserError(f"metrics.{name}.split must be test or train, got {split}")
