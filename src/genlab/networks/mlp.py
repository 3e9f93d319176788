"""Fully connected encoder and decoder, for images of any size (Kingma & Welling 2014, appendix C).

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, P parameters per value.
A discriminator is the encoder with `out_features=1`, a generator the decoder with `params_per_value=1`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genlab.contracts import Decoder, Encoder
from genlab.errors import UserError
from genlab.layers.activations import ActivationName, make_activation


class MLPEncoder(Encoder):
    """Flattened image, hidden layers, a linear last one."""

    def __init__(
        self,
        image_shape: Sequence[int],
        hidden: Sequence[int],
        activation: ActivationName = "relu",
        *,
        out_features: int,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W.
            hidden: widths of the hidden layers from the image on; empty makes the encoder linear.
            activation: after each hidden layer.
            out_features: numbers given for each image.

        Raises:
            UserError: if a width is below 1.
        """
        super().__init__()
        self.layers = nn.Sequential(
            *_hidden_layers([math.prod(image_shape), *hidden], activation),
            nn.Linear([math.prod(image_shape), *hidden][-1], out_features),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image.flatten(1))


class MLPDecoder(Decoder):
    """Latent, hidden layers, a linear last one without bias: each pixel's bias is the family's."""

    def __init__(
        self,
        image_shape: Sequence[int],
        hidden: Sequence[int],
        activation: ActivationName = "relu",
        *,
        latent_dim: int,
        params_per_value: int,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W.
            hidden: widths of the hidden layers from the latent on; empty makes the decoder linear.
            activation: after each hidden layer.
            latent_dim: L.
            params_per_value: P.

        Raises:
            UserError: if a width is below 1.
        """
        super().__init__()
        self.shape = (params_per_value, *image_shape)
        self.layers = nn.Sequential(
            *_hidden_layers([latent_dim, *hidden], activation),
            nn.Linear([latent_dim, *hidden][-1], math.prod(self.shape), bias=False),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(1, self.shape)  # [B, P, C, H, W]


def _hidden_layers(widths: list[int], activation: ActivationName) -> list[nn.Module]:
    """A linear layer and an activation for each step from one width to the next."""
    if min(widths[1:], default=1) < 1:
        raise UserError(f"hidden widths must be at least 1, got {widths[1:]}")
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), make_activation(activation)]
    return layers
