"""A small classifier of images: what tells which class a sample looks like.

Letters in shapes: N images, B batch, C channels, H height, W width, K classes.
"""

import math

import torch
from torch import Tensor, nn

LONGEST = 7
"""Feature maps are halved until no side is longer than this: 28 ends at 7, 32 at 4."""

PREDICT_BATCH = 512


class Classifier(nn.Module):
    """Convolutions, each but the last followed by a halving, then one linear layer."""

    def __init__(self, *, image_shape: list[int], num_classes: int, width: int = 16) -> None:
        """Builds the network for images of one shape.

        Args:
            image_shape: [C, H, W].
            num_classes: K.
            width: channels at full size; they double with each halving, up to 8 times.
        """
        super().__init__()
        self.num_classes = num_classes
        channels, *sides = image_shape
        wide, layers = width, list[nn.Module]()
        while max(sides) > LONGEST:
            layers += _stage(channels, wide, halve=True)
            channels, wide = wide, min(2 * wide, 8 * width)
            sides = [-(-side // 2) for side in sides]
        layers += _stage(channels, wide, halve=False)
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(0.25), nn.Linear(wide * math.prod(sides), num_classes))

    def forward(self, image: Tensor) -> Tensor:
        """Maps images `[B, C, H, W]` in [-1, 1] to logits `[B, K]`."""
        return self.head(self.features(image))


def _stage(inputs: int, outputs: int, *, halve: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    # norm and activation behind the halving, where there is a quarter of the values: a third faster on CPU
    halving = [nn.MaxPool2d(2, ceil_mode=True)] if halve else []
    return [convolution, *halving, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


@torch.no_grad()
def predict(classifier: nn.Module, image: Tensor) -> Tensor:
    """The likeliest class `[N]` of each image `[N, C, H, W]`, uint8 or float in [-1, 1]."""
    device = next(classifier.parameters()).device
    classifier.eval()
    parts = [classifier(as_signed(part.to(device))).argmax(1).cpu() for part in image.split(PREDICT_BATCH)]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


def accuracy(classifier: nn.Module, image: Tensor, label: Tensor) -> float:
    """The share of images `[N, C, H, W]` whose likeliest class is their label `[N]`, 0 to 1."""
    return float((predict(classifier, image) == label.cpu()).double().mean())


def as_signed(image: Tensor) -> Tensor:
    """Makes uint8 images float in [-1, 1]; floats are in that range already."""
    return image.div(127.5).sub_(1) if image.dtype == torch.uint8 else image


def as_bytes(image: Tensor) -> Tensor:
    """Makes float images in [-1, 1] uint8; the exact way back for what was uint8 before."""
    return image if image.dtype == torch.uint8 else image.add(1).mul_(127.5).round_().to(torch.uint8)
