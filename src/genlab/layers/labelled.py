"""Layers that are told the class of each sample, and how to stand them among others."""

from torch import Tensor, nn


class TakesLabel(nn.Module):
    """Interface: a layer that wants the labels beside its input."""

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps features `[B, ...]` and labels `[B]`, None where the network was made for no classes."""
        raise NotImplementedError


class LabelledSequential(nn.Sequential, TakesLabel):
    """Layers in a row; those that take labels get them."""

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        for layer in self:
            x = layer(x, label) if isinstance(layer, TakesLabel) else layer(x)
        return x
