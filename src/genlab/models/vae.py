"""The variational family: order of events of one step, what is logged, and how it samples.

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, P parameters per value,
K importance samples.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from genlab.contracts import Decoder, Encoder, ImageBatch, Posterior
from genlab.errors import UserError
from genlab.kl_schedules import Constant, KLSchedule
from genlab.models.annealing import Annealing
from genlab.models.classes import LabelInputs, asked_classes, in_pieces
from genlab.models.input_checks import at_least_one, check_images, check_latents
from genlab.models.optimization import clip_gradients, configure, make_optimizer, step_plateau
from genlab.models.output_bias import OutputBias
from genlab.models.precision import full
from genlab.models.variational_terms import bound_terms, doubts, importance_weights, infer
from genlab.objectives.bounds import Terms, VariationalLoss
from genlab.objectives.likelihoods import Likelihood
from genlab.objectives.priors import Prior, Standard, check_prior
from genlab.schedules import Plateau, Schedule
from genlab.seeding import seeded


class VAE(LightningModule):
    """Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114), unconditional or conditional.

    A conditional one has an encoder q(z|x, y), a decoder p(x|z, y) and where asked a prior p(z|y) (Sohn et al. 2015).
    Trained on `loss` of the parts of the evidence lower bound; judged on the plain bound in nats per
    image, `val/loss`, whatever it was trained on.
    """

    charts = {
        "what is trained, what is judged (nats per image)": ["train/objective", "val/loss"],
        "reconstruction (nats per image)": ["train/reconstruction", "val/reconstruction"],
        "KL from the prior (nats per image)": ["train/kl", "val/kl"],
        "latent dimensions in use": ["val/active_units"],
        "learning rate": ["train/lr"],
        "images per second": ["rate/images_per_second"],
    }

    def __init__(
        self,
        *,
        encoder: Callable[..., Encoder],
        decoder: Callable[..., Decoder],
        likelihood: Likelihood,
        loss: VariationalLoss,
        optimizer: Callable[..., Optimizer],
        scheduler: Schedule | Plateau,
        image_shape: list[int],
        latent_dim: int,
        kl_schedule: KLSchedule = Constant(),  # noqa: B008
        prior: Callable[..., Prior] = Standard,
        conditional: bool = False,
        embedding: int = 16,
        num_classes: int | None = None,
    ) -> None:
        """Completes the networks with the sizes that only the family knows.

        Args:
            encoder: called as `encoder(out_features=2 * latent_dim)`, where labels are used with extra_channels.
            decoder: called as `decoder(latent_dim=..., params_per_value=...)`.
            likelihood: p(x|z).
            loss: the trained objective of the terms of the bound.
            optimizer: called with the parameters.
            scheduler: of the learning rate.
            image_shape: `[C, H, W]`.
            latent_dim: L, at least 1.
            kl_schedule: of the weight of the KL in `loss`.
            prior: called as `prior(latent_dim=..., num_classes=..., posterior=...)`.
            conditional: whether encoder, decoder and prior are told the class of an image.
            embedding: dimensions of a class beside z, at least 1.
            num_classes: of the data; None where it has no labels.

        Raises:
            UserError: `latent_dim` below 1, or parts that do not go together.
        """
        super().__init__()
        if latent_dim < 1:
            raise UserError(f"model.latent_dim must be at least 1, got {latent_dim}")
        self.latent_dim, self.image_shape = latent_dim, list(image_shape)
        self.likelihood = likelihood
        self.loss, self.annealing = loss, Annealing(kl_schedule, loss)
        if not self.annealing.constant:
            self.charts = {**self.charts, "weight of the KL": ["train/kl_weight"]}
        labels = LabelInputs(num_classes, embedding) if conditional else None
        extra = {"extra_channels": labels.num_classes} if labels else {}
        self.encoder = encoder(out_features=2 * latent_dim, **extra)
        self.decoder = decoder(
            latent_dim=latent_dim + (embedding if labels else 0), params_per_value=likelihood.params_per_value
        )
        self.labels = labels
        self.output = OutputBias(likelihood.params_per_value, image_shape)
        self.prior = prior(
            latent_dim=latent_dim, num_classes=num_classes if conditional else None, posterior=self.posterior
        )
        check_prior(loss, self.prior)
        self.spherical, self.notes = self.prior.spherical, doubts(self.prior, self.encoder)
        self._optimizer, self._scheduler = optimizer, scheduler

    def __setattr__(self, name: str, value: Any) -> None:
        # set by Lightning forty times a batch; torch would look among parameters and modules each time
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def start_from(self, mean_image: Tensor) -> None:
        """Lets the output begin at the best constant predictor of images with this mean `[C, H, W]`."""
        with torch.no_grad():
            self.output.bias.copy_(self.likelihood.initial_params(mean_image))

    # -- the bound ------------------------------------------------------------------------------------

    def posterior(self, image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), each `[B, L]`, for images `[B, C, H, W]` of classes `[B]`."""
        if self.labels is not None:
            image = self.labels.beside_image(image, _given(label))
        mean, log_var = full(self.encoder(image)).chunk(2, dim=1)
        return mean, log_var

    def params(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """The likelihood's parameters `[B, P, C, H, W]` at latents `[B, L]` of classes `[B]`."""
        if self.labels is not None:
            z = self.labels.beside_latent(z, _given(label))
        return self.output(full(self.decoder(z.to(self.output.bias.dtype))))

    def terms(self, batch: ImageBatch, *, samples: int = 1, densities: bool = False) -> Terms:
        """What an objective is made of, at `samples` draws of z per image; with `densities` always log p(z)."""
        return bound_terms(self, batch, samples=samples, densities=densities)

    def infer(self, batch: ImageBatch) -> Posterior:
        """What the encoder says of a batch, for one draw of the targets."""
        return infer(self, batch)

    @torch.no_grad()
    def log_prob(
        self, image: Tensor, label: Tensor | int | None = None, *, samples: int = 100, chunk: int = 1000
    ) -> Tensor:
        """Importance-sampled lower bound of log p(x), tighter with more samples (arXiv:1509.00519, eq. 8).

        Args:
            image: `[B, C, H, W]` in [-1, 1].
            label: of a conditional model, whose log p(x|y) it is: `[B]`, or one class.
            samples: K, draws of z per image.
            chunk: latents decoded at once; bounds the memory.

        Returns:
            `[B]` nats per image.
        """
        check_images(image, self.image_shape)
        known = self._label(image, label)
        batch = ImageBatch(image, torch.zeros(len(image), dtype=torch.int64) if known is None else known)
        return self.log_weights(batch, samples=samples, chunk=chunk).logsumexp(0) - math.log(samples)

    @torch.no_grad()
    def log_weights(self, batch: ImageBatch, *, samples: int, chunk: int = 1000) -> Tensor:
        """Log p(x, z) - log q(z|x) `[K, B]` at K draws of z for each image, all under one draw of its target."""
        at_least_one(samples=samples)
        return importance_weights(self, batch, samples=samples, chunk=chunk)

    # -- training and judging -------------------------------------------------------------------------

    def training_step(self, batch: ImageBatch, batch_idx: int) -> dict[str, Any]:
        """One step; the Meter callback averages and logs what is returned beside `loss`."""
        terms = self.terms(batch, samples=self.loss.samples, densities=self.loss.densities)
        training = self.annealing.now(self._trainer)
        objective = self.loss(terms, training)
        with torch.no_grad():
            told: dict[str, Any] = {"reconstruction": -terms.log_px.mean(), "kl": terms.divergence.mean()}
        if not self.annealing.constant:
            told["kl_weight"] = training.kl_weight
        return {"loss": objective, "objective": objective.detach(), **told}

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """The plain negative bound, whatever is trained."""
        self._judge(batch, "val")

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """The same on the test set."""
        self._judge(batch, "test")

    def _judge(self, batch: ImageBatch, split: str) -> None:
        terms = self.terms(batch)
        reconstruction, divergence = -terms.log_px.mean(), terms.divergence.mean()
        values = {"loss": reconstruction + divergence, "reconstruction": reconstruction, "kl": divergence}
        bits = self.likelihood.bits_per_dim(values["loss"], batch.image[0].numel())
        if bits is not None:
            values["bits_per_dim"] = bits
        named = {f"{split}/{name}": value for name, value in values.items()}
        self.log_dict(named, batch_size=len(batch.image), sync_dist=True)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Lightning's own clipping refuses fused optimizers under mixed precision."""
        clip_gradients(self, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """One optimizer for both networks, its schedule by step."""
        self.annealing.prepare(self.trainer)
        return configure(self, make_optimizer(self._optimizer, self.parameters()), self._scheduler)

    def on_train_epoch_end(self) -> None:
        """Plateau schedules look at `val/loss` here, before the epoch's checkpoint."""
        step_plateau(self)

    # -- using it -------------------------------------------------------------------------------------

    def sampling_modules(self) -> dict[str, nn.Module]:
        """All that is trained: pictures and judging run the encoder and the likelihood, too."""
        modules = {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "output": self.output,
            "likelihood": self.likelihood,
        }
        learned = {"prior": self.prior} if list(self.prior.parameters()) else {}
        return modules | learned | ({"labels": self.labels} if self.labels is not None else {})

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None, label: Tensor | int | None = None) -> Tensor:
        """Decodes `n` draws of the prior: mean images `[n, C, H, W]` in [-1, 1].

        Args:
            n: how many, at least 1.
            seed: equal seeds give equal samples; None draws from the global random state.
            label: of a conditional model: one class, or `[n]`; None goes round the classes.

        Raises:
            UserError: n below 1, a class that there is not, or a label given to a model without classes.
        """
        at_least_one(n=n)
        known = self.classes_of(n, label)
        with seeded(seed):
            z = self.prior.sample(n, known)
        return in_pieces(self._mean_image, z, known)

    def classes_of(self, n: int, label: Tensor | int | None = None) -> Tensor | None:
        """The classes `[n]` that `sample(n, label=label)` draws, None where the model is not conditional."""
        num_classes = self.labels.num_classes if self.labels is not None else None
        return asked_classes(n, label, num_classes, self.device)

    @torch.no_grad()
    def encode(self, image: Tensor, label: Tensor | int | None = None) -> Tensor:
        """The posterior's mean `[B, L]` for images `[B, C, H, W]` in [-1, 1], which it sees as they are.

        Under a likelihood that binarizes, gray stands for the expected image. A conditional model wants their classes.
        """
        check_images(image, self.image_shape)
        return self.posterior(image, self._label(image, label))[0]

    @torch.no_grad()
    def decode(self, z: Tensor, label: Tensor | int | None = None) -> Tensor:
        """Mean images `[B, C, H, W]` in [-1, 1] at latents `[B, L]`; of these classes, or of all in turn."""
        check_latents(z, self.latent_dim)
        return self._mean_image(z, self.classes_of(len(z), label))

    def _mean_image(self, z: Tensor, label: Tensor | None) -> Tensor:
        return self.likelihood.mean(self.params(z, label))

    def _label(self, image: Tensor, label: Tensor | int | None) -> Tensor | None:
        """The classes `[B]` of images, which a conditional model has to be told."""
        if self.labels is not None and label is None:
            raise UserError("this model is conditional: give the class of each image, label=...")
        return self.classes_of(len(image), label)

    def reconstruct(self, image: Tensor, label: Tensor | int | None = None) -> Tensor:
        """Encodes and decodes without noise: `[B, C, H, W]` to `[B, C, H, W]`."""
        return self.decode(self.encode(image, label), label)


def _given(label: Tensor | None) -> Tensor:
    assert label is not None, "a conditional model is given labels"
    return label
