"""Small VQ-VAEs on 4x4 images with grids of 2x2 codes, and a Trainer for them."""

import itertools
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gan_stubs import SHAPE
from gan_stubs import callbacks as gan_callbacks
from torch import Tensor

from callback_stubs import Checkpoints, Kill, Killed, quiet_trainer, run  # isort: skip

from genlab.models.vqvae import VQVAE
from genlab.networks.dcgan_maps import DCGANMapDecoder, DCGANMapEncoder
from genlab.networks.ema_quantizer import EMAQuantizer
from genlab.networks.pixelcnn import GatedPixelCNN
from genlab.objectives.likelihoods import Bernoulli
from genlab.schedules import Constant

__all__ = ["Kill", "Killed", "all_grids", "fit", "trained", "vqvae"]


def vqvae(**changes: Any) -> VQVAE:
    """A VQ-VAE with three codes of two features."""
    torch.manual_seed(0)
    parts: dict[str, Any] = {
        "encoder": partial(DCGANMapEncoder, SHAPE, 4, "group"),
        "decoder": partial(DCGANMapDecoder, SHAPE, 4, "group"),
        "quantizer": partial(EMAQuantizer, revive_after=3),
        "prior": partial(GatedPixelCNN, 4, 2),
        "likelihood": Bernoulli(),
        "optimizer": partial(torch.optim.Adam, lr=0.01),
        "scheduler": Constant(),
        "prior_optimizer": partial(torch.optim.SGD, lr=0.1),
        "prior_scheduler": Constant(),
        "image_shape": SHAPE,
        "num_codes": 3,
        "code_dim": 2,
        "downsampling": 2,
    }
    return VQVAE(**{**parts, **changes})


def fit(
    folder: Path, model: VQVAE, *more: Any, resume: bool = False, every: int | None = None, **settings: Any
) -> Any:
    """Trains a model, watched by val/loss; 7 batches an epoch, 3 epochs unless told otherwise."""
    keeper = Checkpoints(every_n_steps=every)
    callbacks = [c for c in gan_callbacks() if not isinstance(c, Checkpoints)]
    trainer = quiet_trainer(folder, [*callbacks, keeper, *more], **settings)
    run(trainer, model, resume=resume)  # type: ignore[arg-type]
    return trainer


def all_grids(model: VQVAE) -> Tensor:
    """All N^(h w) grids of codes."""
    height, width = model.encoder.grid
    grids = itertools.product(range(model.num_codes), repeat=height * width)
    return torch.tensor(list(grids)).view(-1, height, width)


def trained(**changes: Any) -> VQVAE:
    """One whose prior and codes are no longer uniform."""
    model = vqvae(**changes)
    with torch.no_grad():
        for parameter in model.prior.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
        for parameter in model.decoder.parameters():
            parameter.add_(torch.randn_like(parameter))
    return model.eval()
