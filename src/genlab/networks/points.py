"""Fully connected networks for points of few dimensions, such as mixtures of Gaussians in the plane.

Letters in shapes: B batch, D dimensions of a point, L latent dimensions, E label channels, m samples in a
pack, F features.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from genlab.contracts import Discriminator, Generator
from genlab.layers.activations import ActivationName
from genlab.layers.dense import hidden_layers
from genlab.layers.norms import refuse_classes


class PointsGenerator(Generator):
    """Latent, hidden layers, a linear last one: points anywhere in space."""

    def __init__(
        self,
        dimensions: int,
        hidden: Sequence[int],
        activation: ActivationName = "relu",
        *,
        latent_dim: int,
        num_classes: int | None = None,
    ):
        """Builds the layers.

        Args:
            dimensions: D.
            hidden: widths of the hidden layers from the latent on; empty makes the generator linear.
            activation: after each hidden layer.
            latent_dim: L.
            num_classes: None: there is no norm to tell classes.

        Raises:
            ValueError: if a width is below 1, or classes are given.
        """
        super().__init__()
        refuse_classes("points", num_classes)
        self.layers = nn.Sequential(
            *hidden_layers([latent_dim, *hidden], activation),
            nn.Linear([latent_dim, *hidden][-1], dimensions),
        )

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(z)  # [B, D]


class PointsDiscriminator(Discriminator):
    """Hidden layers."""

    def __init__(
        self,
        dimensions: int,
        hidden: Sequence[int],
        activation: ActivationName = "leaky_relu",
        *,
        extra_channels: int = 0,
        pack: int = 1,
    ):
        """Builds the layers.

        Args:
            dimensions: D.
            hidden: widths of the hidden layers from the points on; empty gives the points as features.
            activation: after each hidden layer.
            extra_channels: E.
            pack: m.

        Raises:
            ValueError: if a width is below 1.
        """
        super().__init__()
        widths = [pack * (dimensions + extra_channels), *hidden]
        self.layers = nn.Sequential(*hidden_layers(widths, activation))
        self.num_features = widths[-1]  # F

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
