"""The scale of a series: fitted on its training part, undone on what a model samples.

Letters in shapes: L rows, D columns; `...` any leading dimensions.
"""

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from genlab.errors import UserError

Scaling = Literal["minmax", "standard", "none"]


class Scale:
    """The codec of a series: each column is shifted and divided by numbers of its own.

    Attributes:
        columns: the D names of the values.
        scaling: `minmax` maps the training part to [0, 1], `standard` to mean 0 and deviation 1, `none` nothing.
        shift: `[D]` float64: what becomes 0.
        factor: `[D]` float64: how long a step of 1 is in the user's units.
    """

    kind: str = "series"

    def __init__(self, columns: list[str], scaling: Scaling, shift: Tensor, factor: Tensor) -> None:
        """Takes what `fit` or `from_state` found."""
        self.columns, self.scaling = list(columns), scaling
        self.shift, self.factor = shift.double(), factor.double()

    @classmethod
    def fit(cls, columns: list[str], scaling: Scaling, train: Tensor) -> "Scale":
        """Fits the scale on the training part, `[L, D]`.

        Raises:
            UserError: an unknown scaling, or a column that never changes.
        """
        check_scaling(scaling)
        train = train.double()
        low, high = train.amin(0), train.amax(0)
        still = (low == high).nonzero().flatten().tolist()
        if still:
            raise UserError(
                f"column {columns[still[0]]} is {float(low[still[0]]):g} in every training row: there is nothing"
                " to learn from it; leave it out by data.columns=[...]"
            )
        if scaling == "minmax":
            return cls(columns, scaling, low, high - low)
        if scaling == "standard":
            return cls(columns, scaling, train.mean(0), train.std(0, correction=0))
        return cls.identity(columns)

    @classmethod
    def identity(cls, columns: list[str]) -> "Scale":
        """The scale of values that a model sees as they are."""
        return cls(columns, "none", torch.zeros(len(columns)), torch.ones(len(columns)))

    def scale(self, values: Tensor) -> Tensor:
        """What a model sees of values `[..., D]` in the user's units; float32 on the CPU."""
        return ((values.detach().cpu().double() - self.shift) / self.factor).float()

    def unscale(self, values: Tensor) -> Tensor:
        """The user's units back; float64 on the CPU, since a scaled float32 may be small beside its shift."""
        return values.detach().cpu().double() * self.factor + self.shift

    def state(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "kind": self.kind,
            "scaling": self.scaling,
            "columns": self.columns,
            "shift": self.shift.tolist(),
            "factor": self.factor.tolist(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Scale":
        """The scale that `state` describes.

        Raises:
            ValueError: a column has no scale, or more than one.
        """
        columns, shift, factor = (list(state[name]) for name in ("columns", "shift", "factor"))
        if not len(columns) == len(shift) == len(factor):
            raise ValueError(f"{len(columns)} columns, {len(shift)} shifts, {len(factor)} factors")
        numbers = (torch.tensor(values, dtype=torch.float64) for values in (shift, factor))
        return cls(columns, state["scaling"], *numbers)


def check_scaling(scaling: str) -> None:
    """Refuses what is no scaling.

    Raises:
        UserError: it names those there are.
    """
    if scaling not in get_args(Scaling):
        raise UserError(f"data.scaling must be one of {', '.join(get_args(Scaling))}, got {scaling}")
