"""A mixture of normal distributions for the next step (Bishop 1994; after a recurrent network: Graves 2013).

Letters in shapes: K components, D values of a step, P parameters of a step; `...` is any number of leading
dimensions.
"""

import torch
from torch import Tensor

from genlab.objectives.gaussians import log_normal
from genlab.objectives.outputs import Output, choose, log_scale, wanted


class MixtureDensity(Output):
    """K normal distributions with diagonal covariances (arXiv:1308.0850, sec. 4.1, without correlations).

    p(x) = sum_k pi_k prod_d N(x_d; mean_kd, sigma_kd).
    """

    unit = "nats per step, density of scaled values"

    def __init__(
        self,
        components: int = 10,
        log_scale_floor: float = -5.0,
        *,
        vocab_size: int | None = None,
        num_features: int | None = None,
    ):
        """Takes the number of values.

        Args:
            components: K, at least 1.
            log_scale_floor: what the logarithm of a sigma stays above, in the units of the scaled data.
            vocab_size: None.
            num_features: D.

        Raises:
            ValueError: if there is no component, or the data are tokens.
        """
        super().__init__()
        if components < 1:
            raise ValueError(f"components must be at least 1, got {components}")
        self.num_features = wanted(num_features, "mixture_density")
        self.components, self.log_scale_floor = components, log_scale_floor
        self.params_per_step = components * (1 + 2 * self.num_features)
        self.noise_per_step = 1 + self.num_features

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        logits, mean, log_sigma = self._split(params)
        each = log_normal(target[..., None, :], mean, 2 * log_sigma).sum(-1)  # [..., K]
        return (logits.log_softmax(-1) + each).logsumexp(-1)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        logits, mean, log_sigma = self._split(params)
        row, component = torch.arange(len(params), device=params.device), choose(logits, noise[:, 0])
        sigma = log_sigma[row, component].exp()
        return mean[row, component] + sigma * torch.special.ndtri(noise[:, 1:])

    def likeliest(self, params: Tensor) -> Tensor:
        logits, mean, _ = self._split(params)
        return mean[torch.arange(len(params), device=params.device), logits.argmax(-1)]

    def initial_params(self) -> Tensor:
        """Means spread over [-1, 1], each sigma 0.6 (of a single one 1): components that begin alike stay so."""
        mean = torch.linspace(-1, 1, self.components) if self.components > 1 else torch.zeros(1)
        raw = torch.full((self.components, self.num_features), -0.5 if self.components > 1 else 0.0)
        means = mean[:, None].expand(-1, self.num_features)
        return torch.cat([torch.zeros(self.components), means.flatten(), raw.flatten()])

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits `[..., K]`, means and log sigmas `[..., K, D]`."""
        size = self.components * self.num_features
        logits, mean, raw = params.split([self.components, size, size], dim=-1)
        shape = (self.components, self.num_features)
        return logits, mean.unflatten(-1, shape), log_scale(raw.unflatten(-1, shape), self.log_scale_floor)
