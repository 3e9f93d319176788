"""The vector-quantised family: an autoencoder whose latents are grids of codes, and a prior over these grids.

Letters in shapes: B batch, C channels, H height, W width, P parameters per value, N codes of a codebook,
V features of a code, h and w the sides of the grid of codes.
"""

from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from genlab.code_contracts import CodePrior, MapDecoder, MapEncoder, Quantizer
from genlab.contracts import ImageBatch
from genlab.models.adversarial import at_least, averages, norm_and_clip
from genlab.models.code_grids import check_codes, draw_codes
from genlab.models.input_checks import at_least_one, check_images
from genlab.models.one_step import awaits_more, both_optimizers, count_batches
from genlab.models.optimization import configure, make_optimizer, step_plateau, step_schedules
from genlab.models.output_bias import OutputBias
from genlab.models.precision import full
from genlab.models.vqvae_terms import Seen, numbers
from genlab.objectives.codes import code_nll, commitment, perplexity, straight_through, usage
from genlab.objectives.likelihoods import Likelihood
from genlab.schedules import Plateau, Schedule
from genlab.seeding import seeded


class VQVAE(LightningModule):
    """Vector-quantised variational autoencoder (van den Oord 2017, arXiv:1711.00937) with its prior.

    The autoencoder minimises `-log p(x|z(x)) + commitment |f(x) - e(z(x))|^2`, with f the encoder's features,
    z(x) their nearest codes and e the codes' vectors, which follow the features by themselves. In the same
    step the prior minimises `-log p(z(x))`, its codes detached: it is at no time far behind.

    What is judged is the sum of both parts, `val/loss = val/reconstruction + val/prior`, in nats per image.
    The model that `sample` draws from has p(x) = sum_z p(z) p(x|z), over all N^(h w) grids. All of its terms
    are positive, and z(x) is one of the grids, so

        -log p(x) <= -log p(x|z(x)) - log p(z(x)) = `val/loss`:

    an upper bound, as the negative ELBO is, of which it is the special case q(z|x) = 1 at z(x), whose KL from
    the prior is -log p(z(x)). It is too large by -log p(z(x)|x): what the other grids add. As in a VAE x is what
    the likelihood models, binarized or dequantised, and the encoder sees the same. The commitment, which
    only trains, is not in it.
    """

    charts = {
        "what is judged (nats per image)": ["val/loss", "val/reconstruction", "val/prior"],
        "reconstruction (nats per image)": ["train/reconstruction", "val/reconstruction"],
        "codes under the prior (nats per image)": ["train/prior", "val/prior"],
        "distance from the codes": ["train/commitment"],
        "use of the codebook": ["train/perplexity", "val/perplexity", "train/used_codes", "val/used_codes"],
        "gradient norms": ["train/autoencoder_grad_norm", "train/prior_grad_norm"],
        "learning rates": ["train/autoencoder_lr", "train/prior_lr"],
        "images per second": ["rate/images_per_second"],
    }

    optimizer_names = ("autoencoder", "prior")

    def __init__(
        self,
        *,
        encoder: Callable[..., MapEncoder],
        decoder: Callable[..., MapDecoder],
        quantizer: Callable[..., Quantizer],
        prior: Callable[..., CodePrior],
        likelihood: Likelihood,
        optimizer: Callable[..., Optimizer],
        scheduler: Schedule | Plateau,
        prior_optimizer: Callable[..., Optimizer],
        prior_scheduler: Schedule | Plateau,
        image_shape: list[int],
        num_codes: int,
        code_dim: int,
        downsampling: int,
        commitment: float = 0.25,
        accumulate: int = 1,
        gradient_clip: float | None = None,
    ) -> None:
        """Completes the networks with the sizes that only the family knows.

        Args:
            encoder: called as `encoder(out_channels=code_dim, downsampling=...)`.
            decoder: called as `decoder(in_channels=code_dim, downsampling=..., params_per_value=...)`.
            quantizer: called as `quantizer(num_codes=..., code_dim=...)`.
            prior: called as `prior(num_codes=...)`.
            likelihood: p(x|z).
            optimizer: called with the parameters of the autoencoder.
            scheduler: of its learning rate; steps are batches.
            prior_optimizer: called with the parameters of the prior.
            prior_scheduler: of its learning rate.
            image_shape: `[C, H, W]`.
            num_codes: N, at least 2.
            code_dim: V, at least 1.
            downsampling: how many times smaller than the image the grid of codes is: 2, 4, 8 ...
            commitment: weight of the distance of the features from their codes, at least 0.
            accumulate: batches whose gradients make one update, at least 1; the codebook follows each.
            gradient_clip: largest norm of each part's gradient; None or 0: no limit.

        Raises:
            UserError: a number out of range.
        """
        super().__init__()
        self.automatic_optimization = False
        at_least(2, dict(num_codes=num_codes))
        at_least(1, dict(code_dim=code_dim, accumulate=accumulate))
        at_least(0, dict(commitment=commitment, gradient_clip=gradient_clip or 0.0))
        self.image_shape, self.num_codes = list(image_shape), num_codes
        self.commitment, self.accumulate, self.gradient_clip = commitment, accumulate, gradient_clip
        self.likelihood = likelihood
        self.encoder = encoder(out_channels=code_dim, downsampling=downsampling)
        self.quantizer = quantizer(num_codes=num_codes, code_dim=code_dim)
        self.decoder = decoder(
            in_channels=code_dim, downsampling=downsampling, params_per_value=likelihood.params_per_value
        )
        self.output = OutputBias(likelihood.params_per_value, image_shape)
        self.prior = prior(num_codes=num_codes)
        self._recipes = {"autoencoder": (optimizer, scheduler), "prior": (prior_optimizer, prior_scheduler)}
        self.between_updates = False
        self._gathered: list[Tensor] = []
        self._norms: dict[str, Tensor] = {}
        self._counts: Tensor | None = None  # [N], of the codes of a validation

    def start_from(self, mean_image: Tensor) -> None:
        """Lets the output begin at the best constant predictor of images with this mean `[C, H, W]`."""
        with torch.no_grad():
            self.output.bias.copy_(self.likelihood.initial_params(mean_image))

    # -- the two parts --------------------------------------------------------------------------------

    def see(self, image: Tensor) -> Seen:
        """Encodes, quantises and decodes images `[B, C, H, W]`."""
        target = self.likelihood.target(image)
        features = full(self.encoder(self.likelihood.as_image(target)))  # [B, V, h, w]
        vectors, codes = self.quantizer(features)
        log_px = self.likelihood.log_prob(self.params(straight_through(features, vectors)), target)
        return Seen(log_px, commitment(features, vectors), codes)

    def params(self, vectors: Tensor) -> Tensor:
        """The likelihood's parameters `[B, P, C, H, W]` at vectors of codes `[B, V, h, w]`."""
        return self.output(full(self.decoder(vectors)))

    def code_nll(self, codes: Tensor) -> Tensor:
        """Minus log p(z) of grids of codes `[B, h, w]`: `[B]` nats."""
        return code_nll(full(self.prior(codes)), codes)

    # -- one step -------------------------------------------------------------------------------------

    def training_step(self, batch: ImageBatch, batch_idx: int) -> dict[str, Tensor]:
        """Gathers batches, `accumulate` of them, and learns from them; the Meter logs what is told."""
        self._gathered.append(batch.image)
        self.between_updates = awaits_more(self.trainer, batch_idx, self.accumulate)
        told = {} if self.between_updates else self._update()
        step_schedules(self)
        return told

    def _update(self) -> dict[str, Tensor]:
        """The autoencoder learns from what was gathered, then the prior from its codes."""
        images, self._gathered = self._gathered, []
        shares = [len(image) / sum(map(len, images)) for image in images]
        told: list[dict[str, Tensor]] = []
        grids: list[Tensor] = []
        for image, share in zip(images, shares, strict=True):
            seen = self.see(image)
            objective = (self.commitment * seen.commitment - seen.log_px).mean()
            self.manual_backward(objective * share)
            told.append(numbers(seen, objective, self.num_codes))
            grids.append(seen.codes)
        self._step("autoencoder")
        for codes, share, one in zip(grids, shares, told, strict=True):
            nll = self.code_nll(codes).mean()
            self.manual_backward(nll * share)
            one["prior"] = nll.detach()
        self._step("prior")
        norms = {f"{part}_grad_norm": norm for part, norm in self._norms.items()}
        means = averages(told)
        return {"loss": means["objective"] + means["prior"], **means, **norms}

    def _step(self, part: str) -> None:
        optimizer = both_optimizers(self)[self.optimizer_names.index(part)]
        optimizer.step()
        optimizer.zero_grad()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Measures and clips a part's gradient, here where mixed precision has unscaled it."""
        part = self.optimizer_names[0 if optimizer is both_optimizers(self)[0].optimizer else 1]
        self._norms[part] = norm_and_clip(optimizer, self.gradient_clip)

    def setup(self, stage: str) -> None:
        """Lets the trainer count batches, not optimizer steps."""
        if stage == "fit":
            count_batches(self.trainer)

    def configure_optimizers(self) -> Any:
        """The autoencoder's optimizer, then the prior's; schedules step each batch."""
        of_prior = set(self.prior.parameters())
        halves = {
            "autoencoder": [p for p in self.parameters() if p not in of_prior],
            "prior": list(self.prior.parameters()),
        }
        return [
            configure(self, make_optimizer(factory, halves[part]), schedule)
            for part, (factory, schedule) in self._recipes.items()
        ]

    def on_train_epoch_end(self) -> None:
        """Plateau schedules look at `val/loss` here, before the epoch's checkpoint."""
        step_plateau(self)

    # -- judging --------------------------------------------------------------------------------------

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """The bound on -log p(x) and its parts."""
        self._judge(batch, "val")

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """The same on the test set."""
        self._judge(batch, "test")

    def _judge(self, batch: ImageBatch, split: str) -> None:
        seen = self.see(batch.image)
        reconstruction, prior = -seen.log_px.mean(), self.code_nll(seen.codes).mean()
        values = {"loss": reconstruction + prior, "reconstruction": reconstruction, "prior": prior}
        bits = self.likelihood.bits_per_dim(values["loss"], batch.image[0].numel())
        if bits is not None:
            values["bits_per_dim"] = bits
        named = {f"{split}/{name}": value for name, value in values.items()}
        self.log_dict(named, batch_size=len(batch.image), sync_dist=True)
        counts = usage(seen.codes, self.num_codes)
        self._counts = counts if self._counts is None else self._counts + counts

    def on_validation_epoch_end(self) -> None:
        self._tell_usage("val")

    def on_test_epoch_end(self) -> None:
        self._tell_usage("test")

    def _tell_usage(self, split: str) -> None:
        """Logs how many codes a whole split took, and how evenly."""
        counts, self._counts = self._counts, None
        if counts is not None:
            counts = self.trainer.strategy.reduce(counts, reduce_op="sum")
            used = {"perplexity": perplexity(counts), "used_codes": (counts > 0).sum().float()}
            self.log_dict({f"{split}/{name}": value for name, value in used.items()}, sync_dist=True)

    # -- using it -------------------------------------------------------------------------------------

    def sampling_modules(self) -> dict[str, nn.Module]:
        """All that is trained: pictures and judging run the encoder and the likelihood, too."""
        return dict(self.named_children())

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """Draws `n` grids of codes from the prior and decodes them: mean images `[n, C, H, W]` in [-1, 1]."""
        at_least_one(n=n)
        with seeded(seed):
            # on the CPU, so that a seed means the same everywhere
            uniform = torch.rand(n, *self.encoder.grid)
        parts = uniform.to(self.device).split(500)
        return torch.cat([self.decode(draw_codes(self.prior, part)) for part in parts])

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        """The codes `[B, h, w]` of images `[B, C, H, W]` in [-1, 1], which it sees as they are."""
        check_images(image, self.image_shape)
        return self.quantizer(full(self.encoder(image)))[1]

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Mean images `[B, C, H, W]` in [-1, 1] of grids of codes `[B, h, w]`."""
        check_codes(codes, self.encoder.grid, self.num_codes)
        return self.likelihood.mean(self.params(self.quantizer.vectors(codes)))

    def reconstruct(self, image: Tensor) -> Tensor:
        """Encodes and decodes without noise: `[B, C, H, W]` to `[B, C, H, W]`."""
        return self.decode(self.encode(image))
