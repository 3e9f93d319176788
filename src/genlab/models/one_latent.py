"""One latent for each sequence, between a recurrent encoder and a recurrent decoder.

Letters in shapes: K draws of z per sequence, B batch, n samples, T steps, E features of a step, F output features,
L latent dimensions, P parameters of a step.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from genlab.errors import UserError
from genlab.models.choosing import Choice
from genlab.models.latent_start import LatentStart, Told
from genlab.models.precision import full
from genlab.models.sequence_bounds import counted
from genlab.models.sequence_checks import check_latent_shape
from genlab.models.sequence_latents import SequenceLatents
from genlab.models.step_ends import StepInput
from genlab.models.variational_terms import draw
from genlab.models.writing import draws
from genlab.objectives.bounds import Terms, VariationalLoss
from genlab.objectives.outputs import Output
from genlab.objectives.priors import Prior, Standard, check_prior
from genlab.seeding import seeded
from genlab.sequence_contracts import SequenceBatch, SequenceNetwork, State

_OF_TOKENS = 0.25
"""The share of inputs that is hidden unless told otherwise, where they are tokens."""


class OneLatent(SequenceLatents):
    """The recurrent variational autoencoder (Bowman et al. 2016, arXiv:1511.06349).

    q(z|x) is of what the encoder knows after the last step. z is the decoder's first state, by a linear map, and
    stands beside each of its inputs, the true steps before; in training a share of them is hidden (word dropout,
    section 3.1), so that the decoder has to ask z.
    """

    def __init__(
        self,
        encoder: Callable[..., SequenceNetwork],
        decoder: Callable[..., SequenceNetwork],
        word_dropout: float | None = None,
        *,
        step_input: StepInput,
        embedding: int,
        output: Output,
        latent_dim: int,
        tied: bool,
        prior: Callable[..., Prior] | None = None,
        num_classes: int | None = None,
        end_token: int | None = None,
    ) -> None:
        """Builds the networks.

        Args:
            encoder: called as `encoder(in_features=E)`.
            decoder: called as `decoder(in_features=E + L)`; its state has to be a recurrent one.
            word_dropout: share of its inputs that the decoder is not shown in training, from 0 to 1; at 1 it is
                shown none in use either, so that z tells all; None: a quarter of tokens, no real values.
            step_input: makes features of steps, for both networks.
            embedding: E.
            output: p(next step).
            latent_dim: L.
            tied: whether the head's weights are those of `step_input`, where that is an embedding.
            prior: called as `prior(latent_dim=..., num_classes=..., posterior=None)`; None: N(0, I).
            num_classes: of the prior, where classes are known.
            end_token: of data that are items.

        Raises:
            UserError: a number is out of its range, or a part does not fit.
        """
        super().__init__()
        if word_dropout is not None and not 0 <= word_dropout <= 1:
            raise UserError(f"model.latents.word_dropout must be from 0 to 1, or null, got {word_dropout}")
        self.word_dropout = (
            (_OF_TOKENS if step_input.tokens else 0.0) if word_dropout is None else word_dropout
        )
        self.input, self.output, self.end_token = step_input, output, end_token
        self.encoder = encoder(in_features=embedding)
        self.to_posterior = nn.Linear(self.encoder.num_features, 2 * latent_dim)
        self.decoder = decoder(in_features=embedding + latent_dim)
        self.start = LatentStart(latent_dim, self.decoder, embedding + latent_dim)
        self.head = step_input.head(self.decoder.num_features, output.initial_params(), tied=tied)
        self.prior = (prior or Standard)(latent_dim=latent_dim, num_classes=num_classes, posterior=None)
        if self.prior.encodes:
            raise UserError(
                "the vamp prior encodes images of its own, not sequences: set model/prior=standard"
            )
        self.spherical = self.prior.spherical

    def check(self, loss: VariationalLoss) -> None:
        check_prior(loss, self.prior)

    def posterior(self, sequence: Tensor, label: Tensor | None, length: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), `[B, L]` each, for sequences of `length` `[B]` steps."""
        features, _ = self.encoder(self.input(sequence, label))
        last = features[torch.arange(len(length), device=length.device), length - 1]  # [B, F]
        mean, log_var = full(self.to_posterior(last)).chunk(2, dim=1)
        return mean, log_var

    def tell(self, read: Tensor, z: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The decoder's features of inputs `[B, T, E]` at latents `[B, L]`, from the beginning or a state on."""
        beside = z[:, None].expand(-1, read.shape[1], -1).to(read.dtype)
        x = torch.cat([read, beside], dim=2)
        return self.decoder(x, self.start(z) if state is None else state)

    def terms(self, batch: SequenceBatch, label: Tensor | None, *, samples: int, densities: bool) -> Terms:
        judged = counted(batch)
        mean, log_var = self.posterior(batch.target, label, judged.length)
        z = draw(samples, mean, log_var)  # [K, B, L]
        read = self.read(batch.input, label).repeat(samples, 1, 1)  # [K*B, T, E]
        features, _ = self.tell(read, z.flatten(0, 1))
        params = self.head(features).unflatten(0, z.shape[:2])  # [K, B, T, P]
        target = batch.target.expand(samples, *batch.target.shape)
        log_px = (self.output.log_prob(params, target) * judged.weight).sum(2)
        kl = self.prior.kl(mean, log_var, label)
        log_p = self.prior.log_prob(z, label) if densities or kl is None else None
        return Terms(log_px, z, mean, log_var, kl, log_p)

    def read(self, steps: Tensor, label: Tensor | None) -> Tensor:
        """Inputs of the decoder `[B, T, E]`, some hidden in training; where all are, they are so in use, too."""
        hidden = None
        if self.word_dropout == 1 or (self.training and self.word_dropout):
            hidden = torch.rand(steps.shape[:2], device=steps.device) < self.word_dropout
        return self.input(steps, label, hidden)

    def noise(self, n: int, label: Tensor | None) -> Tensor:
        labels = [None] * n if label is None else list(label.split(1))
        return torch.cat([self.prior.sample(1, each) for each in labels])  # each row by itself

    def encode(self, batch: SequenceBatch, label: Tensor | None) -> Tensor:
        return self.posterior(batch.target, label, counted(batch).length)[0]

    def check_shape(self, z: Tensor) -> None:
        check_latent_shape(z, 2, self.start.map.in_features)

    def decode(self, z: Tensor, before: Tensor, label: Tensor | None) -> Iterator[Tensor]:
        return draws(Told(self, z, likeliest=True), before, label, seed=0)

    def draws(
        self,
        before: Tensor,
        label: Tensor | None,
        *,
        seed: int | None,
        choice: Choice = Choice(),  # noqa: B008
    ) -> Iterator[Tensor]:
        with torch.no_grad(), seeded(seed):
            z = self._latents(before, label)
        return draws(Told(self, z), before, label, seed=seed, choice=choice)

    def _latents(self, before: Tensor, label: Tensor | None) -> Tensor:
        """Latents `[n, L]`: of the posterior, where the beginning is known, else of the prior."""
        known = before[:, 1:]
        if not known.shape[1]:
            return self.noise(len(before), label)
        length = torch.full((len(before),), known.shape[1], device=before.device)
        mean, log_var = self.posterior(known, label, length)
        noise = torch.cat([torch.randn(1, mean.shape[1]) for _ in mean])  # each row by itself
        return mean + torch.exp(0.5 * log_var) * noise.to(mean)
