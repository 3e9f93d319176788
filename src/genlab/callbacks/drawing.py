"""What the callbacks that draw a model share: when, from which images, of which models, and where to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from genlab.callbacks.run_log import run_logs
from genlab.contracts import ClassSampler, ImageBatch, Reconstructor
from genlab.errors import UserError
from genlab.pictures import save_png

SAMPLER = ("sample", "sampling_modules")
RECONSTRUCTOR = ("encode", "decode", "reconstruct")
LATENT_SAMPLER = ("noise", "decode")
CLASS_SAMPLER = ("classes_of", "sample")
"""The methods of the contract's interfaces, to name those that a model lacks."""

_AT_ONCE = 500
"""Images that are encoded at once."""


def check_counts(name: str, **counts: int) -> None:
    """Refuses settings below 1 of the callback that the config calls `name`."""
    for argument, value in counts.items():
        if value < 1:
            raise UserError(f"callbacks.{name}.{argument} must be at least 1, got {value}")


def check_model(callback: Callback, model: LightningModule, kind: type, methods: tuple[str, ...]) -> None:
    """Refuses a model that is not what the callback draws, naming what it lacks."""
    if not isinstance(model, kind):
        missing = " and no ".join(method for method in methods if not hasattr(model, method))
        raise UserError(
            f"{type(callback).__name__} needs a {kind.__name__}, and {type(model).__name__} "
            f"has no {missing}: set this callback to null"
        )


def known_labels(model: LightningModule, label: Tensor) -> tuple[Tensor, ...]:
    """The labels as a further argument of what a model does with images; none where it knows no classes."""
    knows = isinstance(model, ClassSampler) and model.classes_of(1) is not None
    return (label,) if knows else ()


def encoded(model: LightningModule, batch: ImageBatch) -> Tensor:
    """The latents `[n, L]` of images `[n, C, H, W]`, some at a time to spare memory."""
    assert isinstance(model, Reconstructor)
    pieces = zip(batch.image.split(_AT_ONCE), batch.label.split(_AT_ONCE), strict=True)
    return torch.cat([model.encode(image, *known_labels(model, label)) for image, label in pieces])


def refuse_codes(callback: Callback, model: LightningModule) -> None:
    """Refuses a model whose latents are numbers of codes, which do not lie near each other."""
    if hasattr(model, "num_codes"):
        raise UserError(
            f"{type(callback).__name__} needs latents that can be moved, and those of {type(model).__name__} "
            "are codes: set this callback to null"
        )


def is_due(trainer: Trainer, every_n_epochs: int) -> bool:
    """Whether this epoch is drawn: every so many, and the last."""
    if trainer.sanity_checking:
        return False
    epoch = trainer.current_epoch + 1
    return epoch % every_n_epochs == 0 or epoch == trainer.max_epochs


@contextmanager
def inference(trainer: Trainer) -> Iterator[None]:
    """Without gradients, and in the precision that the model trains in."""
    with torch.no_grad(), trainer.precision_plugin.forward_context():
        yield


def class_names(trainer: Trainer, labels: Tensor) -> list[str]:
    """The names of classes `[N]` where the data has them, else their numbers."""
    names = _facts(trainer).get("class_names")
    return [" ".join(str(names[k]).split()) if names else str(k) for k in labels.tolist()]


def all_classes(trainer: Trainer) -> list[str]:
    """The names, or else the numbers, of all classes; none where the data is all of one class, which is no label."""
    count = _facts(trainer).get("num_classes") or 0
    return class_names(trainer, torch.arange(count)) if count > 1 else []


def _facts(trainer: Trainer) -> dict[str, Any]:
    facts = getattr(getattr(trainer, "datamodule", None), "facts", None)
    return facts() if facts else {}


def publish(trainer: Trainer, name: str, picture: Tensor, *, epoch: int | None = None) -> None:
    """Writes a picture `[1 or 3, h, w]` in [0, 1] into `samples/` and hands it to the logs; on rank 0.

    `epoch` counts from 0 and is the current one unless it is given; after the last one Lightning counts on.
    """
    file = f"{name}_epoch_{(trainer.current_epoch if epoch is None else epoch) + 1:04d}.png"
    save_png(picture, Path(trainer.default_root_dir) / "samples" / file)
    for log in run_logs(trainer):
        log.log_picture(name, picture, trainer.global_step)
