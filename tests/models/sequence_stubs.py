"""Small models of sequences, ordered windows of a text, a codec of letters, and a Trainer for them."""

import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "callbacks"))

from callback_stubs import Checkpoints, Kill, Killed, quiet_trainer  # noqa: E402

from genlab.callbacks.dashboard import Dashboard  # noqa: E402
from genlab.callbacks.ema import EMA  # noqa: E402
from genlab.callbacks.meter import Meter  # noqa: E402
from genlab.callbacks.random_streams import RandomStreams  # noqa: E402
from genlab.errors import UserError  # noqa: E402
from genlab.models.autoregressive import Autoregressive  # noqa: E402
from genlab.networks.recurrent import Recurrent  # noqa: E402
from genlab.networks.transformer import Transformer  # noqa: E402
from genlab.objectives.mixture_density import MixtureDensity  # noqa: E402
from genlab.objectives.outputs import Bernoulli, ByData, Categorical  # noqa: E402
from genlab.schedules import Constant  # noqa: E402
from genlab.sequence_contracts import SequenceBatch  # noqa: E402

__all__ = ["Kill", "Killed"]

V, T, B = 5, 4, 3
NETWORKS = {
    "lstm": partial(Recurrent, "lstm", 8),
    "gru": partial(Recurrent, "gru", 8),
    "rnn": partial(Recurrent, "rnn", 8),
    "transformer": partial(Transformer, 8, 2, 2, reach=6),
    "learned": partial(Transformer, 8, 2, 2, positions="learned", reach=6),
}


def model(network: Any = "lstm", **changes: Any) -> Autoregressive:
    """A model of five tokens, windows of four."""
    torch.manual_seed(0)
    parts: dict[str, Any] = {
        "network": NETWORKS[network] if isinstance(network, str) else network,
        "output": partial(ByData, Categorical, partial(MixtureDensity, 2), Bernoulli),
        "optimizer": partial(torch.optim.AdamW, lr=0.01),
        "scheduler": Constant(),
        "windows": "random" if network == "learned" else "contiguous",
        "embedding": 8,
        "embedding_std": 0.3,
        "vocab_size": V,
        "sequence_length": T,
    }
    return Autoregressive(**{**parts, **changes})


def excited(network: Any = "lstm", **changes: Any) -> Autoregressive:
    """One whose odds are far from equal, and which does not drop out."""
    made = model(network, **changes)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return made.eval()


def tokens(n: int, seed: int = 1) -> Tensor:
    return torch.randint(V, (n,), generator=torch.Generator().manual_seed(seed))


def batch(streams: Tensor, begins: bool, weight: Tensor | None = None) -> SequenceBatch:
    """The batch of `[B, T + 1]` tokens or `[B, T + 1, D]` values."""
    rows = len(streams)
    label = torch.zeros(rows, dtype=torch.int64)
    return SequenceBatch(streams[:, :-1], streams[:, 1:], weight, label, torch.full((rows,), begins))


class Batches:
    """The same batches each epoch; Lightning would take a list for several loaders."""

    def __init__(self, *batches: SequenceBatch) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[SequenceBatch]:
        return iter(self.batches)


class OrderedWindows:
    """Windows of B streams, one after the other; resumes inside an epoch."""

    def __init__(self, text: Tensor, rows: int = B, length: int = T) -> None:
        self.streams, self.length = text[: rows * (len(text) // rows)].view(rows, -1), length
        self.done, self.start = 0, 0
        self.batch_sampler = SimpleNamespace(sampler=self)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return (self.streams.shape[1] - 1) // self.length

    def __iter__(self) -> Iterator[SequenceBatch]:
        self.done, self.start = self.start, 0
        for k in range(self.done, len(self)):
            self.done += 1
            yield batch(self.streams[:, k * self.length : (k + 1) * self.length + 1], begins=k == 0)

    def state_dict(self) -> dict[str, int]:
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.start = state["done"]


class Letters:
    """A codec of the first letters, without a line's end."""

    vocab_size = V

    def state(self) -> dict[str, Any]:
        return {"kind": "letters"}

    def encode(self, text: str) -> list[int]:
        for letter in text:
            if letter not in "abcde":
                raise UserError(f"{letter!r} is not in the vocabulary")
        return ["abcde".index(letter) for letter in text]

    def decode(self, tokens: list[int]) -> str:
        return "".join("abcde"[token] for token in tokens)


def fit(
    folder: Path,
    made: Autoregressive,
    *more: Any,
    train: Any,
    val: Any = None,
    resume: bool = False,
    every: int | None = None,
    **settings: Any,
) -> Any:
    """Trains with averages and checkpoints, `every` so many steps one."""
    callbacks = [
        RandomStreams(seed=5),
        Dashboard(),
        EMA(20.0),
        Meter(),
        Checkpoints(every_n_steps=every),
        *more,
    ]
    trainer = quiet_trainer(folder, callbacks, **settings)
    last = str(folder / "checkpoints" / "last.ckpt") if resume else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(made, train, val or train, ckpt_path=last, weights_only=True)
    return trainer


def judged(made: Any, batches: Any, split: str = "val") -> dict[str, float]:
    """The numbers that an epoch of judging logs."""
    logged: dict[str, Any] = {}
    made._trainer = type("Alone", (), {"world_size": 1})()
    made.log_dict = lambda named, **settings: logged.update(named)
    with torch.no_grad():
        for k, one in enumerate(batches):
            made.validation_step(one, k) if split == "val" else made.test_step(one, k)
    made.on_validation_epoch_end() if split == "val" else made.on_test_epoch_end()
    return {name: float(value) for name, value in logged.items()}
