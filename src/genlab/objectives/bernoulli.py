"""Black and white: the likelihood of the first papers.

Letters in shapes: C channels, H height, W width; `...` is any number of leading dimensions.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from genlab.objectives.likelihood import Likelihood

Binarize = Literal["sample", "threshold", "none"]


class Bernoulli(Likelihood):
    """Each value is 1 with probability sigmoid(logit), else 0 (Kingma & Welling 2014, appendix C.1)."""

    params_per_value = 1
    _units = {
        "sample": "nats, binarized anew each batch",
        "threshold": "nats, binarized at one half",
        "none": "nats, gray values as probabilities",
    }

    def __init__(self, binarize: Binarize = "sample"):
        """Sets how gray becomes black and white.

        Args:
            binarize: `sample` draws each value anew with its gray as the probability (the protocol of
                the IWAE paper), `threshold` cuts at one half, `none` takes the gray values themselves as
                targets of the cross-entropy, which is then not the likelihood of an image.

        Raises:
            ValueError: if binarize is none of these.
        """
        super().__init__()
        if binarize not in get_args(Binarize):
            raise ValueError(f"binarize must be one of {', '.join(get_args(Binarize))}; got {binarize!r}")
        self.binarize = binarize
        self.unit = self._units[binarize]

    def target(self, image: Tensor) -> Tensor:
        if self.binarize == "none":
            return (image + 1) / 2
        if self.binarize == "threshold":
            return (image > 0).to(image.dtype)
        return torch.empty_like(image).uniform_(-1, 1).lt_(image)  # in place: half the time of bernoulli

    def as_image(self, target: Tensor) -> Tensor:
        return target.mul(2).sub_(1)

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        logits = params.squeeze(-4)
        if not torch.is_grad_enabled():
            return _log_prob(logits, target)
        nats = F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
        return -nats.flatten(-3).sum(-1)

    def mean(self, params: Tensor) -> Tensor:
        return torch.tanh(params.squeeze(-4) / 2)  # = 2 sigmoid(logit) - 1

    def sample(self, params: Tensor) -> Tensor:
        return 2 * torch.bernoulli(params.squeeze(-4).sigmoid()) - 1

    def initial_params(self, mean: Tensor) -> Tensor:
        """Log-odds of the mean clipped to [.001, .999]: `[C, H, W]` to `[1, C, H, W]`.

        The best constant prediction under `sample` and `none`, close to it under `threshold`.
        """
        return ((mean + 1) / 2).clamp(0.001, 0.999).logit().unsqueeze(0)

    def bits_per_dim(self, nats: Tensor, num_values: int) -> Tensor | None:
        return None


FACTORS = 112
"""Each at least 1/2: their product stays above the smallest normal number of single precision, 2^-126."""


def _log_prob(logits: Tensor, target: Tensor) -> Tensor:
    """The same in half the time, where nobody asks for gradients: importance sampling, validation.

    log p = sum x l - max(l, 0) + log sigmoid(|l|), with one logarithm for a product of many sigmoids.
    """
    room = logits.clamp(min=0).addcmul_(target, logits, value=-1)  # [..., C, H, W], nothing below 0
    linear = room.flatten(-3).sum(-1)
    sigmoids = torch.abs(logits, out=room).sigmoid_().flatten(-3)  # a second buffer would leave the cache
    values = sigmoids.shape[-1]
    together = next(size for size in range(FACTORS, 0, -1) if values % size == 0)
    return sigmoids.unflatten(-1, (-1, together)).prod(-1).log_().sum(-1).sub_(linear)
