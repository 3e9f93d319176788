"""Training and judging the same small variational autoencoder: ours beside the library pythae, and what is faster still."""

import json
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks.images import settings
from benchmarks.measure import Row, compare_rates, in_turns
from benchmarks.own_environment import VERSION, python_with_pythae
from benchmarks.plain_vae import BATCH, HIDDEN, LATENT
from benchmarks.processes import ROOT, seconds
from genlab import assembly
from genlab.config import compose
from genlab.errors import UserError

RATE = "images/s"
Answer = dict[str, Any]
"""What a process tells, see `benchmarks.pythae_child` and `benchmarks.stops.NoteEpochs`."""
VARIANTS = {
    "bf16": ["trainer.precision=bf16-mixed"],
    "compile": ["compile=true"],
    "bf16, compile": ["trainer.precision=bf16-mixed", "compile=true"],
}
SHORT = 150
"""Batches of an epoch where variants of ours are compared."""
IMAGES = {10: 500, 100: 300, 1000: 100}
"""Draws of z per image to how many images are judged with so many."""


def rows(quick: bool) -> list[Row]:
    python = python_with_pythae()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pixels = prepare(folder)
        turns = 1 if quick else 3
        found = training(folder, python, epochs=2 if quick else 3, turns=turns, pixels=pixels)
        found += [] if quick else variants(folder, turns=2)
        return found + likelihood(folder, python, turns=turns)


# -- what both sides are given ------------------------------------------------------------------------


def prepare(folder: Path) -> str:
    """Writes the images, the weights to begin with and the settings of ours.

    Returns:
        What the images are.
    """
    assembly.hush()
    overrides, pixels = _overrides(folder), "MNIST"
    try:
        parts = assembly.assemble(compose(overrides), folder / "run")
    except UserError:  # MNIST is not there, and nothing is downloaded
        overrides += [line for line in settings("mlp") if line.startswith("data.t")]
        parts, pixels = assembly.assemble(compose(overrides), folder / "run"), "random pixels"
    data: Any = parts.datamodule
    data.setup("test")
    loaders = {"train": data.train_dataloader(), "val": data.val_dataloader(), "test": data.test_dataloader()}
    images = {split: torch.cat([batch.image for batch in loader]) for split, loader in loaders.items()}
    images["test"] = images["test"][: max(IMAGES.values())]
    torch.save(images, folder / "images.pt")
    torch.save(parts.model.state_dict(), folder / "weights.pt")
    (folder / "overrides.json").write_text(json.dumps(overrides))
    return pixels


def _overrides(folder: Path) -> list[str]:
    """A run as a user starts it, whose data and network are those of the IWAE paper.

    Gray values are the targets, as in pythae.
    """
    root = compose(["data=mnist"]).data.root
    return [
        "data=mnist",
        f"data.root={Path(root).absolute()}",
        "data.download=false",
        f"data.batch_size={BATCH}",
        "model/network=mlp",
        f"model.latent_dim={LATENT}",
        f"model.encoder={{hidden: {HIDDEN}, activation: tanh}}",
        f"model.decoder={{hidden: {HIDDEN}, activation: tanh}}",
        "model.likelihood.binarize=none",
        f"trainer={'gpu' if torch.cuda.is_available() else 'cpu'}",
    ]


# -- training -----------------------------------------------------------------------------------------


def training(folder: Path, python: str, *, epochs: int, turns: int, pixels: str) -> list[Row]:
    run = partial(_told, folder)
    sides: dict[str, Callable[[], Answer]] = {
        "pythae": lambda: run(
            "-m", "benchmarks.pythae_child", "train", str(folder), str(epochs), python=python
        ),
        "fused": lambda: run(
            "-m", "benchmarks.pythae_child", "train", str(folder), str(epochs), "fused", python=python
        ),
        "ours": lambda: ours(folder, epochs),
        "bare": lambda: run("-m", "benchmarks.our_child", "bare", str(folder), str(epochs)),
    }
    told = in_turns(sides, turns)
    images = len(torch.load(folder / "images.pt")["train"]) // BATCH * BATCH

    def row(name: str, one: str, other: str, rate: Callable[..., float] = steps, **reach: float) -> Row:
        pairs = [(rate(turn[one], images), rate(turn[other], images)) for turn in told]
        return compare_rates(name, RATE, pairs, **reach)

    library = f"pythae {VERSION}"
    return [
        row(f"training steps, {pixels}: ours / {library}", "ours", "pythae", reach=1.1),
        row(f"the same, {library} given fused Adam", "ours", "fused", reach=1.1),
        row(f"bare loop / {library} given fused Adam", "bare", "fused"),
        row(f"whole epochs: ours / {library} given fused Adam", "ours", "fused", rate=whole),
    ]


