"""Our side of what `train.py` does not do, in a process of its own as the other side is.

    python -m benchmarks.our_child nll FOLDER K IMAGES
    python -m benchmarks.our_child bare FOLDER EPOCHS

As `benchmarks.pythae_child`: FOLDER holds what both sides are given, the answer is put there as answer.json.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.clocks import wait
from benchmarks.plain_vae import BATCH, networks

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def nll(folder: Path, k: str, images: str) -> dict[str, float]:
    """The metric, as `evaluate.py` calls it, on images that are black and white already."""
    from genlab import assembly
    from genlab.config import compose
    from genlab.contracts import ImageBatch
    from genlab.metrics.nll import NLL

    assembly.hush()
    overrides = json.loads((folder / "overrides.json").read_text())
    with tempfile.TemporaryDirectory() as place:
        model = assembly.assemble(compose(overrides), Path(place)).model.to(DEVICE).eval()
    model.load_state_dict(torch.load(folder / "weights.pt"))
    x = 2.0 * (torch.load(folder / "images.pt")["test"] > 127) - 1
    batch = ImageBatch(x, torch.zeros(len(x), dtype=torch.int64))
    metric = NLL(k=int(k), n=None)
    metric.check(model)
    metric.compute(model, ImageBatch(*(part[:2] for part in batch)))  # the first is slower than all others
    began = time.perf_counter()
    verdict = metric.compute(model, ImageBatch(*(part[: int(images)] for part in batch)))
    return {"seconds": time.perf_counter() - began, "nats": verdict.numbers["nll"].value}


def bare(folder: Path, epochs: str) -> dict[str, Any]:
    """A loop in plain PyTorch that does nothing but train: how fast a library can be at most."""
    encoder, decoder = (part.to(DEVICE) for part in networks(torch.load(folder / "weights.pt")))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
    images = torch.load(folder / "images.pt")["train"]
    began, trained = [], []
    for _ in range(int(epochs)):
        began.append(time.perf_counter())
        for rows in torch.randperm(len(images)).split(BATCH):
            x = images.index_select(0, rows).to(DEVICE).flatten(1).float() / 255
            mean, log_var = encoder(x).chunk(2, dim=1)
            z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
            nats = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
            kl = -0.5 * torch.sum(1 + log_var - mean.square() - log_var.exp())
            loss = (nats + kl) / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        wait(DEVICE)
        trained.append(time.perf_counter())
    return {"began": began, "trained": trained, "ended": trained[-1]}


if __name__ == "__main__":
    task, place, *rest = sys.argv[1:]
    answer = {"nll": nll, "bare": bare}[task](Path(place), *rest)
    (Path(place) / "answer.json").write_text(json.dumps(answer))
