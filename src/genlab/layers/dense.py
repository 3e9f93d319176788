"""The hidden part of fully connected networks."""

from itertools import pairwise

from torch import nn

from genlab.layers.activations import ActivationName, make_activation


def hidden_layers(widths: list[int], activation: ActivationName) -> list[nn.Module]:
    """A linear layer and an activation for each step from one width to the next.

    Args:
        widths: of the input, then of each hidden layer.
        activation: after each linear layer.

    Raises:
        ValueError: if a hidden width is below 1.
    """
    if min(widths[1:], default=1) < 1:
        raise ValueError(f"hidden widths must be at least 1, got {widths[1:]}")
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), make_activation(activation)]
    return layers
