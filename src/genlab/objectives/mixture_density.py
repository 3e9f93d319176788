"""A mixture of normal distributions for the next step (Bishop 1994; after a recurrent network: Graves 2013).

Letters in shapes: K components, D values of a step, P parameters of a step; `...` is any number of leading
dimensions.
"""

import torch
from torch import Tensor

from genlab.objectives.gaussians import log_normal
from genlab.objectives.outputs import Output, choose, log_scale, wanted


class MixtureDensity(Output):
    """K normal distributions with diagonal covariances (arXiv:1308.0850, sec. 4.1), or full ones.

    p(x) = sum_k pi_k prod_d N(x_d; mean_kd + sum_{j<d} slope_kdj (x_j - mean_kj), sigma_kd): without correlations
    every slope is 0, with them any covariance L L^T can be written so: I - slope is diag(sigma) L^-1.
    """

    unit = "nats per step, density of scaled values"
    below: Tensor | None

    def __init__(
        self,
        components: int = 10,
        log_scale_floor: float = -5.0,
        correlated: bool = False,
        *,
        vocab_size: int | None = None,
        num_features: int | None = None,
    ):
        """Takes the number of values.

        Args:
            components: K, at least 1.
            log_scale_floor: what the logarithm of a sigma stays above, in the units of the scaled data.
            correlated: whether the values of a step depend on each other within a component.
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
        below = torch.tril_indices(self.num_features, self.num_features, -1) if correlated else None
        self.register_buffer("below", below, persistent=False)
        self.slopes = 0 if below is None else below.shape[1]  # of a component
        self.params_per_step = components * (1 + 2 * self.num_features + self.slopes)
        self.noise_per_step = 1 + self.num_features

    def log_prob(self, params: Tensor, target: Tensor) -> Tensor:
        logits, mean, log_sigma, slope = self._split(params)
        gap = target[..., None, :] - mean  # [..., K, D]
        if slope is not None:
            gap = gap - (slope * gap[..., None, :]).sum(
                -1
            )  # no product of matrices: mixed precision would halve it
        each = log_normal(gap, torch.zeros_like(gap), 2 * log_sigma).sum(-1)  # [..., K]
        return (logits.log_softmax(-1) + each).logsumexp(-1)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        logits, mean, log_sigma, slope = self._split(params)
        chosen = torch.arange(len(params), device=params.device), choose(logits, noise[:, 0])
        gap = log_sigma[chosen].exp() * torch.special.ndtri(noise[:, 1:])  # [B, D]
        if slope is not None:
            factor = torch.eye(self.num_features, dtype=gap.dtype, device=gap.device) - slope[chosen]
            gap = torch.linalg.solve_triangular(factor, gap[..., None], upper=False).squeeze(-1)
        return mean[chosen] + gap

    def likeliest(self, params: Tensor) -> Tensor:
        logits, mean, *_ = self._split(params)
        return mean[torch.arange(len(params), device=params.device), logits.argmax(-1)]

    def initial_params(self) -> Tensor:
        """Means spread over [-1, 1], each sigma 0.6 (of a single one 1), no slope: components that begin alike stay so."""
        mean = torch.linspace(-1, 1, self.components) if self.components > 1 else torch.zeros(1)
        raw = torch.full((self.components, self.num_features), -0.5 if self.components > 1 else 0.0)
        means = mean[:, None].expand(-1, self.num_features)
        slopes = torch.zeros(self.components * self.slopes)
        return torch.cat([torch.zeros(self.components), means.flatten(), raw.flatten(), slopes])

    def _split(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Logits `[..., K]`, means and log sigmas `[..., K, D]`, slopes `[..., K, D, D]` of columns on those before."""
        size = self.components * self.num_features
        logits, mean, raw, told = params.split(
            [self.components, size, size, self.components * self.slopes], dim=-1
        )
        shape = (self.components, self.num_features)
        log_sigma = log_scale(raw.unflatten(-1, shape), self.log_scale_floor)
        if self.below is None:
            return logits, mean.unflatten(-1, shape), log_sigma, None
        slope = told.new_zeros(*told.shape[:-1], *shape, self.num_features)
        slope[..., self.below[0], self.below[1]] = told.unflatten(-1, (self.components, self.slopes))
        return logits, mean.unflatten(-1, shape), log_sigma, slope
