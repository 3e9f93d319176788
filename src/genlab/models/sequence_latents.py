"""Where the latents of sequences are: what a family of such sequences asks of it.

Letters in shapes: K draws of the latents of a sequence, B batch, n samples, T steps, D values of a step,
L latent dimensions.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from genlab.models.choosing import Choice
from genlab.objectives.bounds import Terms, VariationalLoss
from genlab.objectives.outputs import Output
from genlab.sequence_contracts import SequenceBatch


class SequenceLatents(nn.Module):
    """Interface: p(x, z) and q(z|x) of sequences, with what reads and tells their steps.

    Built as `factory(step_input=..., embedding=..., output=..., latent_dim=..., tied=..., prior=...,
    num_classes=..., end_token=...)`; `prior` is a factory, or None where the user named none. A label `[B]` is None where
    classes are not known.

    Attributes:
        spherical: whether latents lie near a sphere, so that ways between them are arcs.
        output: p(next step).
    """

    spherical: bool
    output: Output

    @property
    def unit(self) -> str:
        """What the nats are of: those of a bound, and of it per step."""
        return f"nats per sequence; loss_per_step: {self.output.unit}"

    def check(self, loss: VariationalLoss) -> None:
        """Holds a loss against these latents.

        Raises:
            ValueError: it needs what they have not.
        """
        raise NotImplementedError

    def terms(self, batch: SequenceBatch, label: Tensor | None, *, samples: int, densities: bool) -> Terms:
        """What an objective is made of, at K = `samples` draws; with `densities` always log p(z).

        Steps that do not count are not told, and the encoder reads nothing behind the last one that does.
        """
        raise NotImplementedError

    def noise(self, n: int, label: Tensor | None) -> Tensor:
        """Latents of the prior, `[n, ...]`, from the global random state; the first of them whatever n is.

        Raises:
            UserError: those of a step depend on the steps before.
        """
        raise NotImplementedError

    def encode(self, batch: SequenceBatch, label: Tensor | None) -> Tensor:
        """The mean of the latents `[B, L]`, or `[B, T, L]` of each step with those before it at their means."""
        raise NotImplementedError

    def check_shape(self, z: Tensor) -> None:
        """Refuses what are no latents of these.

        Raises:
            UserError: another shape.
        """
        raise NotImplementedError

    def decode(self, z: Tensor, before: Tensor, label: Tensor | None) -> Iterator[Tensor]:
        """The likeliest steps at latents, each from those before it; `before` is the beginning."""
        raise NotImplementedError

    def draws(
        self,
        before: Tensor,
        label: Tensor | None,
        *,
        seed: int | None,
        choice: Choice = Choice(),  # noqa: B008
    ) -> Iterator[Tensor]:
        """Steps `[n]` or `[n, D]` without end, each from all before it; behind an end token only such.

        Args:
            before: `[n, T]` or `[n, T, D]`: what precedes the sequences, then how they begin, if that is known:
                of this latents are drawn by the posterior, else by the prior.
            label: `[n]`.
            seed: of all noise; None draws from the global random state.
            choice: of tokens.
        """
        raise NotImplementedError
