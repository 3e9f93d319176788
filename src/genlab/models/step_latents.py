"""A latent for each step of a sequence, whose prior and posterior know the steps before.

Letters in shapes: K draws of the latents of a sequence, B batch, n samples, T steps, D values of a step, E features
of a step, L latent dimensions of a step, P parameters of a step.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from genlab.errors import UserError
from genlab.models.choosing import Choice
from genlab.models.row_noise import RowNoise
from genlab.models.sequence_bounds import counted
from genlab.models.sequence_checks import check_latent_shape
from genlab.models.sequence_latents import SequenceLatents
from genlab.models.step_ends import StepInput
from genlab.models.writing import Ends
from genlab.objectives.bounds import Terms, VariationalLoss
from genlab.objectives.gaussians import kl_normal, log_normal
from genlab.objectives.outputs import Output
from genlab.objectives.priors import Prior
from genlab.sequence_contracts import LatentNetwork, Normal, SequenceBatch, State


class StepLatents(SequenceLatents):
    """log p(x) >= E_q sum_t [log p(x_t | z_<=t, x_<t) - KL(q(z_t | x_<=t, z_<t) || p(z_t | x_<t, z_<t))].

    The bound of the variational recurrent network (Chung et al. 2015, arXiv:1506.02216, eq. 11). The posterior of
    a step knows no step behind it; so what the bound says of some steps does not depend on how many follow.
    """

    spherical = False

    def __init__(
        self,
        network: Callable[..., LatentNetwork],
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
        """Builds the network.

        Args:
            network: called as `network(in_features=E, latent_dim=L)`.
            step_input: makes features of steps.
            embedding: E.
            output: p(next step).
            latent_dim: L.
            tied: whether the head's weights are those of `step_input`, where that is an embedding.
            prior: None.
            num_classes: makes no difference: `step_input` tells the class.
            end_token: of data that are items.

        Raises:
            UserError: a prior is given.
        """
        super().__init__()
        if prior is not None:
            raise UserError(
                "the prior of each step is the network's own, so model/prior has no place here: leave it out, or "
                "use model=recurrent_vae"
            )
        self.input, self.output = step_input, output
        self.latent_dim, self.end_token = latent_dim, end_token
        self.network = network(in_features=embedding, latent_dim=latent_dim)
        self.head = step_input.head(self.network.num_features, output.initial_params(), tied=tied)

    def check(self, loss: VariationalLoss) -> None:
        if loss.one_posterior:
            raise ValueError(
                f"{type(loss).__name__} needs one posterior for all draws, and with a latent at each step it depends "
                "on the latents drawn before: choose model/loss=elbo, beta, capacity, free_bits, iwae or miwae"
            )

    def terms(self, batch: SequenceBatch, label: Tensor | None, *, samples: int, densities: bool) -> Terms:
        judged, shape = counted(batch), (samples, len(batch.target))
        read = self._read(batch.input[:, :1], batch.target, label).repeat(samples, 1, 1)  # [K*B, 1 + T, E]
        noise = torch.randn_like(self._still(read))
        seen = self.network(read[:, 0], read[:, 1:], noise)
        params = self.head(seen.features).unflatten(0, shape)  # [K, B, T, P]
        target = batch.target.expand(samples, *batch.target.shape)
        log_px = (self.output.log_prob(params, target) * judged.weight).sum(2)
        # where a step does not count both are N(0, 1) at 0, which cancels in all differences
        counts = (judged.weight > 0)[..., None]  # [B, T, 1]
        normals = (part.unflatten(0, shape) * counts for part in seen[:5])
        z, mean, log_var, prior_mean, prior_log_var = normals  # [K, B, T, L] each
        kl = kl_normal(mean, log_var, prior_mean, prior_log_var).sum(2).mean(0)  # [B, L]
        log_p = log_normal(z, prior_mean, prior_log_var).sum((2, 3)) if densities else None
        return Terms(log_px, z.flatten(2), mean.flatten(2), log_var.flatten(2), kl, log_p)

    def _read(self, before: Tensor, known: Tensor, label: Tensor | None) -> Tensor:
        """Features `[B, 1 + T, E]` of what precedes sequences, and of their steps."""
        return self.input(torch.cat([before, known], dim=1), label)

    def noise(self, n: int, label: Tensor | None) -> Tensor:
        raise UserError(
            "this model has a latent at each step, whose prior depends on the steps before: use sample(n)"
        )

    def encode(self, batch: SequenceBatch, label: Tensor | None) -> Tensor:
        read = self._read(batch.input[:, :1], batch.target, label)
        return self.network(read[:, 0], read[:, 1:], self._still(read)).mean

    def _still(self, read: Tensor) -> Tensor:
        """No noise `[B, T, L]`, for features `[B, 1 + T, E]`; half precision would be too coarse for it."""
        kind = torch.promote_types(self.head.bias.dtype, torch.float32)
        return read.new_zeros(len(read), read.shape[1] - 1, self.latent_dim, dtype=kind)

    def check_shape(self, z: Tensor) -> None:
        check_latent_shape(z, 3, self.latent_dim)

    def decode(self, z: Tensor, before: Tensor, label: Tensor | None) -> Iterator[Tensor]:
        state, end = self.network.begin(self.input(before, label)[:, 0]), Ends(self.end_token)
        for latent in z.unbind(1):
            step = end.keep(self.output.likeliest(self.head(self.network.features(state, latent))))
            yield step
            state = self.network.after(state, latent, self.input(step[:, None], label)[:, 0])

    def draws(
        self,
        before: Tensor,
        label: Tensor | None,
        *,
        seed: int | None,
        choice: Choice = Choice(),  # noqa: B008
    ) -> Iterator[Tensor]:
        noise = RowNoise(seed, len(before), self.latent_dim + self.output.noise_per_step)
        end, state = Ends(self.end_token), self._known(before, label, noise)
        while True:
            with torch.no_grad():  # not around the yield: the caller's own mode is none of ours
                latent, uniform = self._split(noise, before)
                z = _drawn(self.network.prior(state), latent)
                params = self.head(self.network.features(state, z))
                params = params if before.is_floating_point() else choice.of(params)
                step = end.keep(self.output.draw(params, uniform))
            yield step
            with torch.no_grad():
                state = self.network.after(state, z, self.input(step[:, None], label)[:, 0])

    @torch.no_grad()
    def _known(self, before: Tensor, label: Tensor | None, noise: RowNoise) -> State:
        """The state after what is known, each of its latents drawn by the posterior."""
        read = self.input(before, label)
        state = self.network.begin(read[:, 0])
        for x in read[:, 1:].unbind(1):
            z = _drawn(self.network.posterior(state, x), self._split(noise, before)[0])
            state = self.network.after(state, z, x)
        return state

    def _split(self, noise: RowNoise, like: Tensor) -> tuple[Tensor, Tensor]:
        """Normal noise of a latent, and uniform noise of a step."""
        latent, uniform = noise.next().to(like.device).tensor_split([self.latent_dim], dim=1)
        return torch.special.ndtri(latent), uniform


def _drawn(normal: Normal, noise: Tensor) -> Tensor:
    mean, log_var = normal
    return mean + torch.exp(0.5 * log_var) * noise