def ours(folder: Path, epochs: int, overrides: list[str] | None = None) -> Answer:
    """A run of `train.py`, with its default callbacks and loggers."""
    given = json.loads((folder / "overrides.json").read_text())
    note = "+callbacks.note._target_=benchmarks.stops.NoteEpochs"
    file = f"+callbacks.note.file={folder / 'answer.json'}"
    end = f"trainer.max_epochs={epochs}"
    return _told(folder, str(ROOT / "train.py"), *given, *(overrides or []), end, note, file)


def variants(folder: Path, turns: int) -> list[Row]:
    """What lower precision and compiling bring, on short epochs."""
    short = [f"trainer.limit_train_batches={SHORT}", "trainer.limit_val_batches=1"]
    sides = {"fp32": partial(ours, folder, 3, short)}
    sides |= {name: partial(ours, folder, 3, [*short, *more]) for name, more in VARIANTS.items()}
    told = in_turns(sides, turns)
    return [
        compare_rates(
            f"training steps: ours with {name} / ours",
            RATE,
            [(steps(turn[name], SHORT * BATCH), steps(turn["fp32"], SHORT * BATCH)) for turn in told],
        )
        for name in VARIANTS
    ]


def steps(answer: Answer, images: int) -> float:
    """Images per second in the training part of all epochs but the first; `images` of them in an epoch."""
    parts = list(zip(answer["began"], answer["trained"], strict=True))[1:]
    return images * len(parts) / sum(trained - began for began, trained in parts)


def whole(answer: Answer, images: int) -> float:
    """The same with all that comes between epochs."""
    return images * (len(answer["began"]) - 1) / (answer["ended"] - answer["began"][1])


# -- judging ------------------------------------------------------------------------------------------


def likelihood(folder: Path, python: str, turns: int) -> list[Row]:
    """Test images per second that importance sampling judges, by draws for each.

    Raises:
        SystemExit: the two sides do not find the same.
    """
    sides = {
        (side, k): partial(_told, folder, "-m", f"benchmarks.{side}_child", "nll", str(folder), str(k), str(n), **where)
        for (k, n), (side, where) in product(IMAGES.items(), {"our": {}, "pythae": {"python": python}}.items())
    }  # fmt: skip
    told = in_turns(sides, turns)
    found = []
    for k, n in IMAGES.items():
        pairs = [(turn["our", k], turn["pythae", k]) for turn in told]
        for mine, theirs in pairs:
            check_nats(k, mine["nats"], theirs["nats"])
        rates = [(n / mine["seconds"], n / theirs["seconds"]) for mine, theirs in pairs]
        found.append(compare_rates(f"NLL, {k} draws: ours / pythae {VERSION}", RATE, rates, reach=20))
    return found


def check_nats(k: int, mine: float, theirs: float) -> None:
    """Equal weights, images and draws give equal nats but for noise.

    Raises:
        SystemExit: they differ by more than a hundredth.
    """
    if abs(mine - theirs) > 0.01 * abs(theirs):
        raise SystemExit(f"NLL with {k} draws: ours is {mine:.2f} nats, that of pythae {theirs:.2f}")


def _told(folder: Path, *command: str, python: str | None = None) -> Answer:
    """What a process writes into answer.json."""
    file = folder / "answer.json"
    file.unlink(missing_ok=True)
    seconds(*command, folder=folder, **({"python": python} if python else {}))
    return json.loads(file.read_text())
