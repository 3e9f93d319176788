"""Series as points of a plane: principal components, and t-SNE.

Letters in shapes: N real series, M samples, T steps, D columns.
"""

import torch
from torch import Tensor

_PERPLEXITY = 40
"""TimeGAN's; less where there are few series."""


def profiles(series: Tensor) -> Tensor:
    """Maps series `[N, T, D]` to their mean over columns `[N, T]`, what TimeGAN's pictures are made of."""
    return series.detach().cpu().double().mean(2)


def pca(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The first two principal components of the real ones, `[N, 2]`, and where samples lie on them, `[M, 2]`.

    Args:
        real: `[N, F]`, at least two.
        fake: `[M, F]`, F at least 2.
    """
    mean = real.mean(0)
    axes = torch.linalg.svd(real - mean, full_matrices=False).Vh[:2]  # [2, F]
    # an axis points where its largest part is positive: without this its direction is an accident
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    axes = axes * largest.sign()
    return (real - mean) @ axes.T, (fake - mean) @ axes.T


def tsne(real: Tensor, fake: Tensor, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """t-SNE (van der Maaten & Hinton 2008) of both together: `[N, 2]` and `[M, 2]`; neighbours stay neighbours.

    Args:
        real: `[N, F]`.
        fake: `[M, F]`, at least 5 with the real ones.
        seed: of its random numbers; the global ones are left alone.
    """
    from sklearn.manifold import TSNE  # a second that a training without this picture need not wait

    both = torch.cat([real, fake]).numpy()
    perplexity = min(_PERPLEXITY, (len(both) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(both)
    plane = torch.from_numpy(places).double()
    return plane[: len(real)], plane[len(real) :]
