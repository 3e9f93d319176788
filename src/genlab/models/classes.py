"""Classes of samples: those asked for, and how they stand beside the inputs of an encoder and a decoder.

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, K classes, E embedding dimensions.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from genlab.errors import UserError


def asked_classes(
    n: int, label: Tensor | int | None, num_classes: int | None, device: torch.device
) -> Tensor | None:
    """The classes `[n]` of samples, on a device: those asked for, or all in turn; None for a model without classes.

    Raises:
        UserError: a class that there is not, or one asked of a model without classes.
    """
    if num_classes is None:
        if label is not None:
            raise UserError("this model knows no classes: it was trained without labels")
        return None
    labels = torch.as_tensor(torch.arange(n) % num_classes if label is None else label)
    if labels.shape not in ((), (n,)) or labels.is_floating_point():
        raise UserError(
            f"label must be one class or {n} whole numbers, got {labels.dtype} {list(labels.shape)}"
        )
    labels = labels.expand(n)
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise UserError(f"label must be from 0 to {num_classes - 1}, got {int(wrong[0])}")
    return labels.to(device)


def in_pieces(
    make: Callable[[Tensor, Tensor | None], Tensor], z: Tensor, label: Tensor | None, *, at_once: int = 500
) -> Tensor:
    """Samples `[B, ...]` at latents `[B, L]` and classes `[B]`, made some at a time to spare memory."""
    labels = [None] * len(z) if label is None else list(label.split(at_once))
    return torch.cat([make(part, of) for part, of in zip(z.split(at_once), labels, strict=False)])


class LabelInputs(nn.Module):
    """The class beside the image for an encoder, beside the latent for a decoder (Sohn et al. 2015).

    The encoder gets a channel for each class, 1 everywhere for the image's own and 0 for the others: its first layer
    maps them as an embedding would. The decoder gets a learned embedding.
    """

    def __init__(self, num_classes: int | None, embedding: int) -> None:
        """Builds the embedding.

        Args:
            num_classes: K.
            embedding: E, at least 1.

        Raises:
            UserError: fewer than two classes, or embedding below 1.
        """
        super().__init__()
        if num_classes is None or num_classes < 2:
            has = "no classes" if not num_classes else "a single class"
            raise UserError(f"model.conditional=true needs labels, and this data has {has}: use model=vae")
        if embedding < 1:
            raise UserError(f"model.embedding must be at least 1, got {embedding}")
        self.num_classes, self.embedding = num_classes, embedding
        self.table = nn.Embedding(num_classes, embedding)

    def beside_image(self, image: Tensor, label: Tensor) -> Tensor:
        """Joins labels `[B]` to images `[B, C, H, W]`: `[B, C + K, H, W]`."""
        maps = one_hot(label, self.num_classes).to(image.dtype)[:, :, None, None]  # [B, K, 1, 1]
        return torch.cat([image, maps.expand(-1, -1, *image.shape[2:])], dim=1)

    def beside_latent(self, z: Tensor, label: Tensor) -> Tensor:
        """Joins labels `[B]` to latents `[B, L]`: `[B, L + E]`."""
        return torch.cat([z, self.table(label)], dim=1)
