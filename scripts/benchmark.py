"""How fast genlab trains beside the plainest code that does the same, measured side by side.

    python scripts/benchmark.py --quick          # about a minute
    python scripts/benchmark.py --json FILE      # more repeats, numbers into a file

Every comparison alternates its two sides in one process and reports medians, of the ratio over neighbouring
pairs: machines are noisy, such ratios less so. A ratio is bare time / our time, so 1 means that genlab costs nothing.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from pytorch_lightning import Callback
from torch.utils.data import Dataset

from genlab import assembly
from genlab.config import compose
from genlab.run_folder import git_commit
from genlab.tables import table

BATCH = 128
IMAGES = 60_000
Seconds = float


class RandomImages(Dataset):
    """As many 28x28 images as MNIST has, of random pixels: speed does not depend on what they show."""

    def __init__(self, root: str, train: bool = True, download: bool = False) -> None:
        generator = torch.Generator().manual_seed(0)
        n = IMAGES if train else 1000
        self.data = torch.randint(0, 256, (n, 28, 28), dtype=torch.uint8, generator=generator)
        self.targets = torch.randint(0, 10, (n,), generator=generator)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[object, int]:
        from torchvision.transforms.functional import to_pil_image

        return to_pil_image(self.data[index]), int(self.targets[index])


class Clock(Callback):
    """Seconds per step between two steps of a fit."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if batch_idx in (self.first, self.last) and torch.cuda.is_available():
            torch.cuda.synchronize()
        if batch_idx == self.first:
            self.began = time.perf_counter()
        if batch_idx == self.last:
            self.seconds_per_step = (time.perf_counter() - self.began) / (self.last - self.first)


def settings(network: str) -> list[str]:
    return [
        "data=mnist",
        "data.train._target_=benchmark.RandomImages",
        "data.test._target_=benchmark.RandomImages",
        f"data.batch_size={BATCH}",
        f"model/network={network}",
        "model.latent_dim=20",
        "trainer=cpu" if not torch.cuda.is_available() else "trainer=gpu",
        "trainer.limit_val_batches=0",
        "callbacks.progress.every_seconds=1000.0",
    ]


def through_trainer(network: str, warm: int, steps: int) -> Seconds:
    """Seconds per step of a run as users start it: default callbacks, TensorBoard and csv."""
    with tempfile.TemporaryDirectory() as folder:
        cfg = compose([*settings(network), f"trainer.max_steps={warm + steps + 1}"])
        assembly.hush()
        parts = assembly.assemble(cfg, Path(folder))
        clock = Clock(warm, warm + steps)
        parts.trainer.callbacks.append(clock)
        assembly.fit(parts, None)
        return clock.seconds_per_step


def bare(network: str, warm: int, steps: int) -> Seconds:
    """Seconds per step of a loop in plain PyTorch: same networks, optimizer, batch size and images."""
    with tempfile.TemporaryDirectory() as folder:
        parts = assembly.assemble(compose(settings(network)), Path(folder))
    device = parts.trainer.strategy.root_device
    encoder, decoder = parts.model.encoder.to(device), parts.model.decoder.to(device)
    bias = parts.model.output.bias.detach().to(device).requires_grad_()
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), bias], lr=1e-3, fused=True)
    encoder.train(), decoder.train()
    images = RandomImages("").data[:, None]
    order = torch.randperm(len(images))
    for step in range(warm + steps + 1):
        if step == warm + 1:
            began = time.perf_counter()
        x = images[order[step * BATCH : (step + 1) * BATCH]].to(device).float() / 127.5 - 1
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
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps


def our_batches() -> Iterator[torch.Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        cfg = compose(settings("mlp"))
        datamodule = assembly.read_data(cfg, Path(folder))
    for batch in datamodule.train_dataloader():
        yield datamodule.on_after_batch_transfer(batch, 0).image


def torchvision_batches() -> Iterator[torch.Tensor]:
    from torchvision.transforms import ToTensor

    class Decoded(Dataset):
        images = RandomImages("")

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int):
            image, label = self.images[index]
            return ToTensor()(image), label

    for image, _ in torch.utils.data.DataLoader(Decoded(), batch_size=BATCH, shuffle=True, drop_last=True):
        yield image


def with_data(batches: Callable[[], Iterator[torch.Tensor]], warm: int, steps: int) -> Seconds:
    """Seconds per step of the bare MLP VAE loop fed by a data path."""
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, 400), torch.nn.ReLU(), torch.nn.Linear(400, 40)
    )
    out = torch.nn.Sequential(torch.nn.Linear(20, 400), torch.nn.ReLU(), torch.nn.Linear(400, 784))
    optimizer = torch.optim.Adam([*net.parameters(), *out.parameters()], fused=True)
    source = batches()
    for step in range(warm + steps + 1):
        if step == warm + 1:
            began = time.perf_counter()
        x = next(source)
        mean, log_var = net(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        target = x.flatten(1).clamp(0, 1)
        nats = F.binary_cross_entropy_with_logits(out(z), target, reduction="sum")
        loss = (nats - 0.5 * torch.sum(1 + log_var - mean.square() - log_var.exp())) / BATCH
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - began) / steps


def compare(ours: Callable[[], Seconds], other: Callable[[], Seconds], repeats: int) -> dict[str, float]:
    """Medians of both sides, and the median over neighbouring pairs of how many times the other's speed ours is.

    Which side comes first alternates, so that a machine that slows down favours neither.
    """
    pairs = []
    for repeat in range(repeats):
        if repeat % 2:
            mine, theirs = ours(), other()
        else:
            theirs, mine = other(), ours()
        pairs.append((mine, theirs))
    our_ms, other_ms = (1e3 * statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    return {"ours_ms": our_ms, "other_ms": other_ms, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few repeats: about a minute")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--only", help="comparisons whose name contains this")
    options = parser.parse_args()
    assembly.hush()
    repeats, scale = (3, 1) if options.quick else (9, 2)
    comparisons = {
        "MLP VAE: Trainer / bare loop": (
            lambda: through_trainer("mlp", 50, 180 * scale), lambda: bare("mlp", 50, 180 * scale), 0.88,
        ),
        "conv VAE: Trainer / bare loop": (
            lambda: through_trainer("dcgan", 5, 25 * scale), lambda: bare("dcgan", 5, 25 * scale), 0.97,
        ),
        "MLP VAE: ours / torchvision + ToTensor + DataLoader": (
            lambda: with_data(our_batches, 20, 200), lambda: with_data(torchvision_batches, 20, 200), 1.7,
        ),
    }  # fmt: skip
    results = {}
    for name, (ours, other, reach) in comparisons.items():
        if not options.only or options.only in name:
            results[name] = compare(ours, other, repeats) | {"reach": reach}
    rows = [[name, r["ours_ms"], r["other_ms"], r["ratio"], r["reach"]] for name, r in results.items()]
    print(table(rows, ["", "ours ms/step", "other ms/step", "speed ratio", "to reach"]))
    machine = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "platform": platform.platform(),
    }
    print(
        f"batch {BATCH}, medians of {repeats} alternated repeats, {machine['threads']} threads, torch {machine['torch']}"
    )
    if options.json:
        about = {"commit": git_commit(Path(__file__).parent), "command": sys.argv}
        options.json.write_text(
            json.dumps({**about, "machine": machine, "repeats": repeats, "results": results}, indent=2)
        )


if __name__ == "__main__":
    main()
