"""How labels enter an adversarial pair: the generator's part, and the heads on the discriminator's features.

Letters in shapes: B batch, L latent dimensions, F features, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils import parametrizations

from genlab.contracts import Conditioning
from genlab.errors import UserError


class Unconditional(Conditioning):
    """Labels are not looked at; one linear head gives the logit."""

    uses_labels = False
    packs = True

    def __init__(
        self,
        *,
        num_features: int,
        num_classes: int | None = None,
        spectral_norm: bool = False,
        joins: bool = False,
    ):
        """Builds the head.

        Args:
            num_features: F.
            num_classes: of the data; makes no difference.
            spectral_norm: of the head.
            joins: makes no difference: there is nothing to join.
        """
        super().__init__()
        self.embedding = 0
        self.for_generator = nn.Identity()
        self.for_discriminator = _head(num_features, 1, spectral_norm)

    def join(self, z: Tensor, label: Tensor | None) -> Tensor:
        return z

    def logit(self, features: Tensor, label: Tensor | None) -> Tensor:
        return self.for_discriminator(features)[:, 0]


class Concat(Conditioning):
    """The label stands beside the inputs of both networks (Mirza & Osindero 2014, arXiv:1411.1784).

    The generator gets a learned embedding beside z. The discriminator gets a channel for each class, 1
    everywhere for the sample's own and 0 for the others: its first layer maps them as an embedding would.
    """

    packs = True

    def __init__(
        self,
        embedding: int,
        *,
        num_features: int,
        num_classes: int | None,
        spectral_norm: bool = False,
        joins: bool = True,
    ):
        """Builds the embedding and the head.

        Args:
            embedding: dimensions beside z, at least 1.
            num_features: F.
            num_classes: K.
            spectral_norm: of the head.
            joins: whether labels reach the generator by `join`.

        Raises:
            UserError: no classes, or embedding below 1.
        """
        super().__init__()
        self.num_classes = _classes("concat", num_classes)
        self.for_generator = _JoinLabel(self.num_classes, embedding, joins)
        self.embedding = self.for_generator.dimensions
        self.for_discriminator = _head(num_features, 1, spectral_norm)

    @staticmethod
    def extra_channels_of(num_classes: int | None) -> int:
        return num_classes or 0

    def join(self, z: Tensor, label: Tensor | None) -> Tensor:
        return self.for_generator(z, label)

    def label_maps(self, label: Tensor | None, like: Tensor) -> Tensor:
        maps = one_hot(_given(label), self.num_classes).to(like.dtype)  # [B, K]
        return maps if like.dim() == 2 else maps[:, :, None, None].expand(-1, -1, *like.shape[2:])

    def logit(self, features: Tensor, label: Tensor | None) -> Tensor:
        return self.for_discriminator(features)[:, 0]


class Projection(Conditioning):
    """Logit psi(features) + <V_label, features> (Miyato & Koyama 2018, arXiv:1802.05637, eq. 3).

    The generator's norms know the label where it has conditional ones; else an embedding stands beside z.
    """

    conditional_norm = True
    for_discriminator: nn.ModuleDict

    def __init__(
        self,
        embedding: int,
        *,
        num_features: int,
        num_classes: int | None,
        spectral_norm: bool = False,
        joins: bool = True,
    ):
        """Builds the embeddings and the head.

        Args:
            embedding: dimensions beside z, at least 1.
            num_features: F.
            num_classes: K.
            spectral_norm: of psi and of V.
            joins: whether labels reach the generator by `join`.

        Raises:
            UserError: no classes, or embedding below 1.
        """
        super().__init__()
        classes = _classes("projection", num_classes)
        self.for_generator = _JoinLabel(classes, embedding, joins)
        self.embedding = self.for_generator.dimensions
        v = nn.Embedding(classes, num_features)
        nn.init.xavier_uniform_(v.weight)  # N(0, 1) would make logits of some sqrt(F)
        self.for_discriminator = nn.ModuleDict(
            {"psi": _head(num_features, 1, spectral_norm), "v": _normalised(v, spectral_norm)}
        )

    def join(self, z: Tensor, label: Tensor | None) -> Tensor:
        return self.for_generator(z, label)

    def logit(self, features: Tensor, label: Tensor | None) -> Tensor:
        psi, v = self.for_discriminator["psi"], self.for_discriminator["v"]
        return psi(features)[:, 0] + (v(_given(label)) * features).sum(1)


class Auxiliary(Conditioning):
    """A second head tells the class of real and of fake samples (AC-GAN, Odena 2017, arXiv:1610.09585).

    Attributes:
        weight: of the class's cross-entropy in the losses of both networks.
    """

    for_discriminator: nn.ModuleDict

    def __init__(
        self,
        embedding: int,
        weight: float = 1.0,
        *,
        num_features: int,
        num_classes: int | None,
        spectral_norm: bool = False,
        joins: bool = True,
    ):
        """Builds the embedding and the heads.

        Args:
            embedding: dimensions beside z, at least 1.
            weight: of the cross-entropy, at least 0.
            num_features: F.
            num_classes: K.
            spectral_norm: of both heads.
            joins: whether labels reach the generator by `join`.

        Raises:
            UserError: no classes, embedding below 1, or weight below 0.
        """
        super().__init__()
        if weight < 0:
            raise UserError(f"model.conditioning.weight must be at least 0, got {weight}")
        self.weight = weight
        classes = _classes("auxiliary", num_classes)
        self.for_generator = _JoinLabel(classes, embedding, joins)
        self.embedding = self.for_generator.dimensions
        self.for_discriminator = nn.ModuleDict(
            {
                "logit": _head(num_features, 1, spectral_norm),
                "classes": _head(num_features, classes, spectral_norm),
            }
        )

    def join(self, z: Tensor, label: Tensor | None) -> Tensor:
        return self.for_generator(z, label)

    def logit(self, features: Tensor, label: Tensor | None) -> Tensor:
        return self.for_discriminator["logit"](features)[:, 0]

    def class_logits(self, features: Tensor) -> Tensor:
        return self.for_discriminator["classes"](features)


class _JoinLabel(nn.Module):
    """Joins an embedding of the label to z; nothing, where it is told not to."""

    def __init__(self, num_classes: int, embedding: int, joins: bool) -> None:
        super().__init__()
        if embedding < 1:
            raise UserError(f"model.conditioning.embedding must be at least 1, got {embedding}")
        self.dimensions = embedding if joins else 0
        # without one where it has no use: DDP refuses parameters that get no gradient
        self.table = nn.Embedding(num_classes, embedding) if joins else None

    def forward(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Maps `[B, L]` to `[B, L + dimensions]`."""
        return z if self.table is None else torch.cat([z, self.table(_given(label))], dim=1)


def _head(num_features: int, outputs: int, spectral_norm: bool) -> nn.Module:
    return _normalised(nn.Linear(num_features, outputs), spectral_norm)


def _normalised(layer: nn.Module, spectral_norm: bool) -> nn.Module:
    return parametrizations.spectral_norm(layer) if spectral_norm else layer


def _classes(name: str, num_classes: int | None) -> int:
    if not num_classes:
        raise UserError(
            f"model/conditioning={name} needs labels, and this data has no classes: use model=gan"
        )
    return num_classes


def _given(label: Tensor | None) -> Tensor:
    if label is None:
        raise ValueError("a conditional model needs the label of each sample, got none")
    return label
