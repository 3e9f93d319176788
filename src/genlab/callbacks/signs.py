"""Signs of a collapse: numbers that stay where nothing is learnt any more."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

_PINNED = (
    "the discriminator wins almost always: real_wins is {mean:.3f} over the last {window} steps, and its "
    "logits no longer tell the generator which way to go; try a lower model.discriminator_optimizer.lr, "
    "model/penalty=r1 with model.discriminator.norm=group, model/augment=diffaugment or model.instance_noise=0.1"
)
_BEATEN = (
    "the discriminator takes fakes for real: real_wins is {mean:.3f} over the last {window} steps; "
    "try a higher model.discriminator_optimizer.lr, or a higher model.critic_steps"
)
_COLLAPSED = (
    "the fakes are all alike: diversity is {mean:.3f} of the data's over the last {window} steps; "
    "try model/loss=relativistic with model/penalty=r1_r2, model.pack=2, or lower learning rates"
)
_NOT_USED = (
    "the posterior has collapsed: {mean:.0%} of the latent dimensions are in use over the last {window} "
    "validations, and the decoder does without the others; try model/kl_schedule=linear or model/loss=free_bits, a "
    "smaller model.loss.beta, a smaller decoder, a lower learning rate, or a smaller model.latent_dim"
)


@dataclass
class Sign:
    """A number between 0 and 1 whose mean over the last steps comes too near to one of these ends.

    It is told once when that begins, and again only after the mean was twice as far away.

    Attributes:
        number: its name.
        near: the end, 0 or 1.
        within: how near is too near.
        window: over how many values the mean is taken.
        sentence: what this means and what to try; has a place for the `mean` and the `window`.
    """

    number: str
    near: int
    within: float
    window: int
    sentence: str
    seen: bool = False
    recent: deque[float] = field(default_factory=deque)

    def add(self, value: float) -> str | None:
        """Takes the next value; gives the sentence where the trouble begins with it."""
        self.recent.append(value)
        if len(self.recent) > self.window:
            self.recent.popleft()
        if len(self.recent) < self.window:
            return None
        mean = sum(self.recent) / self.window
        distance = abs(self.near - mean)
        seen_before, self.seen = self.seen, distance < self.within * (2 if self.seen else 1)
        return self.sentence.format(mean=mean, window=self.window) if self.seen > seen_before else None

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen, "recent": list(self.recent)}

    def restore(self, state: dict[str, Any]) -> None:
        self.seen, self.recent = state["seen"], deque(state["recent"][-self.window :])


def signs(*, pinned: float | None, diversity: float | None, window: int) -> list[Sign]:
    """The signs of an adversarial pair.

    Args:
        pinned: `real_wins`, P(D(x) > D(G(z))), is to stay below this and above 1 minus this; None: any.
        diversity: `diversity`, the spread of fakes over that of the data, is to stay above this; None: any.
        window: values over which means are taken.
    """
    found = []
    if pinned is not None:
        found.append(Sign("real_wins", 1, 1 - pinned, window, _PINNED))
        found.append(Sign("real_wins", 0, 1 - pinned, window, _BEATEN))
    if diversity is not None:
        found.append(Sign("diversity", 0, diversity, window, _COLLAPSED))
    return found


def collapse(within: float, window: int) -> Sign:
    """The sign of a variational autoencoder that encodes nothing: the part of its latents that is in use.

    Args:
        within: the part is to stay above this.
        window: validations over which means are taken.
    """
    return Sign("active_units", 0, within, window, _NOT_USED)
