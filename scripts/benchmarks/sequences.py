"""Sequence models: a training step beside a loop in plain PyTorch, and drawing with and without a memory."""

import io
import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.clocks import as_without_lightning, wait
from benchmarks.measure import Row, compare
from benchmarks.steps import Clock
from genlab import assembly
from genlab.config import compose

SIDE = 64
"""Streams of a batch, and characters of a window."""
UNITS = 256
Characters = float
"""A second."""


def rows(quick: bool) -> list[Row]:
    repeats, steps = (3, 20) if quick else (7, 60)
    compared = partial(compare, unit="characters/s", repeats=repeats, rates=True)
    training = compared(
        f"LSTM of {UNITS} units, {SIDE} x {SIDE} characters: training through the Trainer / bare loop",
        ours=lambda: through_trainer(5, steps),
        other=lambda: bare(5, steps),
        reach=0.97,
    )
    drawing = [
        compared(
            f"{network}, {n} at a time: drawing with a memory / reading the last {SIDE} characters again",
            ours=lambda m=network, k=n: with_memory(m, k, 2 * steps),
            other=lambda m=network, k=n: without_memory(m, k, steps),
        )
        for network, n in itertools.product(("lstm", "gru", "rnn", "transformer"), (1, 64))
    ]
    return [training, *drawing]


@contextmanager
def assembled(model: str, *overrides: str) -> Iterator[assembly.Parts]:
    """The parts of a run on a million random characters, everything else as a user finds it."""
    assembly.hush()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        text = Path(folder) / "text.txt"
        characters = torch.randint(33, 98, (1_000_000,), generator=torch.Generator().manual_seed(0))
        text.write_text("".join(map(chr, characters.tolist())))
        trainer = f"trainer={'gpu' if torch.cuda.is_available() else 'cpu'}"
        cfg = compose([f"model={model}", "data=text", f"data.path={text}", trainer, *overrides])
        yield assembly.assemble(cfg, Path(folder) / "run")


def through_trainer(warm: int, steps: int) -> Characters:
    """Those of a run as users start it, with the default callbacks and logs; without validation."""
    with assembled("lstm", f"trainer.max_steps={warm + steps + 1}", "trainer.limit_val_batches=0") as parts:
        clock = Clock(warm, warm + steps)
        parts.trainer.callbacks.append(clock)  # type: ignore[attr-defined]
        assembly.fit(parts, None)
        return SIDE * SIDE / (1e-3 * clock.milliseconds)


def bare(warm: int, steps: int) -> Characters:
    """Those of a loop in plain PyTorch: an LSTM that carries its state."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    text = torch.randint(65, (SIDE, (warm + steps + 2) * SIDE + 1))
    embedding, lstm, head = (
        torch.nn.Embedding(65, UNITS).to(device),
        torch.nn.LSTM(UNITS, UNITS, batch_first=True).to(device),
        torch.nn.Linear(UNITS, 65).to(device),
    )
    parameters = [*embedding.parameters(), *lstm.parameters(), *head.parameters()]
    optimizer, state = torch.optim.AdamW(parameters, lr=4e-3, fused=True), None
    with as_without_lightning():
        for step in range(warm + steps + 1):
            if step == warm + 1:
                wait(device)
                began = time.perf_counter()
            window = text[:, step * SIDE : (step + 1) * SIDE + 1].to(device)
            features, state = lstm(embedding(window[:, :-1]), state)
            state = tuple(part.detach() for part in state)
            loss = F.cross_entropy(head(features).flatten(0, 1), window[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
        wait(device)
        return SIDE * SIDE * steps / (time.perf_counter() - began)


def with_memory(model: str, n: int, steps: int) -> Characters:
    """Those of n texts together, as `generate` draws them."""
    with assembled(model) as parts:
        made = parts.model.eval().to(parts.trainer.strategy.root_device)
        made.sample(n, length=SIDE, seed=0)
        wait(made.device)
        began = time.perf_counter()
        made.sample(n, length=steps, seed=0)
        wait(made.device)
        return n * steps / (time.perf_counter() - began)


@torch.no_grad()
def without_memory(model: str, n: int, steps: int) -> Characters:
    """The same by a pass over the last characters for each."""
    with assembled(model) as parts:
        made = parts.model.eval().to(parts.trainer.strategy.root_device)
        read = torch.zeros(n, SIDE, dtype=torch.int64, device=made.device)
        for step in range(steps + 3):
            if step == 3:
                wait(made.device)
                began = time.perf_counter()
            features, _ = made.network(made.input(read, None))
            drawn = made.head(features[:, -1]).softmax(-1).multinomial(1)
            read = torch.cat([read[:, 1:], drawn], dim=1)
        wait(made.device)
        return n * steps / (time.perf_counter() - began)
