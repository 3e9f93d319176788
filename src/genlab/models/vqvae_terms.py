"""What a vector-quantised autoencoder makes of a batch, and what is told of it.

Letters in shapes: B batch, N codes of a codebook, h and w the sides of the grid of codes.
"""

from typing import NamedTuple

from torch import Tensor

from genlab.objectives.codes import perplexity, usage


class Seen(NamedTuple):
    """What the autoencoder makes of a batch.

    Attributes:
        log_px: `[B]`, log p(x|z) at the image's codes z, nats.
        commitment: `[B]`, squared distance of the features from their codes.
        codes: `[B, h, w]`.
    """

    log_px: Tensor
    commitment: Tensor
    codes: Tensor


def numbers(seen: Seen, objective: Tensor, num_codes: int) -> dict[str, Tensor]:
    """What is told of a batch, out of the graph."""
    counts = usage(seen.codes, num_codes)
    return {
        "objective": objective.detach(),
        "reconstruction": -seen.log_px.detach().mean(),
        "commitment": seen.commitment.detach().mean(),
        "perplexity": perplexity(counts),
        "used_codes": (counts > 0).sum().float(),
    }
