"""Gray levels as classes: any distribution over them, at the price of a number for each.

Letters in shapes: P parameters per value, one for each level, C channels, H height, W width; `...` is any
number of leading dimensions.
"""

import torch
from torch import Tensor

from genlab.objectives.bisection import solve
from genlab.objectives.likelihood import LEVELS_PER_UNIT, Likelihood, bits_of


class Categorical(Likelihood):
    """Each value is one of `levels` gray levels, with a logit for each (van den Oord et al. 2016, sec. 2).

    A batch of 128 gray images 28x28 takes 103 MB of logits at 256 levels, and as much again for each gradient.
    """

    values: Tensor

    def __init__(self, levels: int = 256):
        """Sets the levels.

        Args:
            levels: 2, 4, 8, ... or 256; fewer than 256 put neighbouring levels of 8 bits together.

        Raises:
            ValueError: if it is none of these.
        """
        super().__init__()
        if levels not in (allowed := [2**bits for bits in range(1, 9)]):
            raise ValueError(f"levels must be one of {', '.join(map(str, allowed))}; got {levels}")
        self.params_per_value = self.levels = levels
        self.unit = f"nats, {'8-bit gray levels' if levels == 256 else f'gray in {levels} levels'}"
        each = 256 // levels  # each level stands for so many of 8 bits, and looks like their mean
        values = (torch.arange(levels) * each + (each - 1) / 2) / LEVELS_PER_UNIT - 1
        self.register_buffer("values", values, persistent=False)

    def target(self, image: Tensor) -> Tensor:
        """The number of the level, 0 to `levels` - 1, as a float."""
        level = image.add(1).mul_(LEVELS_PER_UNIT).round_().clamp_(0, 255)
        return level.div_(256 // self.levels).floor_()

    def as_image(self, target: Tensor) -> Tensor:
        return self.values.to(target.dtype)[target.long()]

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        level = target.long().unsqueeze(-4).expand(*params.shape[:-4], 1, *params.shape[-3:])
        chosen = params.gather(-4, level).squeeze(-4)
        # unlike log_softmax it keeps no second copy of all logits for the way back
        return (chosen - params.logsumexp(-4)).flatten(-3).sum(-1)

    def mean(self, params: Tensor) -> Tensor:
        return (params.softmax(-4) * self._column(params)).sum(-4)

    def sample(self, params: Tensor) -> Tensor:
        race = params - torch.empty_like(params).exponential_().log()
        return self.values.to(params.dtype)[race.argmax(-4)]

    def initial_params(self, mean: Tensor) -> Tensor:
        """Logits that rise evenly with the level, as steeply as the mean wants: `[C, H, W]` to `[P, C, H, W]`.

        Of all distributions with this mean the one of largest entropy, so the best constant prediction by
        one who knows nothing but the mean: no data with that mean has a higher cost than any other.
        """
        column = self._column(mean.double())
        low, high = float(self.values[0]), float(self.values[-1])
        reachable = mean.clamp(0.998 * low, 0.998 * high)
        slope = solve(lambda s: ((s * column).softmax(0) * column).sum(0), reachable, low=-1e4, high=1e4)
        return slope * self._column(mean)

    def bits_per_dim(self, nats: Tensor, num_values: int) -> Tensor | None:
        return bits_of(nats, num_values) if self.levels == 256 else None

    def _column(self, like: Tensor) -> Tensor:
        """The gray of each level, `[P, 1, 1, 1]`."""
        return self.values.to(like).view(-1, 1, 1, 1)
