"""What the families share that have latents behind sequences: which steps count, importance weights, their numbers.

Letters in shapes: K draws of the latents of a sequence, B batch, T steps, D values of a step.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from genlab.contracts import Posterior
from genlab.errors import UserError
from genlab.models.carrying import TargetMean, in_all_units, up_to_the_end
from genlab.models.precision import full
from genlab.models.sequence_checks import check_steps, check_told
from genlab.objectives.bounds import Terms
from genlab.objectives.importance import log_weights
from genlab.sequence_contracts import SequenceBatch

CHARTS = {
    "what is trained, what is judged (nats per sequence)": ["train/objective", "val/loss"],
    "the bound (nats per step or token)": ["val/loss_per_step"],
    "reconstruction (nats per sequence)": ["train/reconstruction", "val/reconstruction"],
    "KL from the prior (nats per sequence)": ["train/kl", "val/kl"],
    "latent dimensions in use": ["val/active_units"],
    "learning rate": ["train/lr"],
    "windows per second": ["rate/images_per_second"],
}


class Counted(NamedTuple):
    """Which steps of a batch are judged.

    Attributes:
        weight: `[B, T]`: 1 where a step counts, else 0.
        length: `[B]` int64: steps up to the last one that counts, at least 1.
        any: `[B]`: 1 where a step of the sequence counts; a row that only fills a batch has none.
    """

    weight: Tensor
    length: Tensor
    any: Tensor


def counted(batch: SequenceBatch) -> Counted:
    """Which steps count; all of them where the batch has no weights."""
    weight = batch.weight
    if weight is None:
        weight = torch.ones(batch.target.shape[:2], device=batch.target.device)
    weight = full(weight)  # half precision counts to 256
    place = torch.arange(1, weight.shape[1] + 1, device=weight.device) * (weight > 0)  # [B, T]
    length = place.amax(1)
    return Counted(weight, length.clamp(min=1), (length > 0).to(weight.dtype))


class BoundModel(Protocol):
    """What is wanted of a family with a bound."""

    num_features: int | None
    num_classes: int | None
    end_token: int | None

    def classes_of(self, n: int, label: Tensor | int | None = None) -> Tensor | None: ...

    def beginning(self, n: int) -> Tensor: ...

    def terms(self, batch: SequenceBatch, *, samples: int = 1, densities: bool = False) -> Terms: ...


def whole(model: BoundModel, sequence: Tensor, label: Tensor | int | None) -> SequenceBatch:
    """Sequences `[B, T]` or `[B, T, D]` as a batch, from their beginning on; behind an end token nothing counts.

    Raises:
        UserError: they are none of the model's, or their class is not told.
    """
    check_steps(sequence, model.num_features)
    check_told(label, model.num_classes)
    classes = model.classes_of(len(sequence), label)
    weight = up_to_the_end(sequence, model.end_token)
    begins = torch.ones(len(sequence), dtype=torch.bool, device=sequence.device)
    label = torch.zeros_like(begins, dtype=torch.int64) if classes is None else classes
    before = torch.cat([model.beginning(len(sequence)).to(sequence), sequence[:, :-1]], dim=1)
    return SequenceBatch(before, sequence, weight, label, begins)


def check_apart(trainer: Trainer) -> None:
    """Refuses data that judges the rest of a window by itself, for a model with latents of each window.

    Raises:
        UserError: it does.
    """
    if getattr(getattr(trainer, "datamodule", None), "windows_overlap", False):
        raise UserError(
            "with this data.windows and data.stride the windows of validation overlap, and "
            "this model has latents of its own for each: set data.windows=apart and data.stride=null"
        )


def importance_weights(model: BoundModel, batch: SequenceBatch, *, samples: int, chunk: int) -> Tensor:
    """Log p(x, z) - log q(z|x) `[K, B]` at K = `samples` draws for each sequence, `chunk` of them at once.

    Raises:
        UserError: there is no draw.
    """
    if samples < 1 or chunk < 1:
        raise UserError(f"samples and chunk must be at least 1, got {samples} and {chunk}")
    at_once = max(1, chunk // len(batch.target))
    columns = []
    for part in _split(batch, chunk):
        draws = [min(at_once, samples - k) for k in range(0, samples, at_once)]
        terms = (model.terms(part, samples=k, densities=True) for k in draws)
        columns.append(torch.cat([log_weights(each, each.log_q) for each in terms]))
    return torch.cat(columns, dim=1)


def _split(batch: SequenceBatch, rows: int) -> Iterator[SequenceBatch]:
    for k in range(0, len(batch.target), rows):
        yield SequenceBatch(*(None if part is None else part[k : k + rows] for part in batch))  # type: ignore[arg-type]


def parts_of(terms: Terms) -> dict[str, Tensor]:
    """The two parts of the negative bound, in nats per sequence, without gradients."""
    with torch.no_grad():
        return {"reconstruction": -terms.log_px.mean(), "kl": terms.divergence.mean()}


def posterior_of(terms: Terms) -> Posterior:
    """What an encoder says; the KL of all dimensions together where it is known by draws only.

    Raises:
        UserError: it says it of each step, after those before it are drawn.
    """
    if terms.mean.ndim == 3:
        raise UserError(
            "a posterior of each step is of the latents drawn before it, so that dimensions in use are not counted: "
            "set callbacks.latent_use=null, or metrics.latents=null; val/kl tells what latents carry"
        )
    kl = terms.divergence[0, :, None] if terms.kl is None else terms.kl
    return Posterior(terms.mean, terms.log_var, kl)


class BoundMeans:
    """The plain bound of an epoch: means over sequences, and over steps, however they fall into batches and ranks."""

    def __init__(self) -> None:
        self._means = {name: TargetMean() for name in ("loss", "reconstruction", "kl", "loss_per_step")}

    def add(self, terms: Terms, judged: Counted) -> None:
        """Adds a batch, of one draw for each sequence."""
        reconstruction = -terms.log_px[0] * judged.any
        divergence = terms.divergence.reshape(-1) * judged.any
        bound, rows = (reconstruction + divergence).sum(), judged.any.sum()
        self._means["loss"].add(bound, rows)
        self._means["reconstruction"].add(reconstruction.sum(), rows)
        self._means["kl"].add(divergence.sum(), rows)
        self._means["loss_per_step"].add(bound, judged.weight.sum())

    def take(self, trainer: Trainer, tokens: bool, characters_per_token: float | None) -> dict[str, Tensor]:
        """The means, after which it begins anew; every rank has to call it.

        Args:
            trainer: whose ranks they are over.
            tokens: whether the data are such: then the bound has its other units, too.
            characters_per_token: of text; None where nobody knows.
        """
        values = {name: mean.take(trainer) for name, mean in self._means.items()}
        if tokens:
            units = in_all_units(values["loss_per_step"], characters_per_token)
            del units["loss"]
            values |= units
        return {name: torch.tensor(value) for name, value in values.items()}
