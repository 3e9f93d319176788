"""Parts of adversarial models go together: every pair of options makes two steps, all of them in the slow suite."""

from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import ROOT
from genlab import assembly
from genlab.config import compose
from genlab.validation import validate


def options(group: str, marker: str = "") -> list[str]:
    found = sorted((ROOT / "conf" / "model" / group).glob("*.yaml"))
    names = [file.stem for file in found if marker in file.read_text(encoding="utf-8")]
    assert names, group
    return names


CHOICES: dict[str, list[Any]] = {
    "network": options("generator"),
    "loss": options("loss", "objectives.adversarial."),
    "penalty": options("penalty"),
    "conditioning": options("conditioning"),
    "augment": options("augment"),
    "pack": [1, 2],
    "critic_steps": [1, 2],
    "accumulate": [1, 2],
    "latent": ["normal", "uniform"],
    "precision": ["32-true", "bf16-mixed"],
}
REFUSED = {
    ("conditioning", "projection", "pack", 2): "joins samples of several classes",
    ("conditioning", "auxiliary", "pack", 2): "joins samples of several classes",
    ("network", "points", "augment", "diffaugment"): "needs images",
    ("network", "sngan", "penalty", "weight_clip"): "does nothing to SNGANDiscriminator",
}
"""What the mathematics does not allow: both options, and a part of the sentence that says so."""


def refusal(case: dict[str, Any]) -> str | None:
    for (one, first, other, second), sentence in REFUSED.items():
        if case[one] == first and case[other] == second:
            return sentence
    return None


def pairwise(choices: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Cases in which every two options that go together stand side by side at least once; greedily few."""
    names = list(choices)
    left = {
        (a, x, b, y) for a, b in combinations(names, 2) for x, y in product(choices[a], choices[b])
    } - REFUSED.keys()
    cases = []
    while left:
        a, x, b, y = min(left, key=str)
        case = {a: x, b: y}
        for name in sorted(names, key=lambda n: -len(choices[n])):
            if name not in case:
                best = max(choices[name], key=lambda value: _gain({**case, name: value}, left))
                case[name] = best
        assert refusal(case) is None, case
        left -= _pairs(case)
        cases.append({name: case[name] for name in names})
    return cases


def _pairs(case: dict[str, Any]) -> set[tuple[Any, ...]]:
    order = [name for name in CHOICES if name in case]
    return {(a, case[a], b, case[b]) for a, b in combinations(order, 2)}


def _gain(case: dict[str, Any], left: set[tuple[Any, ...]]) -> int:
    pairs = _pairs(case)
    return -1000 if pairs & REFUSED.keys() else len(pairs & left)


def two_steps(case: dict[str, Any], folder: Path) -> None:
    """Trains two batches, validates, draws: all through the Trainer that a run has."""
    points = case["network"] == "points"
    data = "data=ring" if points else "data=digits"
    small = ["data.num_train=64", "data.num_val=8"] if points else ["data.image_size=8"]
    cfg = compose(
        [
            f"model={'gan' if case['conditioning'] == 'none' else 'cgan'}", data, *small, "data.batch_size=8",
            *(f"model/{name}={case[name]}" for name in ("network", "loss", "penalty", "conditioning", "augment")),
            *(f"model.{name}={case[name]}" for name in ("pack", "critic_steps", "accumulate", "latent")),
            f"trainer.precision={case['precision']}", "trainer=cpu", "trainer.max_steps=2", "logger=none",
            "trainer.limit_val_batches=1", "trainer.log_every_n_steps=1", "trainer.enable_progress_bar=false",
        ]
    )  # fmt: skip
    validate(cfg, facts_known=False)
    parts = assembly.assemble(cfg, folder)
    before = [p.clone() for p in parts.model.generator.parameters()]
    assembly.fit(parts, None)
    assert parts.trainer.global_step == 2
    assert all(torch.isfinite(p).all() for p in parts.model.parameters())
    learned = (
        case["critic_steps"] <= 2 // case["accumulate"]
    )  # as many updates of the critic as the generator waits for
    moved = any(
        not torch.equal(a, b) for a, b in zip(before, parts.model.generator.parameters(), strict=True)
    )
    assert moved == learned
    assert torch.isfinite(parts.model.sample(2, seed=0)).all()


def name_of(case: dict[str, Any]) -> str:
    return "-".join(map(str, case.values()))


@pytest.mark.parametrize("case", pairwise(CHOICES), ids=name_of)
def test_every_two_options_make_two_steps_together(case, tmp_path):
    two_steps(case, tmp_path)


def test_the_cases_hold_every_pair_that_goes_together():
    seen = set().union(*(_pairs(case) for case in pairwise(CHOICES)))
    expected = {
        (a, x, b, y) for a, b in combinations(CHOICES, 2) for x, y in product(CHOICES[a], CHOICES[b])
    } - REFUSED.keys()
    assert expected <= seen and len(expected) > 500


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_what_the_mathematics_does_not_allow_is_one_sentence(refused, tmp_path):
    from genlab.errors import UserError

    case = {name: values[0] for name, values in CHOICES.items()}
    case |= {"augment": "none", "conditioning": "none", "network": "dcgan"}
    case |= {refused[0]: refused[1], refused[2]: refused[3]}
    with pytest.raises(UserError, match=REFUSED[refused]) as error:
        two_steps(case, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("conditioning", CHOICES["conditioning"])
@pytest.mark.parametrize("network", CHOICES["network"])
def test_all_combinations_make_two_steps(network, conditioning, tmp_path):
    first = {name: values[0] for name, values in CHOICES.items()} | {"augment": "none"}
    for loss, penalty in product(CHOICES["loss"], CHOICES["penalty"]):
        case = {**first, "network": network, "conditioning": conditioning, "loss": loss, "penalty": penalty}
        if refusal(case):
            continue
        two_steps(case, tmp_path / f"{loss}_{penalty}")


@pytest.mark.parametrize(
    ("generator", "discriminator"), [("dcgan", "r3gan"), ("mlp", "sngan"), ("r3gan", "mlp")]
)
def test_halves_of_unlike_architectures_play_together(generator, discriminator, tmp_path):
    cfg = compose(
        ["model=gan", "data.image_size=8", "data.batch_size=8", f"model/generator={generator}", "logger=none",
         f"model/discriminator={discriminator}", "trainer=cpu", "trainer.max_steps=1",
         "trainer.limit_val_batches=0", "trainer.enable_progress_bar=false"]
    )  # fmt: skip
    validate(cfg, facts_known=False)
    parts = assembly.assemble(cfg, tmp_path)
    assembly.fit(parts, None)
    names = [type(parts.model.generator).__name__.lower(), type(parts.model.discriminator).__name__.lower()]
    assert names == [f"{generator}generator", f"{discriminator}discriminator"]
