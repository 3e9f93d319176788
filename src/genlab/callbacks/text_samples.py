"""Texts that the model writes while it trains."""

import time
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from genlab.atomic import write_whole
from genlab.callbacks.drawing import check_counts, inference
from genlab.callbacks.progress import share_done
from genlab.callbacks.run_log import run_logs
from genlab.errors import UserError
from genlab.sequence_contracts import TextCodec, TextGenerator
from genlab.tables import passages


class TextSamples(Callback):
    """Lets the model write after validations: `samples/text_step_00000500.txt`, and the same in the logs.

    Each text begins with the prompt and has the same random numbers every time. Of what is no text nothing is
    written.
    """

    def __init__(
        self,
        *,
        n: int = 4,
        length: int = 300,
        prompt: str = "",
        temperature: float = 1.0,
        every_seconds: float = 10.0,
        seed: int = 0,
    ) -> None:
        """Creates the callback.

        Args:
            n: Texts, at least 1.
            length: Tokens of each behind the prompt, at least 1.
            prompt: What they begin with.
            temperature: Below 1 likelier tokens are taken more often, at least 0.
            every_seconds: Time at least from one writing to the next, at least 0; the last validation has one
                always, where the trainer's limits tell which it is.
            seed: Of the texts.

        Raises:
            UserError: If a number is out of range.
        """
        check_counts("text_samples", n=n, length=length)
        for name, value in (("temperature", temperature), ("every_seconds", every_seconds)):
            if not value >= 0:
                raise UserError(f"callbacks.text_samples.{name} must be at least 0, got {value}")
        self.n, self.prompt, self.every_seconds = n, prompt, every_seconds
        self._settings: dict[str, Any] = {"length": length, "temperature": temperature, "seed": seed}
        self._written_at: float | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        writer = _writer(pl_module)
        if writer is not None:
            try:
                writer.codec.encode(self.prompt)
            except UserError as error:
                raise UserError(f"callbacks.text_samples.prompt: {error}") from error

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        writer = _writer(pl_module)
        if writer is None or not trainer.is_global_zero or not self._is_due(trainer):
            return
        with inference(trainer):
            texts = writer.generate(self.prompt, n=self.n, **self._settings)
        lines = getattr(pl_module, "end_token", None) is not None
        whole = passages([self.prompt + text for text in texts], lines=lines)
        file = Path(trainer.default_root_dir) / "samples" / f"text_step_{trainer.global_step:08d}.txt"
        write_whole(file, lambda out: out.write(whole.encode()))
        for log in run_logs(trainer):
            log.log_text("samples", whole, trainer.global_step)
        self._written_at = time.monotonic()

    def _is_due(self, trainer: Trainer) -> bool:
        if trainer.sanity_checking:
            return False
        waited = self._written_at is None or time.monotonic() - self._written_at >= self.every_seconds
        return waited or (share_done(trainer) or 0) >= 1


def _writer(model: Any) -> TextGenerator | None:
    """The model, where it is one of text."""
    return model if isinstance(model, TextGenerator) and isinstance(model.codec, TextCodec) else None
