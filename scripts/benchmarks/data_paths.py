"""How batches come: ours beside torch's DataLoader, over pictures and over tensors that are ready."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks.images import BATCH, RandomImages, settings
from benchmarks.measure import Row, compare
from genlab import assembly
from genlab.config import compose
from genlab.data.pixels import to_signed

Batches = Callable[[], Iterator[torch.Tensor]]
Milliseconds = float


def rows(quick: bool) -> list[Row]:
    repeats, steps = (3, 200) if quick else (9, 300)
    training = compare(
        "training an MLP VAE: ours / torchvision + ToTensor + DataLoader",
        "ms/step",
        ours=lambda: with_data(our_batches, 20, steps),
        other=lambda: with_data(torchvision_batches, 20, steps),
        repeats=repeats,
        reach=1.7,
    )
    loading = [
        compare(
            f"batches alone: ours / DataLoader over ready tensors, {workers} workers",
            "ms/batch",
            ours=lambda: loaded(our_batches, 20, steps),
            other=lambda w=workers: loaded(lambda: ready_batches(w), 20, steps),
            repeats=repeats,
        )
        for workers in (0, 2)
    ]
    return [training, *loading]


def our_batches() -> Iterator[torch.Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        datamodule = assembly.read_data(compose(settings("mlp")), Path(folder))
    for batch in datamodule.train_dataloader():
        yield datamodule.on_after_batch_transfer(batch, 0).image


class Decoded(Dataset):
    """Pictures made tensors one at a time, as torchvision's examples do."""

    def __init__(self) -> None:
        self.images = RandomImages("")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from torchvision.transforms import ToTensor

        image, label = self.images[index]
        return ToTensor()(image), label


def torchvision_batches() -> Iterator[torch.Tensor]:
    for image, _ in DataLoader(Decoded(), batch_size=BATCH, shuffle=True, drop_last=True):
        yield image


def ready_batches(workers: int) -> Iterator[torch.Tensor]:
    """From the same uint8 tensors that ours holds in memory, nothing decoded."""
    images = RandomImages("")
    ready = TensorDataset(images.data[:, None], images.targets)
    loader = DataLoader(ready, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=workers)
    for image, _ in loader:
        yield to_signed(image)


def loaded(batches: Batches, warm: int, steps: int) -> Milliseconds:
    """Time per batch when nothing is done with it."""
    source = batches()
    for _ in range(warm):
        next(source)
    began = time.perf_counter()
    for _ in range(steps):
        next(source)
    return 1e3 * (time.perf_counter() - began) / steps


def with_data(batches: Batches, warm: int, steps: int) -> Milliseconds:
    """Time per step of a bare MLP VAE loop fed by a data path."""
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(784, 400), torch.nn.ReLU(), torch.nn.Linear(400, 40)
    )
    out = torch.nn.Sequential(torch.nn.Linear(20, 400), torch.nn.ReLU(), torch.nn.Linear(400, 784))
    optimizer = torch.optim.Adam([*net.parameters(), *out.parameters()], fused=True)
    source = batches()
    for step in range(warm + steps):
        if step == warm:
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
    return 1e3 * (time.perf_counter() - began) / steps
