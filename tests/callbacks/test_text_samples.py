"""What a model writes while it trains: when, what, and where it is told."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from callback_stubs import TinyLoader, quiet_trainer
from pytorch_lightning import LightningModule
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from genlab.callbacks import text_samples
from genlab.callbacks.dashboard import Dashboard
from genlab.callbacks.tensorboard_log import TensorBoardLog
from genlab.callbacks.text_samples import TextSamples
from genlab.codecs.characters import CharCodec
from genlab.errors import UserError


class Writer(LightningModule):
    """Writes how many steps it was trained; 7 batches are an epoch."""

    end_token: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.codec = nn.Parameter(torch.zeros(1)), CharCodec("0123456789: ")
        self.asked: list[dict] = []

    def training_step(self, batch, batch_idx):
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def generate(self, prompt="", *, length=500, n=1, temperature=1.0, top_k=None, top_p=None, seed=None):
        assert not self.training and not torch.is_grad_enabled()
        self.asked.append(
            {"prompt": prompt, "length": length, "n": n, "temperature": temperature, "seed": seed}
        )
        return [f"{self.trainer.global_step}: {k}" for k in range(n)]


def fit(folder: Path, callback, model=None, **settings) -> list[str]:
    limit = {} if "max_steps" in settings else {"max_epochs": 2}
    trainer = quiet_trainer(folder, [callback, Dashboard()], **{"logger": False} | limit | settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **more: None)
        trainer.fit(model or Writer(), TinyLoader(), TinyLoader(shuffle=False))
    return sorted(path.name for path in folder.glob("samples/*"))


def test_each_validation_has_its_texts_behind_the_prompt(tmp_path):
    model = Writer()
    callback = TextSamples(n=2, length=9, prompt="1 ", temperature=0.5, every_seconds=0, seed=3)
    assert fit(tmp_path, callback, model) == ["text_step_00000007.txt", "text_step_00000014.txt"]
    assert model.asked == 2 * [{"prompt": "1 ", "length": 9, "n": 2, "temperature": 0.5, "seed": 3}]
    written = (tmp_path / "samples" / "text_step_00000014.txt").read_text()
    assert written == f"1 14: 0\n{'-' * 40}\n1 14: 1"


def test_lines_are_lines(tmp_path):
    model = Writer()
    model.end_token = 0
    fit(tmp_path, TextSamples(n=2), model, max_epochs=1)
    assert (tmp_path / "samples" / "text_step_00000007.txt").read_text() == "7: 0\n7: 1\n"


@pytest.mark.parametrize("last", [{"max_epochs": 5}, {"max_steps": 35}])
def test_too_soon_after_the_last_nothing_is_written_but_at_the_end(tmp_path, monkeypatch, last):
    # written at 7; too soon at 14; due and written at 21; too soon at 28
    clock = iter([100.0, 109.9, 110.0, 110.0, 119.0])
    monkeypatch.setattr(text_samples, "time", SimpleNamespace(monotonic=lambda: next(clock, 119.9)))
    steps = [f"text_step_{step:08d}.txt" for step in (7, 21, 35)]
    assert fit(tmp_path, TextSamples(every_seconds=10.0), **last) == steps


def test_the_page_of_texts_shows_them_as_they_are(tmp_path):
    log = TensorBoardLog()
    fit(tmp_path, TextSamples(n=1, prompt="1 "), max_epochs=1, logger=[log])
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    (event,) = events.Tensors("samples/text_summary")
    assert (event.step, event.tensor_proto.string_val) == (7, [b"    1 7: 0"])


def test_nothing_is_written_of_what_is_no_text_nor_by_what_writes_none_nor_before_training(tmp_path):
    model = Writer()
    model.codec = None
    assert fit(tmp_path, TextSamples(), model) == [] and model.asked == []
    model = Writer()
    trainer = quiet_trainer(tmp_path, [TextSamples()], logger=False, max_epochs=1, num_sanity_val_steps=1,
                            limit_val_batches=1, limit_train_batches=0)  # fmt: skip
    trainer.fit(model, TinyLoader(), TinyLoader(shuffle=False))
    assert model.asked == []


def test_a_prompt_that_cannot_be_read_is_told_before_training(tmp_path):
    with pytest.raises(
        UserError, match=r"^callbacks.text_samples.prompt: 'é' \(U\+00E9\), character 2 of the text, is"
    ):
        fit(tmp_path, TextSamples(prompt="1é"))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"temperature": -1.0}, "temperature must be at least 0, got -1.0"),
        ({"every_seconds": float("nan")}, "every_seconds must be at least 0, got nan"),
    ],
)
def test_numbers_out_of_range_are_refused(settings, sentence):
    with pytest.raises(UserError) as error:
        TextSamples(**settings)
    assert str(error.value) == f"callbacks.text_samples.{sentence}"
