"""The family of sequences with latents behind them: its bound, what is logged, and how it samples.

Letters in shapes: K draws of latents, B batch, n samples, T steps, D values of a step, L latent dimensions.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from genlab.contracts import Posterior
from genlab.kl_schedules import Constant, KLSchedule
from genlab.models.annealing import Annealing
from genlab.models.choosing import Choice
from genlab.models.classes import asked_classes
from genlab.models.optimization import clip_gradients, configure, decayed_or_not, make_optimizer, step_plateau
from genlab.models.sequence_bounds import (
    CHARTS,
    BoundMeans,
    check_apart,
    counted,
    importance_weights,
    parts_of,
    posterior_of,
    whole,
)
from genlab.models.sequence_checks import check_beginnings, check_latents, checked_classes, checked_length
from genlab.models.sequence_latents import SequenceLatents
from genlab.models.step_ends import StepInput
from genlab.models.writing import pieces, preceding, rolled_out, sampled, write
from genlab.objectives.bounds import Terms, VariationalLoss
from genlab.objectives.outputs import Output
from genlab.objectives.priors import Prior
from genlab.schedules import Plateau, Schedule
from genlab.sequence_contracts import Codec, SequenceBatch


class LatentSequences(LightningModule):
    """Recurrent variational autoencoders: one latent for each sequence, or one for each step.

    Trained on `loss` of the parts of the bound; judged on the plain bound in nats per sequence, `val/loss`,
    whatever it was trained on, and per step, to stand beside models without latents. Every window is a sequence by
    itself, of which is known what precedes its first step.
    """

    charts = CHARTS

    def __init__(
        self,
        *,
        latents: Callable[..., SequenceLatents],
        output: Callable[..., Output],
        loss: VariationalLoss,
        optimizer: Callable[..., Optimizer],
        scheduler: Schedule | Plateau,
        latent_dim: int,
        embedding: int,
        kl_schedule: KLSchedule = Constant(),  # noqa: B008
        prior: Callable[..., Prior] | None = None,
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
        """Completes the networks with the sizes that only the family knows.

        Args:
            latents: where they are, and the networks; called with all that follows from the rest.
            output: called with the kind of the data, `output(vocab_size=..., num_features=...)`.
            loss: the trained objective of the terms of the bound.
            optimizer: called with two groups of parameters, without weight decay for vectors.
            scheduler: of the learning rate.
            latent_dim: L, of a sequence or of a step, at least 1.
            embedding: features of a step before the networks, at least 1.
            kl_schedule: of the weight of the KL in `loss`.
            prior: of the latents, where these have none of their own.
            tied: whether the head's weights are the embedding's, where the data are tokens.
            gradient_clip: largest norm of the gradient, unless the trainer has one; None or 0: no limit.
            conditional: whether all networks are told the class of a sequence.
            vocab_size: of data that are tokens.
            num_features: D, of data that are real values.
            num_classes: of the data; None where it has no labels.
            sequence_length: T, steps of a window, and of a sample unless told otherwise.
            end_token: of data that are items of text: behind each, and before its first token.
            characters_per_token: of text; None where nobody knows.

        Raises:
            UserError: the data are no sequences, a number is out of range, or parts do not go together.
        """
        super().__init__()
        self.sequence_length = checked_length(vocab_size, num_features, sequence_length)
        self.num_features = num_features if vocab_size is None else None
        self.num_classes = checked_classes(num_classes) if conditional else None
        check_latents(latent_dim, embedding, gradient_clip)
        self.gradient_clip = gradient_clip
        self.end_token, self.characters_per_token = end_token, characters_per_token
        self.loss, self.annealing = loss, Annealing(kl_schedule, loss)
        if not self.annealing.constant:
            self.charts = {**CHARTS, "weight of the KL": ["train/kl_weight"]}
        kind = {"vocab_size": vocab_size, "num_features": num_features}
        std = embedding**-0.5  # wide enough for an encoder to tell tokens apart at once
        self.latents = latents(
            step_input=StepInput(embedding, **kind, num_classes=self.num_classes, std=std),
            embedding=embedding,
            output=output(**kind),
            latent_dim=latent_dim,
            tied=tied,
            prior=prior,
            num_classes=self.num_classes,
            end_token=end_token,
        )
        self.latents.check(loss)
        self.spherical = self.latents.spherical
        self.codec: Codec | None = None
        self._means = {"val": BoundMeans(), "test": BoundMeans()}
        self._optimizer, self._scheduler = optimizer, scheduler

    # -- the bound ------------------------------------------------------------------------------------

    def terms(self, batch: SequenceBatch, *, samples: int = 1, densities: bool = False) -> Terms:
        """What an objective is made of, at K = `samples` draws; with `densities` always log p(z)."""
        label = None if self.num_classes is None else batch.label
        return self.latents.terms(batch, label, samples=samples, densities=densities)

    def infer(self, batch: SequenceBatch) -> Posterior:
        """What the encoder says of a batch; the KL of all dimensions together where it is known by draws only."""
        return posterior_of(self.terms(batch))

    @torch.no_grad()
    def log_prob(
        self, sequence: Tensor, label: Tensor | int | None = None, *, samples: int = 100, chunk: int = 1000
    ) -> Tensor:
        """Importance-sampled lower bound of log p(x), `[B]` nats, tighter with more samples (arXiv:1509.00519).

        Args:
            sequence: tokens `[B, T]` or values `[B, T, D]`, in the model's scale.
            label: of a conditional model, whose log p(x|y) it is: `[B]`, or one class.
            samples: K, draws of the latents of a sequence.
            chunk: draws at once; bounds the memory.
        """
        weights = self.log_weights(whole(self, sequence, label), samples=samples, chunk=chunk)
        return weights.logsumexp(0) - math.log(samples)

    @torch.no_grad()
    def log_weights(self, batch: SequenceBatch, *, samples: int, chunk: int = 1000) -> Tensor:
        """Log p(x, z) - log q(z|x) `[K, B]` at K draws of the latents of each sequence."""
        return importance_weights(self, batch, samples=samples, chunk=chunk)

    # -- training and judging -------------------------------------------------------------------------

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> dict[str, Tensor]:
        """One step, its gradient that of nats per step: then a limit of it means the same for windows of any length."""
        check_beginnings(batch, batch_idx)
        terms = self.terms(batch, samples=self.loss.samples, densities=self.loss.densities)
        training = self.annealing.now(self._trainer)
        objective = self.loss(terms, training)
        told = {"objective": objective.detach(), **parts_of(terms)}
        if not self.annealing.constant:
            told["kl_weight"] = torch.tensor(training.kl_weight)
        return {"loss": objective / self.sequence_length, **told}

    def validation_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Sums the plain negative bound, whatever is trained; its means are logged at the end."""
        self._means["val"].add(self.terms(batch), counted(batch))

    def test_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """The same on the test set."""
        self._means["test"].add(self.terms(batch), counted(batch))

    def on_validation_epoch_end(self) -> None:
        """Logs `val/loss`, its two parts, and the bound per step."""
        self._tell("val")

    def on_test_epoch_end(self) -> None:
        """The same of the test set."""
        self._tell("test")

    def _tell(self, split: str) -> None:
        values = self._means[split].take(self.trainer, self.num_features is None, self.characters_per_token)
        named = {f"{split}/{name}": value for name, value in values.items()}
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
        check_apart(self.trainer)
        self.annealing.prepare(self.trainer)
        groups = decayed_or_not(self.parameters())
        return configure(self, make_optimizer(self._optimizer, groups), self._scheduler)

    def on_train_epoch_end(self) -> None:
        """Plateau schedules look at `val/loss` here, before the epoch's checkpoint."""
        step_plateau(self)

    # -- using it -------------------------------------------------------------------------------------

    def sampling_modules(self) -> dict[str, nn.Module]:
        """All that is trained: judging runs the encoder, too."""
        return {"latents": self.latents}

    def sample(
        self, n: int, *, seed: int | None = None, label: Tensor | int | None = None, length: int | None = None
    ) -> Tensor:
        """Draws latents and `n` sequences of them, step by step: tokens `[n, T]` or values `[n, T, D]`.

        Equal seeds give equal samples, the first of them whatever n is; None draws from the global random state.
        `label` is one class, or `[n]`, of a conditional model; None goes round the classes. `length` is T; None:
        that of the windows it was trained on.
        """
        length = self.sequence_length if length is None else length
        return sampled(self, self.latents.draws, n, length, seed=seed, label=label)

    def classes_of(self, n: int, label: Tensor | int | None = None) -> Tensor | None:
        """The classes `[n]` that `sample(n, label=label)` draws, None where the model is not conditional."""
        return asked_classes(n, label, self.num_classes, self.device)

    def beginning(self, n: int) -> Tensor:
        """What precedes the first step, `[n, 1]` or `[n, 1, D]`: the end of an item or line, zeros before a series."""
        return preceding(self, n)

    @torch.no_grad()
    def noise(self, n: int) -> Tensor:
        """Latents of the prior `[n, L]`, from the global random state; not where each step has its own."""
        return self.latents.noise(n, self.classes_of(n))

    @torch.no_grad()
    def encode(self, sequence: Tensor, label: Tensor | int | None = None) -> Tensor:
        """The posterior's mean `[B, L]`, or `[B, T, L]` of each step, for sequences `[B, T]` or `[B, T, D]`."""
        batch = whole(self, sequence, label)
        return self.latents.encode(batch, None if self.num_classes is None else batch.label)

    @torch.no_grad()
    def decode(self, z: Tensor, label: Tensor | int | None = None, *, length: int | None = None) -> Tensor:
        """The likeliest sequences at latents, each step after the likeliest before it: `[B, T]` or `[B, T, D]`.

        `length` is T; None: that of the latents, where each step has one, and no more, else of the windows trained on.
        """
        self.latents.check_shape(z)
        if length is None:
            length = z.shape[1] if z.ndim == 3 else self.sequence_length
        steps = self.latents.decode(z, self.beginning(len(z)), self.classes_of(len(z), label))
        return rolled_out(steps, length)

    def reconstruct(self, sequence: Tensor, label: Tensor | int | None = None) -> Tensor:
        """Encodes and decodes without noise and without the true steps: the shape of `sequence`."""
        return self.decode(self.encode(sequence, label), label, length=sequence.shape[1])

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
        """`n` continuations of `length` tokens, without the prompt, of which latents are inferred.

        Arguments and errors are those of `Autoregressive.generate`.
        """
        choice = Choice(temperature, top_k, top_p)
        return write(
            self, self.latents.draws, prompt, length=length, n=n, choice=choice, seed=seed, label=label
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
        """The first text of `generate` while it is made."""
        choice = Choice(temperature, top_k, top_p)
        return pieces(self, self.latents.draws, prompt, length=length, choice=choice, seed=seed, label=label)
