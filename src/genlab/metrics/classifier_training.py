"""Trains the classifier on a dataset's own labels, once: the next time it is read from a file.

Letters in shapes: N training images, B batch, C channels, H height, W width.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from genlab.atomic import write_whole
from genlab.errors import UserError
from genlab.metrics.classifier import Classifier, as_bytes, as_signed
from genlab.seeding import seeded

log = logging.getLogger("genlab")

FORMAT = 1
"""Part of every cache key: another training procedure in this file is another number."""


class ClassifierRecipe:
    """How a classifier is trained, and the folder that keeps the trained ones.

    AdamW under a one-cycle learning rate (Smith & Topin 2019, arXiv:1708.07120); each image is shifted at
    random each time it is seen. Equal images and settings give equal weights on one machine.
    """

    def __init__(
        self,
        *,
        folder: str | None,
        width: int = 16,
        epochs: int = 8,
        min_steps: int = 400,
        batch_size: int = 128,
        lr: float = 4e-3,
        weight_decay: float = 0.01,
        shift: int = 2,
        seed: int = 0,
    ) -> None:
        """Trains nothing yet.

        Args:
            folder: where trained classifiers are kept; None keeps none.
            width: channels of the first convolution, at least 1.
            epochs: passes over the training images, at least 1.
            min_steps: updates at least, so that few images are passed over more often; 0 or more.
            batch_size: B, at least 2.
            lr: the peak of the learning rate, above 0.
            weight_decay: each step shrinks the weights by lr * weight_decay.
            shift: pixels that an image is moved at most, each way; 0 moves none.
            seed: of the first weights, the order and the shifts; not the run's.

        Raises:
            UserError: a number out of its range.
        """
        for name, value, least in (("width", width, 1), ("epochs", epochs, 1), ("batch_size", batch_size, 2)):
            if value < least:
                raise UserError(f"classifier.{name} must be at least {least}, got {value}")
        if shift < 0 or lr <= 0:
            raise UserError(f"classifier.shift must be 0 or more and lr above 0, got {shift} and {lr}")
        self.folder = None if folder is None else Path(folder).expanduser()
        self.width, self.epochs, self.min_steps, self.batch_size = width, epochs, min_steps, batch_size
        self.lr, self.weight_decay, self.shift, self.seed = lr, weight_decay, shift, seed

    def settings(self) -> dict[str, Any]:
        """What decides the weights beside the images: plain data."""
        return {"format": FORMAT} | {name: value for name, value in vars(self).items() if name != "folder"}

    def classifier(self, image: Tensor, label: Tensor, num_classes: int) -> Classifier:
        """The classifier of these images, in eval mode: from the folder where it is there, else trained.

        Args:
            image: `[N, C, H, W]` training images, uint8 or float in [-1, 1].
            label: `[N]` their classes.
            num_classes: K.

        Raises:
            UserError: there are fewer than two classes, or too few images to train on.
        """
        if num_classes < 2 or len(image) < 2:
            raise UserError(
                f"a classifier needs 2 or more classes and images, got {num_classes} classes and {len(image)}"
                " images: leave out the metrics that need one"
            )
        image, label = as_bytes(image).cpu().contiguous(), label.cpu()
        net = self._fresh(image, num_classes)
        file = None if self.folder is None else self.folder / f"{self._key(image, label, num_classes)}.pt"
        state = None if file is None else _read(file)
        if state is not None:
            net.load_state_dict(state)
            return net.eval()
        with seeded(self.seed):
            self._train(net, image, label)
        if file is not None:
            state = dict(net.state_dict())
            content = {"recipe": self.settings(), "sha256": fingerprint(state), "state_dict": state}
            _keep(content, file)
        return net.eval()

    def _key(self, image: Tensor, label: Tensor, num_classes: int) -> str:
        """A hash of everything that decides the weights: pixels, labels, settings."""
        facts = {"shape": list(image.shape), "num_classes": num_classes, **self.settings()}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        digest.update(image.numpy().tobytes())
        digest.update(label.long().numpy().tobytes())
        return digest.hexdigest()[:32]

    def _fresh(self, image: Tensor, num_classes: int) -> Classifier:
        with seeded(self.seed):
            net = Classifier(image_shape=list(image.shape[1:]), num_classes=num_classes, width=self.width)
        return net.to(memory_format=torch.channels_last)

    def _train(self, net: Classifier, image: Tensor, label: Tensor) -> None:
        steps = max(self.epochs * max(1, len(image) // self.batch_size), self.min_steps)
        optimizer = torch.optim.AdamW(net.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.lr, total_steps=steps)
        net.train()
        for rows in islice(_shuffled(len(image), self.batch_size), steps):
            logits = net(shifted(as_signed(image[rows]), self.shift))
            loss = F.cross_entropy(logits, label[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def _shuffled(n: int, batch_size: int) -> Iterator[Tensor]:
    """Batches of rows without end: all rows once, then all again, what fills no batch left out."""
    full = max(1, n // batch_size) * batch_size
    while True:
        yield from torch.randperm(n)[:full].split(batch_size)


def shifted(image: Tensor, most: int) -> Tensor:
    """Moves each image of `[B, C, H, W]` by up to `most` pixels each way; its edge is drawn out."""
    if most == 0:
        return image
    height, width = image.shape[-2:]
    down, right = torch.randint(-most, most + 1, (2, len(image), 1))
    rows = (torch.arange(height) + down).clamp_(0, height - 1)  # [B, H]
    columns = (torch.arange(width) + right).clamp_(0, width - 1)  # [B, W]
    moved = image.permute(0, 2, 3, 1)[
        torch.arange(len(image))[:, None, None], rows[:, :, None], columns[:, None]
    ]
    return moved.permute(0, 3, 1, 2)  # [B, C, H, W], channels last in memory


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """A hash of a network's weights, by which a result says what it was judged with."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _keep(content: dict[str, Any], file: Path) -> None:
    """Writes a trained one into its folder; shared data is often not ours to write beside, which is no reason to end."""
    try:
        write_whole(file, lambda opened: torch.save(content, opened))
    except OSError as error:
        log.warning(
            f"{file.parent}: the trained classifier cannot be kept there ({error.strerror or error}), and is trained "
            "again the next time; metrics.NAME.classifier.folder= is another place"
        )


def _read(file: Path) -> dict[str, Tensor] | None:
    """The weights in a file; None where there is none, or one that was damaged."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        state, told = content["state_dict"], content["sha256"]
    except Exception:  # torch.load has no exception of its own: zip, pickle, EOF, runtime errors
        return None
    return state if fingerprint(state) == told else None
