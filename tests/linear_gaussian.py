"""A VAE of which all is known: x = W z + noise, whose encoder is the true posterior, or beside it by a shift."""

import torch
from torch import Tensor

from genlab.contracts import Decoder, Encoder, ImageBatch
from genlab.models.vae import VAE
from genlab.objectives.bounds import ELBO
from genlab.objectives.likelihoods import Gaussian
from genlab.schedules import Constant

SHAPE = [1, 2, 2]
SIGMA = 0.5
# orthogonal columns, so that the true posterior of the linear-Gaussian model is diagonal
W = torch.tensor([[0.6, 0.0], [0.0, 0.4], [0.8, 0.0], [0.0, -0.3]], dtype=torch.float64)


class LinearDecoder(Decoder):
    """x = W z, as `[B, 1, 1, 2, 2]`."""

    def forward(self, z: Tensor) -> Tensor:
        return (z @ W.to(z).T).view(-1, 1, *SHAPE)


class PosteriorEncoder(Encoder):
    """The true posterior of z, its mean shifted by `error`: precision I + W'W / sigma^2."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def forward(self, image: Tensor) -> Tensor:
        precision = 1 + W.square().sum(0) / SIGMA**2
        mean = (image.flatten(1).double() @ W) / SIGMA**2 / precision
        return torch.cat([mean + self.error, (-precision.log()).expand_as(mean)], dim=1)


def linear_gaussian(error: float = 0.0) -> VAE:
    return VAE(
        encoder=lambda out_features: PosteriorEncoder(error),
        decoder=lambda latent_dim, params_per_value: LinearDecoder(),
        likelihood=Gaussian(scale=SIGMA, dequantize=False),
        loss=ELBO(),
        optimizer=torch.optim.Adam,
        scheduler=Constant(),
        image_shape=SHAPE,
        latent_dim=2,
    ).double()


def exact_log_prob(image: Tensor) -> Tensor:
    """log N(x; 0, W W' + sigma^2 I), the density that the linear-Gaussian model has."""
    covariance = W @ W.T + SIGMA**2 * torch.eye(4, dtype=torch.float64)
    return torch.distributions.MultivariateNormal(torch.zeros(4).double(), covariance).log_prob(
        image.flatten(1)
    )


def drawn(n: int) -> ImageBatch:
    """n images of the model itself."""
    z = torch.randn(n, 2, dtype=torch.float64)
    image = z @ W.T + SIGMA * torch.randn(n, 4, dtype=torch.float64)
    return ImageBatch(image.view(n, *SHAPE), torch.zeros(n, dtype=torch.int64))
