"""Fully connected networks for images of any size.

Encoder and decoder after Kingma & Welling 2014, appendix C; generator and discriminator after Goodfellow 2014.

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, P parameters per value,
E label channels, m samples in a pack, F features.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genlab.contracts import Decoder, Discriminator, Encoder, Generator
from genlab.layers.activations import ActivationName
from genlab.layers.dense import hidden_layers
from genlab.layers.norms import refuse_classes


class MLP(nn.Module):
    """Hidden layers and a linear last one."""

    def __init__(
        self,
        hidden: Sequence[int],
        activation: ActivationName = "relu",
        *,
        in_features: int,
        out_features: int,
    ):
        """Builds the layers.

        Args:
            hidden: widths of the hidden layers; empty leaves a linear one.
            activation: after each hidden layer.
            in_features: numbers of an input.
            out_features: numbers given for it.

        Raises:
            ValueError: if a width is below 1.
        """
        super().__init__()
        widths = [in_features, *hidden]
        self.layers = nn.Sequential(*hidden_layers(widths, activation), nn.Linear(widths[-1], out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[..., in_features]` to `[..., out_features]`."""
        return self.layers(x)


class MLPEncoder(Encoder):
    """Flattened image, hidden layers, a linear last one."""

    def __init__(
        self,
        image_shape: Sequence[int],
        hidden: Sequence[int],
        activation: ActivationName = "relu",
        *,
        out_features: int,
        extra_channels: int = 0,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W.
            hidden: widths of the hidden layers from the image on; empty makes the encoder linear.
            activation: after each hidden layer.
            out_features: numbers given for each image.
            extra_channels: E.

        Raises:
            ValueError: if a width is below 1.
        """
        super().__init__()
        self.channels = image_shape[0]
        widths = [math.prod(image_shape) + extra_channels, *hidden]
        self.layers = nn.Sequential(*hidden_layers(widths, activation), nn.Linear(widths[-1], out_features))

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(_flattened(image, self.channels))


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
            ValueError: if a width is below 1.
        """
        super().__init__()
        self.shape = (params_per_value, *image_shape)
        self.layers = nn.Sequential(
            *hidden_layers([latent_dim, *hidden], activation),
            nn.Linear([latent_dim, *hidden][-1], math.prod(self.shape), bias=False),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(1, self.shape)  # [B, P, C, H, W]


class MLPGenerator(Generator):
    """Latent, hidden layers, a linear last one with tanh."""

    def __init__(
        self,
        image_shape: Sequence[int],
        hidden: Sequence[int],
        activation: ActivationName = "leaky_relu",
        *,
        latent_dim: int,
        num_classes: int | None = None,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W.
            hidden: widths of the hidden layers from the latent on; empty leaves a linear layer with tanh.
            activation: after each hidden layer.
            latent_dim: L.
            num_classes: None: there is no norm to tell classes.

        Raises:
            ValueError: if a width is below 1, or classes are given.
        """
        super().__init__()
        refuse_classes("mlp", num_classes)
        self.layers = nn.Sequential(
            *hidden_layers([latent_dim, *hidden], activation),
            nn.Linear([latent_dim, *hidden][-1], math.prod(image_shape)),
            nn.Tanh(),
            nn.Unflatten(1, tuple(image_shape)),
        )

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.layers(z)


class MLPDiscriminator(Discriminator):
    """Flattened samples, then hidden layers."""

    def __init__(
        self,
        image_shape: Sequence[int],
        hidden: Sequence[int],
        activation: ActivationName = "leaky_relu",
        *,
        extra_channels: int = 0,
        pack: int = 1,
    ):
        """Builds the layers.

        Args:
            image_shape: C, H, W.
            hidden: widths of the hidden layers from the samples on; empty gives the samples as features.
            activation: after each hidden layer.
            extra_channels: E.
            pack: m.

        Raises:
            ValueError: if a width is below 1.
        """
        super().__init__()
        self.channels = pack * image_shape[0]
        widths = [pack * (math.prod(image_shape) + extra_channels), *hidden]
        self.layers = nn.Sequential(*hidden_layers(widths, activation))
        self.num_features = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(_flattened(x, self.channels))


def _flattened(x: Tensor, channels: int) -> Tensor:
    """Images `[B, C + E, H, W]` as `[B, C H W + E]`: one number of each label channel.

    All of them would outnumber the pixels, cost as much, and drown them in the first layer.
    """
    if x.shape[1] == channels:
        return x.flatten(1)
    return torch.cat([x[:, :channels].flatten(1), x[:, channels:, 0, 0]], dim=1)
