"""The network of experiment=vae_mnist in plain PyTorch: what is given to pythae, and to a bare loop."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

PIXELS, HIDDEN, LATENT = 784, [200, 200], 50
BATCH = 100


def mlp(widths: list[int]) -> nn.Sequential:
    """Linear layers, with tanh between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def networks(weights: dict[str, Any]) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder of pixels in [0, 1] and decoder to logits, with the weights of genlab's model.

    Its encoder sees pixels in [-1, 1], 2 x - 1, which is a change of the first layer; the bias of its output is
    a part of its own.
    """
    encoder, decoder = mlp([PIXELS, *HIDDEN, 2 * LATENT]), mlp([LATENT, *HIDDEN, PIXELS])
    encoder.load_state_dict(_below("encoder.layers.", weights))
    decoder.load_state_dict(
        {**_below("decoder.layers.", weights), "4.bias": weights["output.bias"].flatten()}
    )
    first = encoder[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        first.bias -= first.weight.sum(1)
        first.weight *= 2
    return encoder, decoder


def _below(prefix: str, weights: dict[str, Any]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
