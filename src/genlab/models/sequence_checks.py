"""What a family of sequences refuses, each in one sentence.

Letters in shapes: B batch, T steps, D values of a step.
"""

from collections.abc import Callable
from typing import Literal, get_args

from torch import Tensor

from genlab.errors import UserError
from genlab.sequence_contracts import SequenceBatch, SequenceNetwork

Windows = Literal["contiguous", "random"]


def checked_length(vocab_size: int | None, num_features: int | None, sequence_length: int | None) -> int:
    """The length of the windows, of data that are sequences.

    Raises:
        UserError: they have neither a vocabulary nor values, or no length.
    """
    if sequence_length is None or (vocab_size is None and num_features is None):
        raise UserError(
            "this model wants sequences, and this data has none: choose data=python_source, shakespeare or text, "
            "or a series such as data=sines or csv"
        )
    return sequence_length


def check_settings(
    windows: str,
    embedding: int,
    embedding_std: float,
    gradient_clip: float | None,
    network: Callable[..., SequenceNetwork] | None = None,
) -> None:
    """Refuses settings out of their range; `network` is what the embedding takes its size from, unless told.

    Raises:
        UserError: one is.
    """
    if windows not in get_args(Windows):
        raise UserError(f"model.windows must be contiguous or random, got {windows}")
    if embedding < 1:
        if network is not None:
            network(in_features=1)  # where the embedding follows the network's size, that is what is wrong
        raise UserError(f"model.embedding must be at least 1, got {embedding}")
    if embedding_std <= 0:
        raise UserError(f"model.embedding_std must be above 0, got {embedding_std}")
    if gradient_clip is not None and gradient_clip < 0:
        raise UserError(f"model.gradient_clip must be at least 0, got {gradient_clip}")


def checked_classes(num_classes: int | None) -> int:
    """The classes that a conditional model is told.

    Raises:
        UserError: the data has none.
    """
    if not num_classes:
        raise UserError("model.conditional=true needs labels, and this data has no classes: leave it false")
    return num_classes


def check_latents(latent_dim: int, embedding: int, gradient_clip: float | None) -> None:
    """Refuses settings of a model with latents.

    Raises:
        UserError: one is out of its range.
    """
    check_settings("random", embedding, 1.0, gradient_clip)
    if latent_dim < 1:
        raise UserError(f"model.latent_dim must be at least 1, got {latent_dim}")


def check_latent_shape(z: Tensor, dimensions: int, latent_dim: int) -> None:
    """Refuses latents that are not `[B, L]`, or `[B, T, L]` of 3 `dimensions`.

    Raises:
        UserError: they are not.
    """
    if z.ndim != dimensions or z.shape[-1] != latent_dim or not z.is_floating_point() or not z.numel():
        raise UserError(
            f"latents must be [B, {latent_dim}], or [B, T, {latent_dim}] where each step has one, "
            f"got {z.dtype} {list(z.shape)}"
        )


def check_network(network: SequenceNetwork, sequence_length: int, windows: str) -> None:
    """Refuses a network that cannot read the windows of the data.

    Raises:
        UserError: they are longer than its context, or go on where it has to begin anew or would grow.
    """
    context = network.context
    if context is not None and context < sequence_length:
        raise UserError(
            f"this network reads {context} steps, and data.sequence_length is {sequence_length}: "
            "give the network a longer reach, or the data shorter windows"
        )
    if context is not None and windows == "contiguous":
        raise UserError(
            f"this network reads {context} steps from a beginning on, so it cannot go on from window to window: "
            "set model.windows=random, or let a Transformer have positions=rotary"
        )
    if not network.bounded and windows == "contiguous":
        raise UserError(
            "model.network.reach=null lets each step attend to all before it, and with model.windows=contiguous the "
            f"keys and values kept for that would grow all epoch long: give model.network.reach={2 * sequence_length}, "
            "or set model.windows=random"
        )


def check_windows(batch: SequenceBatch, batch_idx: int, windows: str) -> None:
    """Holds the windows of the data against the model's; only the first batches, as a look waits for a GPU.

    Raises:
        UserError: windows go on, and the model would forget what came before.
    """
    if batch_idx < 2 and windows == "random" and not bool(batch.begins.all()):
        raise UserError(
            "data.windows=contiguous gives windows that go on, and model.windows=random forgets what came before: "
            "set both alike"
        )


def check_beginnings(batch: SequenceBatch, batch_idx: int) -> None:
    """Refuses windows that go on, for a model that begins anew with each; only the first batches are looked at.

    Raises:
        UserError: they do.
    """
    if batch_idx < 2 and not bool(batch.begins.all()):
        raise UserError(
            "data.windows=contiguous gives windows that go on, and this model has latents of its own for each: "
            "set data.windows=apart"
        )


def check_told(label: object, num_classes: int | None) -> None:
    """Refuses a conditional model that is not told the classes of sequences.

    Raises:
        UserError: it is not.
    """
    if num_classes is not None and label is None:
        raise UserError("this model is conditional: give the class of each sequence, label=...")


def check_steps(sequence: Tensor, num_features: int | None) -> None:
    """Refuses what are no tokens (`num_features` None) `[B, T]` or values `[B, T, D]` of a model.

    Raises:
        UserError: another shape or type, or nothing at all.
    """
    values = [] if num_features is None else [num_features]
    right = sequence.ndim == 2 + len(values) and list(sequence.shape[2:]) == values
    if not right or not sequence.numel() or sequence.is_floating_point() != bool(values):
        kind, shape = "floats" if values else "tokens", ", ".join(["B", "T", *map(str, values)])
        raise UserError(f"sequences must be {kind} [{shape}], got {sequence.dtype} {list(sequence.shape)}")
