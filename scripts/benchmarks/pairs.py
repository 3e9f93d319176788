"""A step of an adversarial pair in plain PyTorch: the discriminator's update, then the generator's."""

import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.bare_loop import milliseconds
from benchmarks.images import settings
from genlab import assembly
from genlab.config import compose

BATCH = 64
SETTINGS = ["model=gan", "model.latent_dim=64", f"data.batch_size={BATCH}"]
"""What makes a run of `benchmarks.images.settings` one of a DCGAN."""


def bare(warm: int, steps: int) -> float:
    """Milliseconds of a step: same networks, optimizers, batch size and images, fresh noise for each update.

    The discriminator's weights are left out of the generator's backward pass, as in ours; nothing is logged.
    """
    assembly.hush()
    with tempfile.TemporaryDirectory() as folder:
        parts = assembly.assemble(compose([*settings("dcgan"), *SETTINGS]), Path(folder))
    device = parts.trainer.strategy.root_device
    generator = parts.model.generator.to(device).train()
    features, head = parts.model.discriminator, parts.model.conditioning.for_discriminator
    discriminator = torch.nn.Sequential(features, head).to(device).train()
    of_g, of_d = (
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
        for network in (generator, discriminator)
    )

    def step(real: torch.Tensor) -> None:
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, 64, device=device))
        d_loss = F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()
        of_d.zero_grad()
        d_loss.backward()
        of_d.step()
        discriminator.requires_grad_(False)
        g_loss = F.softplus(-discriminator(generator(torch.randn(BATCH, 64, device=device)))).mean()
        of_g.zero_grad()
        g_loss.backward()
        of_g.step()
        discriminator.requires_grad_(True)

    return milliseconds(step, device, batch_size=BATCH, warm=warm, steps=steps)
