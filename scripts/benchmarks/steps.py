"""A training step through the Trainer, with everything a run has, beside a loop in plain PyTorch."""

import io
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import torch
import torch.nn.functional as F
from pytorch_lightning import Callback

from benchmarks import pairs
from benchmarks.bare_loop import milliseconds
from benchmarks.clocks import wait
from benchmarks.images import BATCH, settings
from benchmarks.measure import Row, compare
from genlab import assembly
from genlab.config import compose

Milliseconds = float


def rows(quick: bool) -> list[Row]:
    repeats, scale = (3, 1) if quick else (15, 2)
    networks = (("MLP", "mlp", 50, 180 * scale, 0.94), ("conv", "dcgan", 5, 25 * scale, 0.97))
    variational = [
        compare(
            f"{name} VAE: Trainer / bare loop",
            "ms/step",
            ours=lambda n=network, w=warm, s=steps: through_trainer(n, w, s),
            other=lambda n=network, w=warm, s=steps: bare(n, w, s),
            repeats=repeats,
            reach=reach,
        )
        for name, network, warm, steps, reach in networks
    ]
    adversarial = compare(
        "DCGAN, two optimizers, batches of 64: Trainer / bare loop",
        "ms/step",
        ours=lambda: through_trainer("dcgan", 5, 25 * scale, pairs.SETTINGS),
        other=lambda: pairs.bare(5, 25 * scale),
        repeats=repeats,
        reach=0.95,
    )
    return [*variational, adversarial]


class Clock(Callback):
    """Time per step between two steps of an epoch."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if batch_idx in (self.first, self.last):
            wait(pl_module.device)
        if batch_idx == self.first:
            self.began = time.perf_counter()
        if batch_idx == self.last:
            self.milliseconds = 1e3 * (time.perf_counter() - self.began) / (self.last - self.first)


def through_trainer(network: str, warm: int, steps: int, overrides: Sequence[str] = ()) -> Milliseconds:
    """A step of a run as users start it, with the default callbacks, pictures, TensorBoard and csv.

    Validation, and with it the drawing of pictures, is left out: it comes once an epoch, not with a step.
    """
    assembly.hush()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        cfg = compose([*settings(network), f"trainer.max_steps={warm + steps + 1}", *overrides])
        parts = assembly.assemble(cfg, Path(folder))
        clock = Clock(warm, warm + steps)
        parts.trainer.callbacks.append(clock)
        assembly.fit(parts, None)
        return clock.milliseconds


def bare(network: str, warm: int, steps: int) -> Milliseconds:
    """A step of a loop in plain PyTorch: same networks, optimizer, batch size and images."""
    assembly.hush()
    with tempfile.TemporaryDirectory() as folder:
        parts = assembly.assemble(compose(settings(network)), Path(folder))
    device = parts.trainer.strategy.root_device
    encoder, decoder = parts.model.encoder.to(device).train(), parts.model.decoder.to(device).train()
    bias = parts.model.output.bias.detach().to(device).requires_grad_()
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), bias], lr=1e-3, fused=True)

    def step(x: torch.Tensor) -> None:
        target = (torch.rand_like(x) * 2 - 1 < x).float()
        mean, log_var = encoder(2 * target - 1).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        logits = (decoder(z) + bias)[:, 0]
        nats = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_var - mean.square() - log_var.exp())
        loss = (nats + kl) / BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return milliseconds(step, device, batch_size=BATCH, warm=warm, steps=steps)
