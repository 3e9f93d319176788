"""What a vector-quantised autoencoder minimises, and how its codes are counted (van den Oord 2017, arXiv:1711.00937).

Letters in shapes: B batch, N codes of a codebook, V features of a code, h and w the sides of the grid of codes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def straight_through(features: Tensor, vectors: Tensor) -> Tensor:
    """The vectors, whose gradient goes to the features as if nothing had been quantised (sec. 3.2).

    Args:
        features: `[B, V, h, w]`.
        vectors: of their codes, the same shape.
    """
    return features + (vectors - features).detach()


def commitment(features: Tensor, vectors: Tensor) -> Tensor:
    """Squared distance of the features from their codes, which alone get its gradient (eq. 3, third term).

    Args:
        features: `[B, V, h, w]`.
        vectors: of their codes, the same shape.

    Returns:
        `[B]`, summed over features and places.
    """
    return (features - vectors.detach()).square().flatten(1).sum(1)


def code_nll(logits: Tensor, codes: Tensor) -> Tensor:
    """Minus the log probability of grids of codes under a prior, in nats.

    Args:
        logits: `[B, N, h, w]`, of each code given the codes before it.
        codes: `[B, h, w]`.

    Returns:
        `[B]`, summed over places.
    """
    return F.cross_entropy(logits, codes, reduction="none").flatten(1).sum(1)


def usage(codes: Tensor, num_codes: int) -> Tensor:
    """How often each code was taken: whole numbers of any shape to `[N]` float."""
    taken = codes.flatten()
    none = torch.zeros(num_codes, dtype=torch.int64, device=codes.device)
    return none.scatter_add_(0, taken, torch.ones_like(taken)).float()  # bincount would wait for a GPU


def perplexity(counts: Tensor) -> Tensor:
    """The exponential of the entropy of a usage `[N]`: N where all codes are taken alike, 1 where one is."""
    return torch.special.entr(counts / counts.sum()).sum().exp()
