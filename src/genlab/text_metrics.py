"""Judges a trained model by what it writes: draws texts, cuts real ones alike, stamps the numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from genlab.errors import UserError
from genlab.metrics.judging import Judgement
from genlab.metrics.text import TextStatistics
from genlab.sequence_contracts import TextCodec, TextGenerator


def judge_texts(
    model: Any, metrics: Mapping[str, TextStatistics], datamodule: Any, *, seed: int
) -> dict[str, Judgement]:
    """What the metrics say of a model's texts, by the metric's name, and of real ones as `..._real`.

    Args:
        model: from `load_model`.
        metrics: by name.
        datamodule: the model's data, read.
        seed: of the texts.

    Raises:
        UserError: the model writes no text.
    """
    judged = {}
    writes = isinstance(model, TextGenerator) and isinstance(model.codec, TextCodec)
    for name, metric in metrics.items():
        if not writes:
            raise UserError(f"metrics={name} needs a model of text; give metrics=none")
        lines = getattr(model, "end_token", None) is not None
        texts = model.generate(n=metric.count(lines=lines), length=metric.length, seed=seed, **metric.choice)
        train, split = datamodule.texts("train"), getattr(datamodule, "test_split", "test")
        numbers = metric.compute(texts, train, lines=lines)
        real = cut_alike(datamodule.texts("test"), texts, lines=lines)
        if real:
            beside = metric.compute(real, train, lines=lines)
            numbers |= {f"{key}_real": value for key, value in beside.items()}
        whose = {"weights": model.weights, "seed": seed, "step": model.checkpoint_step}
        counted = {"training_characters": sum(map(len, train)), "real_from": split if real else None}
        judged[name] = Judgement(numbers, {**metric.stamp(lines=lines), **counted, **whose})
    return judged


def cut_alike(real: Sequence[str], texts: Sequence[str], *, lines: bool) -> list[str]:
    """As many real texts as there are texts, as long as they are, spread evenly; none where so much is not there.

    Args:
        real: one text, or lines.
        texts: whose number and lengths are taken; of lines the number alone.
        lines: whether each is a line.
    """
    if lines:
        step = len(real) // len(texts)
        return list(real[: step * len(texts) : step]) if step else []
    spare = len(real[0]) - sum(map(len, texts))
    pieces, at = [], 0
    for k, text in enumerate(texts):
        start = at + spare * k // len(texts)
        pieces.append(real[0][start : start + len(text)])
        at += len(text)
    return pieces if spare >= 0 else []
