"""The autoregressive family: each step of a sequence from the steps before it, whatever network reads them.

Letters in shapes: B batch, n samples, T steps, D values of a step, F output features, P parameters of a step.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from genlab.models.carrying import CarriedStates, TargetMean, in_all_units, up_to_the_end, weighted
from genlab.models.choosing import Choice
from genlab.models.classes import asked_classes
from genlab.models.optimization import clip_gradients, configure, decayed_or_not, make_optimizer, step_plateau
from genlab.models.reading import Reader
from genlab.models.sequence_checks import (
    Windows,
    check_network,
    check_settings,
    check_steps,
    check_told,
    check_windows,
    checked_classes,
    checked_length,
)
from genlab.models.step_ends import StepInput
from genlab.models.writing import draws, pieces, preceding, sampled, write
from genlab.objectives.outputs import Output
from genlab.schedules import Plateau, Schedule
from genlab.sequence_contracts import Codec, SequenceBatch, SequenceNetwork


class Autoregressive(LightningModule):
    """p(x) = prod_t p(x_t | x_1 .. x_t-1): recurrent networks (Graves 2013, arXiv:1308.0850) and Transformers.

    Trained with the true steps before each (teacher forcing), on the loss that it is judged by: nats per
    target, over all targets of an epoch alike. Under contiguous windows the network's state goes on from a
    window to the next of its row, without gradient.
    """

    charts = {
        "what is trained, what is judged (nats per token or step)": ["train/objective", "val/loss"],
        "learning rate": ["train/lr"],
        "windows per second": ["rate/images_per_second"],
    }

    def __init__(
        self,
        *,
        network: Callable[..., SequenceNetwork],
        output: Callable[..., Output],
        optimizer: Callable[..., Optimizer],
        scheduler: Schedule | Plateau,
        windows: Windows,
        embedding: int,
        embedding_std: float,
        tied: bool = True,
        gradient_clip: float | None = None,
        conditional: bool = False,
        vocab_size: int | None = None,
        num_features: int | None = None,
        num_classes: int | None = None,
        sequence_length: int | None = None,
        end_token: int | None = None,
        characters_per_token: float | None = None,
    ) -> None:
        """Completes the network with the sizes that only the family knows.

        Args:
            network: called as `network(in_features=embedding)`.
            output: called with the kind of the data, `output(vocab_size=..., num_features=...)`.
            optimizer: called with two groups of parameters, without weight decay for vectors.
            scheduler: of the learning rate.
            windows: of the data: contiguous ones go on where the one before in their row ended.
            embedding: features of a step before the network, at least 1.
            embedding_std: their standard deviation at first, above 0.
            tied: whether the head's weights are the embedding's, where the data are tokens.
            gradient_clip: largest norm of the gradient, unless the trainer has one; None or 0: no limit.
            conditional: whether each step is told the class of its sequence.
            vocab_size: of data that are tokens.
            num_features: D, of data that are real values.
            num_classes: of the data; None where it has no labels.
            sequence_length: T, steps of a window, and of a sample unless told otherwise.
            end_token: of items of text: stands behind each, and before its first token.
            characters_per_token: of text; None where nobody knows.

        Raises:
            UserError: the data are no sequences, a number is out of range, or parts do not go together.
        """
        super().__init__()
        self.sequence_length = checked_length(vocab_size, num_features, sequence_length)
        self.windows, self.gradient_clip = windows, gradient_clip
        self.num_features = None if vocab_size else num_features
        self.num_classes = checked_classes(num_classes) if conditional else None
        self.end_token, self.characters_per_token = end_token, characters_per_token
        check_settings(windows, embedding, embedding_std, gradient_clip, network)
        sizes = {"vocab_size": vocab_size, "num_features": num_features}
        self.output = output(**sizes)
        self.input = StepInput(embedding, std=embedding_std, num_classes=self.num_classes, **sizes)
        self.network = network(in_features=embedding)
        check_network(self.network, self.sequence_length, windows)
        self.head = self.input.head(self.network.num_features, self.output.initial_params(), tied=tied)
        self.codec: Codec | None = None
        self._carried, self._means = CarriedStates(), {"val": TargetMean(), "test": TargetMean()}
        self._optimizer, self._scheduler = optimizer, scheduler

    @property
    def tokens(self) -> bool:
        """Whether the data are tokens, not real values."""
        return self.num_features is None

    # -- the density ----------------------------------------------------------------------------------

    def _log_prob(self, batch: SequenceBatch, split: str) -> Tensor:
        """Of each target `[B, T]`, with the state carried where windows are contiguous."""
        carried = self.windows == "contiguous"
        state = self._carried.before(split, batch.begins) if carried else None
        features, state = self.network(self.input(batch.input, batch.label), state)
        if carried:
            self._carried.after(split, state)
        return self.output.log_prob(self.head(features), batch.target)

    @torch.no_grad()
    def log_prob(self, sequence: Tensor, label: Tensor | int | None = None) -> Tensor:
        """Log p(x) of whole sequences from a beginning on, each step from all before it; of items up to their end.

        Args:
            sequence: tokens `[B, T]` or values `[B, T, D]`, in the model's scale.
            label: of a conditional model, whose log p(x|y) it is: `[B]`, or one class.

        Returns:
            `[B]` nats per sequence.
        """
        check_steps(sequence, self.num_features)
        check_told(label, self.num_classes)
        known, reader = self.classes_of(len(sequence), label), Reader(self.network)
        shifted = torch.cat([self.beginning(len(sequence)), sequence[:, :-1]], dim=1)
        found = []
        for x, target in zip(shifted.split(256, dim=1), sequence.split(256, dim=1), strict=True):
            found.append(self.output.log_prob(self.head(reader.read(self.input(x, known))), target))
        told = up_to_the_end(sequence, self.end_token)
        return torch.cat(found, dim=1).mul(1 if told is None else told).sum(1)

    # -- training and judging -------------------------------------------------------------------------

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> dict[str, Tensor]:
        """One step; the Meter callback averages and logs what is returned beside `loss`."""
        check_windows(batch, batch_idx, self.windows)
        total, count = weighted(-self._log_prob(batch, "train"), batch)
        objective = total / count
        return {"loss": objective, "objective": objective.detach()}

    def validation_step(self, batch: SequenceBatch, batch_idx: int, split: str = "val") -> None:
        """Sums nats and targets; the mean is logged at the end."""
        check_windows(batch, batch_idx, self.windows)
        self._means[split].add(*weighted(-self._log_prob(batch, split), batch))

    def test_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """The same on the test set."""
        self.validation_step(batch, batch_idx, "test")

    def on_validation_epoch_end(self) -> None:
        """Logs `val/loss` over all targets."""
        self._tell("val")

    def on_test_epoch_end(self) -> None:
        """The same of the test set."""
        self._tell("test")

    def _tell(self, split: str) -> None:
        self._carried.forget(split)
        nats = self._means[split].take(self.trainer)
        values = in_all_units(nats, self.characters_per_token) if self.tokens else {"loss": nats}
        named = {f"{split}/{name}": torch.tensor(value) for name, value in values.items()}
        self.log_dict(named, batch_size=1, sync_dist=True)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """The trainer's limit where it has one, else the model's."""
        limit = self.gradient_clip if gradient_clip_val is None else gradient_clip_val
        clip_gradients(self, optimizer, limit, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """One optimizer for all, its schedule by step."""
        groups = decayed_or_not(self.parameters())
        return configure(self, make_optimizer(self._optimizer, groups), self._scheduler)

    def on_train_epoch_end(self) -> None:
        """Plateau schedules look at `val/loss` here, before the epoch's checkpoint."""
        step_plateau(self)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the carried state, so that a resume in the middle of an epoch is exact."""
        checkpoint["carried_states"] = self._carried.saved(self.trainer)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on with it."""
        self._carried.restore(checkpoint.get("carried_states"), self.trainer.global_rank)

    # -- using it -------------------------------------------------------------------------------------

    def sampling_modules(self) -> dict[str, nn.Module]:
        """All that is trained."""
        trained = {"input": self.input, "network": self.network, "head": self.head}
        return trained | ({"output": self.output} if list(self.output.parameters()) else {})

    def sample(
        self, n: int, *, seed: int | None = None, label: Tensor | int | None = None, length: int | None = None
    ) -> Tensor:
        """Draws `n` sequences, each step from those drawn before: tokens `[n, T]` or values `[n, T, D]`.

        Behind the end of an item stand further end tokens.

        Args:
            n: how many, at least 1.
            seed: equal seeds give equal samples, the first of them whatever n is; None draws from the global
                random state.
            label: of a conditional model: one class, or `[n]`; None goes round the classes.
            length: T, at least 1; None: that of the windows it was trained on.

        Raises:
            UserError: a number below 1, a class that there is not, or a label given to a model without classes.
        """
        length = self.sequence_length if length is None else length
        return sampled(self, partial(draws, self), n, length, seed=seed, label=label)

    def classes_of(self, n: int, label: Tensor | int | None = None) -> Tensor | None:
        """The classes `[n]` that `sample(n, label=label)` draws, None where the model is not conditional."""
        return asked_classes(n, label, self.num_classes, self.device)

    def beginning(self, n: int) -> Tensor:
        """What precedes the first step, `[n, 1]` or `[n, 1, D]`: the end of an item or line, zeros before a series."""
        return preceding(self, n)

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        n: int = 1,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        label: int | None = None,
    ) -> list[str]:
        """`n` continuations of `length` tokens, without the prompt; of items fewer, to the end of the item.

        Args:
            prompt: read as it is; where it is empty the text begins like a line.
            length: tokens of each, at least 1.
            n: how many, at least 1.
            temperature: of the choice of tokens, like the next two, see `Choice`.
            top_k: only so many of the likeliest.
            top_p: only the likeliest that together have this probability.
            seed: equal seeds give equal texts, the first of them whatever n is.
            label: of a conditional model: the class of all; None goes round the classes.

        Raises:
            UserError: a number is out of range, the vocabulary lacks a character, or the model writes no text.
        """
        choice = Choice(temperature, top_k, top_p)
        return write(
            self, partial(draws, self), prompt, length=length, n=n, choice=choice, seed=seed, label=label
        )

    def stream(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        label: int | None = None,
    ) -> Iterator[str]:
        """The first text of `generate` while it is made: pieces of whole characters, a piece for a token or several.

        Raises:
            UserError: as `generate`, before the first piece is asked for.
        """
        choice = Choice(temperature, top_k, top_p)
        return pieces(
            self, partial(draws, self), prompt, length=length, choice=choice, seed=seed, label=label
        )
