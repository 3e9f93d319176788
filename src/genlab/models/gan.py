"""The adversarial family: two networks, two optimizers, one batch a step.

Letters in shapes: B batch, C channels, H height, W width, D dimensions of a point, L latent dimensions, m
samples in a pack, F features, K classes. A sample is an image `[C, H, W]` or a point `[D]`.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Literal

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from genlab.contracts import Conditioning, Discriminator, Generator, ImageBatch
from genlab.models.adversarial import (
    at_least,
    averages,
    check_batch,
    check_endless,
    check_packs,
    doubts,
    draw_latents,
    frozen,
    judge,
    norm_and_clip,
    packed,
    target,
)
from genlab.models.adversarial_terms import Terms, discriminators, generators
from genlab.models.classes import asked_classes, in_pieces
from genlab.models.input_checks import at_least_one, check_latents
from genlab.models.one_step import awaits_more, both_optimizers, count_batches
from genlab.models.optimization import configure, make_optimizer, step_schedules, total_steps
from genlab.objectives.adversarial import AdversarialLoss
from genlab.objectives.penalties import Penalty
from genlab.schedules import Schedule
from genlab.seeding import seeded


class GAN(LightningModule):
    """Generative adversarial network (Goodfellow 2014, arXiv:1406.2661), unconditional or conditional.

    A step is a batch: the discriminator learns from each, and every `critic_steps` of its updates the
    generator learns once. Each update draws fresh noise; both see the labels of the batch.
    """

    charts = {
        "losses": ["train/g_loss", "train/d_loss", "train/penalty"],
        "logits": ["train/real_logit", "train/fake_logit", "val/real_logit"],
        "P(real logit > fake logit)": ["train/real_wins"],
        "gradient norms": ["train/g_grad_norm", "train/d_grad_norm"],
        "learning rates": ["train/g_lr", "train/d_lr"],
        "diversity of fakes (1: that of the data)": ["train/diversity"],
    }

    optimizer_names = ("g", "d")

    def __init__(
        self,
        *,
        generator: Callable[..., Generator],
        discriminator: Callable[..., Discriminator],
        conditioning: Callable[..., Conditioning],
        loss: AdversarialLoss,
        penalty: Penalty,
        augment: nn.Module,
        generator_optimizer: Callable[..., Optimizer],
        discriminator_optimizer: Callable[..., Optimizer],
        generator_scheduler: Schedule,
        discriminator_scheduler: Schedule,
        num_classes: int | None,
        latent_dim: int,
        latent: Literal["normal", "uniform"] = "normal",
        critic_steps: int = 1,
        pack: int = 1,
        instance_noise: float = 0.0,
        accumulate: int = 1,
        gradient_clip: float | None = None,
    ) -> None:
        """Completes the networks with the sizes that only the family knows.

        Args:
            generator: called as `generator(latent_dim=..., num_classes=...)`.
            discriminator: called as `discriminator(extra_channels=..., pack=...)`.
            conditioning: how labels are used; called with num_features, num_classes, spectral_norm and joins.
            loss: of logits on real and fake samples.
            penalty: on the discriminator.
            augment: of what the discriminator sees, real and fake, in both updates; differentiable.
            generator_optimizer: called with the parameters.
            discriminator_optimizer: likewise.
            generator_scheduler: of the learning rate; its steps are batches.
            discriminator_scheduler: likewise.
            num_classes: K of the data; None where it has no labels.
            latent_dim: L, at least 1.
            latent: normal, or uniform in [-1, 1].
            critic_steps: updates of the discriminator for one of the generator, at least 1.
            pack: m, samples that the discriminator judges together (PacGAN, arXiv:1712.04086), at least 1.
            instance_noise: standard deviation of noise on samples; falls to 0 over the training (arXiv:1610.04490).
            accumulate: batches whose gradients make one update, at least 1.
            gradient_clip: largest norm of each network's gradient; None or 0: no limit.

        Raises:
            UserError: a number out of range, or parts that do not go together.
        """
        super().__init__()
        self.automatic_optimization = False
        at_least(1, dict(latent_dim=latent_dim, critic_steps=critic_steps, pack=pack, accumulate=accumulate))
        at_least(0, dict(instance_noise=instance_noise, gradient_clip=gradient_clip or 0.0))
        self.latent_dim, self.latent, self.num_classes = latent_dim, latent, num_classes
        self.spherical = latent == "normal"
        self.critic_steps, self.pack, self.accumulate = critic_steps, pack, accumulate
        self.instance_noise, self.gradient_clip = instance_noise, gradient_clip
        self.loss, self.penalty, self.augment = loss, penalty, augment
        kind = target(conditioning)
        in_norms = kind.conditional_norm and target(generator).conditional_norm
        self.discriminator = discriminator(extra_channels=kind.extra_channels_of(num_classes), pack=pack)
        self.conditioning = conditioning(
            num_features=self.discriminator.num_features,
            num_classes=num_classes,
            spectral_norm=self.discriminator.spectral_norm,
            joins=not in_norms,
        )
        self.generator = generator(
            latent_dim=latent_dim + self.conditioning.embedding, num_classes=num_classes if in_norms else None
        )
        check_packs(pack, self.conditioning)
        self.notes = doubts(loss, penalty, self.discriminator)
        self._recipes = {
            "g": (generator_optimizer, generator_scheduler),
            "d": (discriminator_optimizer, discriminator_scheduler),
        }
        self.critic_updates, self.between_updates = 0, False
        self._gathered: list[tuple[Tensor, Tensor | None]] = []
        self._norms: dict[str, Tensor] = {}
        self._total: int | None = None  # steps of the training

    # -- the two networks -----------------------------------------------------------------------------

    def noise(self, n: int) -> Tensor:
        """Latents `[n, L]`, drawn on the model's device."""
        return draw_latents(self.latent, n, self.latent_dim, self.device)

    def fake(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Samples `[B, ...]` at latents `[B, L]`, of classes `[B]` where the model is conditional."""
        return self.generator(self.conditioning.join(z, label), label)

    def prepare(self, sample: Tensor) -> Tensor:
        """What the discriminator is shown: augmented, noisy, m samples `[B, C, ...]` a pack `[B/m, m C, ...]`."""
        sample, sigma = self.augment(sample), self._noise_now()
        sample = sample + sigma * torch.randn_like(sample) if sigma else sample
        return packed(sample, self.pack)

    def judge(self, shown: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Logits `[B/m]` of what `prepare` gave, and class logits `[B/m, K]` where the conditioning has them."""
        return judge(self.discriminator, self.conditioning, shown, label, pack=self.pack)

    # -- one step -------------------------------------------------------------------------------------

    def training_step(self, batch: ImageBatch, batch_idx: int) -> dict[str, Tensor]:
        """Gathers batches, `accumulate` of them, and learns from them; the Meter logs what is told."""
        if batch_idx == 0:
            check_batch(batch[0], self.pack, self.augment)
        self._gathered.append((batch[0], batch[1] if self.num_classes else None))
        self.between_updates = awaits_more(self.trainer, batch_idx, self.accumulate)
        told = {} if self.between_updates else self._update()
        step_schedules(self)
        return told

    def _update(self) -> dict[str, Tensor]:
        """The discriminator learns from what was gathered; when it is its turn, then the generator."""
        batches = [batch for batch in self._gathered if len(batch[0]) >= self.pack]
        self._gathered = []
        if not batches:  # the rest of an epoch, too small for a pack
            return {}
        self.penalty.progress = self._progress()
        penalised = self.critic_updates % self.penalty.interval == 0
        shares = [len(real) / sum(len(real) for real, _ in batches) for real, _ in batches]
        told = self._learn(
            "d", shares, (discriminators(self, *batch, penalised=penalised) for batch in batches)
        )
        self.critic_updates += 1
        self.penalty.after_step(self._halves["d"].parameters())
        if self.critic_updates % self.critic_steps == 0:
            with frozen(self._halves["d"]):
                told |= self._learn("g", shares, (generators(self, *batch) for batch in batches))
        return told

    def _learn(
        self, half: Literal["g", "d"], shares: list[float], terms: Iterable[Terms]
    ) -> dict[str, Tensor]:
        """Steps a half's optimizer by the mean gradient over all samples of some batches; tells means and norm."""
        told, optimizer = [], both_optimizers(self)["gd".index(half)]
        for share, (objective, numbers) in zip(shares, terms, strict=True):
            self.manual_backward(objective * share)
            told.append(numbers)
        optimizer.step()
        optimizer.zero_grad()
        return averages(told) | {f"{half}_grad_norm": self._norms.pop(half)}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Measures and clips a half's gradient, here where mixed precision has unscaled it."""
        half = "g" if optimizer is both_optimizers(self)[0].optimizer else "d"
        self._norms[half] = norm_and_clip(optimizer, self.gradient_clip)

    def _noise_now(self) -> float:
        """The instance noise's standard deviation at this step."""
        training = self._trainer is not None and self.trainer.training
        return self.instance_noise * (1 - self._progress()) if self.instance_noise and training else 0.0

    def _progress(self) -> float:
        """How much of the training is done, 0 to 1; 0 where it has no end."""
        return min(1.0, self.trainer.global_step / self._total) if self._total else 0.0

    def setup(self, stage: str) -> None:
        """Lets the trainer count batches, not optimizer steps."""
        if stage == "fit":
            count_batches(self.trainer)

    def configure_optimizers(self) -> Any:
        """The generator's optimizer, then the discriminator's; schedules step each batch."""
        self._total = total_steps(self.trainer)
        if self._total is None:
            check_endless(self.instance_noise, self.penalty)
        return [
            configure(self, make_optimizer(factory, self._halves[half].parameters()), schedule)
            for half, (factory, schedule) in self._recipes.items()
        ]

    @cached_property
    def _halves(self) -> dict[str, nn.ModuleList]:
        """The modules that learn with the generator, and with the discriminator."""
        of = self.conditioning
        modules = {"g": [self.generator, of.for_generator], "d": [self.discriminator, of.for_discriminator]}
        return {half: nn.ModuleList(parts) for half, parts in modules.items()}

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """What the discriminator says of data it has not seen."""
        self._judge_unseen(batch, "val")

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """The same on the test set."""
        self._judge_unseen(batch, "test")

    def _judge_unseen(self, batch: ImageBatch, split: str) -> None:
        if len(batch[0]) >= self.pack:
            logit = self.judge(packed(batch[0], self.pack), batch[1] if self.num_classes else None)[0]
            self.log(f"{split}/real_logit", logit.mean(), batch_size=len(logit), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["critic_updates"] = self.critic_updates

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.critic_updates = checkpoint.get("critic_updates", 0)

    # -- using it -------------------------------------------------------------------------------------

    def sampling_modules(self) -> dict[str, nn.Module]:
        """What `sample` runs."""
        return {"generator": self.generator, "conditioning": self.conditioning.for_generator}

    @torch.no_grad()
    def decode(self, z: Tensor, label: Tensor | int | None = None) -> Tensor:
        """Samples `[B, ...]` at latents `[B, L]`; of a conditional model of these classes, or of all in turn."""
        check_latents(z, self.latent_dim)
        return in_pieces(self.fake, z, self.classes_of(len(z), label)).float()

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None, label: Tensor | int | None = None) -> Tensor:
        """Draws `n` samples `[n, ...]`.

        Args:
            n: how many, at least 1.
            seed: equal seeds give equal samples; None draws from the global random state.
            label: of a conditional model: one class, or `[n]`; None goes round the classes.

        Raises:
            UserError: n below 1, a class that there is not, or a label given to a model without classes.
        """
        at_least_one(n=n)
        with seeded(seed):  # on the CPU, so that a seed means the same everywhere
            z = draw_latents(self.latent, n, self.latent_dim, torch.device("cpu")).to(self.device)
        return in_pieces(self.fake, z, self.classes_of(n, label)).float()

    def classes_of(self, n: int, label: Tensor | int | None = None) -> Tensor | None:
        """The classes `[n]` that `sample(n, label=label)` draws, None where the model is not conditional."""
        num_classes = self.num_classes if self.conditioning.uses_labels else None
        return asked_classes(n, label, num_classes, self.device)
