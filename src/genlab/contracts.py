"""What passes between the rooms: batches, the interfaces of networks, what a trained model can do.

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, P parameters per value,
D dimensions of a point, F features, K classes or draws, m samples in a pack, E label channels.
Pixels lie in [-1, 1] wherever an image passes from one room to another.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn


class ImageBatch(NamedTuple):
    """A batch of images with their labels.

    Attributes:
        image: `[B, C, H, W]`; uint8 as the loader delivers it, float in [-1, 1] as a model receives it.
        label: `[B]` int64 class indices; zeros where the data has no labels.
    """

    image: Tensor
    label: Tensor


class PointBatch(NamedTuple):
    """A batch of points with their labels.

    Attributes:
        point: `[B, D]` float, as they are: neither scaled nor shifted.
        label: `[B]` int64: the mode or curve that each belongs to.
    """

    point: Tensor
    label: Tensor


class Posterior(NamedTuple):
    """What an encoder says of the latents of a batch, of images or of sequences.

    Attributes:
        mean: `[B, L]` of the normal q(z|x).
        log_var: `[B, L]`, the logarithm of its variance.
        kl: `[B, L]`, KL(q(z|x) || p(z)) of each dimension, in nats; `[B, 1]`, of all together, where only that is known.
    """

    mean: Tensor
    log_var: Tensor
    kl: Tensor


class RunCard(NamedTuple):
    """What a run tells of itself on its dashboards.

    Attributes:
        config: all of its settings as YAML, like its config.yaml.
        settings: dotted names to plain values: only what this run was told; in a sweep only what varies.
        command: the command line as it was typed.
        swept: whether it is one of a sweep, whose runs all have these settings.
    """

    config: str
    settings: dict[str, Any]
    command: str
    swept: bool = False


class Encoder(nn.Module):
    """Interface: images to features. Built by its family as `factory(out_features=...)`.

    Of a conditional family as `factory(out_features=..., extra_channels=E)`: E label channels are joined
    to each image, of one value everywhere.
    """

    def forward(self, image: Tensor) -> Tensor:
        """Maps `[B, C + E, H, W]` in [-1, 1] to `[B, out_features]`, linear in its last layer."""
        raise NotImplementedError


class Decoder(nn.Module):
    """Interface: latents to the parameters of a distribution over images.

    Built by its family as `factory(latent_dim=..., params_per_value=...)`.
    """

    def forward(self, z: Tensor) -> Tensor:
        """Maps `[B, L]` to unbounded parameters `[B, P, C, H, W]`, P for each value of the image."""
        raise NotImplementedError


class Generator(nn.Module):
    """Interface: latents to samples. Built by its family as `factory(latent_dim=..., num_classes=...)`.

    Attributes:
        conditional_norm: of the class: whether it can scale and shift its features by class. Where it
            cannot, `num_classes` has to be None, and labels reach it joined to z.
    """

    conditional_norm: bool = False

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps `[B, L]` to images `[B, C, H, W]` in [-1, 1], or to points `[B, D]`.

        `label` `[B]` is wanted where `num_classes` was given, and is not looked at where it was not.
        """
        raise NotImplementedError


class Discriminator(nn.Module):
    """Interface: samples to features. Built by its family as `factory(extra_channels=..., pack=...)`.

    E = `extra_channels`, each of one value everywhere, are joined to each sample, and m = `pack` samples to one
    input, all on channels.

    Attributes:
        num_features: F.
        spectral_norm: whether its layers are spectrally normalised, so that the heads have to be, too.
    """

    num_features: int
    spectral_norm: bool = False

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[B, m (C + E), H, W]`, or points `[B, m (D + E)]`, to `[B, F]`: no logit yet."""
        raise NotImplementedError


class Conditioning(nn.Module):
    """Interface: how an adversarial pair uses labels, and the heads on the discriminator's features.

    Built as `factory(num_features=F, num_classes=K, spectral_norm=..., joins=...)`. `joins` says whether
    labels reach the generator by `join`: False where its conditional norms know them.

    Attributes:
        uses_labels: of the class: whether samples are of a class that is asked for.
        packs: of the class: whether it can judge packs of samples of several classes.
        weight: of the class's cross-entropy in both losses, where there are class logits.
        conditional_norm: of the class: whether it wants the generator's conditional norms, where it has some.
        embedding: dimensions that `join` adds to z.
        for_generator: the parameters that learn with the generator.
        for_discriminator: those that learn with the discriminator.
    """

    uses_labels: bool = True
    packs: bool = False
    weight: float = 1.0
    conditional_norm: bool = False
    embedding: int
    for_generator: nn.Module
    for_discriminator: nn.Module

    @staticmethod
    def extra_channels_of(num_classes: int | None) -> int:
        """E for K classes: the channels that `label_maps` gives; none unless a class says otherwise."""
        return 0

    def join(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Joins what `label` `[B]` says to z `[B, L]`: `[B, L + embedding]`."""
        raise NotImplementedError

    def label_maps(self, label: Tensor | None, like: Tensor) -> Tensor | None:
        """What `label` `[B]` adds to samples `like`: `[B, E, H, W]`, for points `[B, E]`; None where E is 0."""
        return None

    def logit(self, features: Tensor, label: Tensor | None) -> Tensor:
        """Maps features `[B, F]` and labels `[B]` to `[B]`: high where a sample seems real."""
        raise NotImplementedError

    def class_logits(self, features: Tensor) -> Tensor | None:
        """Maps `[B, F]` to `[B, K]`; None where the discriminator does not tell classes."""
        return None


class Data(Protocol):
    """What a LightningDataModule of genlab tells about its data, beside Lightning's own hooks."""

    num_train: int
    num_val: int
    num_test: int

    def prepare_data(self) -> None: ...

    def setup(self, stage: str | None = None) -> None: ...

    def facts(self) -> dict[str, Any]:
        """What only the data can tell, plain lists, numbers and texts; written into the config where null."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """What every model of genlab can do once it is trained."""

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """Draws `n` samples, images `[n, C, H, W]` in [-1, 1]; equal seeds give equal samples.

        With a seed the global random state is left as it was; without one it is drawn from.
        """
        ...

    def sampling_modules(self) -> dict[str, nn.Module]:
        """The networks that `sample` runs, by name: what an exponential moving average shadows."""
        ...


@runtime_checkable
class LatentSampler(Protocol):
    """A model that makes its samples of latents."""

    spherical: bool
    """Whether latents lie near a sphere, as normal ones do, so that ways between them are arcs, not lines."""

    def noise(self, n: int) -> Tensor:
        """Latents `[n, L]` of the prior, on the model's device, from the global random state."""
        ...

    def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents `[B, L]`, and classes `[B]` where the model wants them, to samples `[B, ...]`."""
        ...


@runtime_checkable
class ClassSampler(Protocol):
    """A model that samples of a class that it is asked for."""

    def classes_of(self, n: int) -> Tensor | None:
        """The classes in turn, `[n]`; None where it was trained without labels."""
        ...

    def sample(self, n: int, *, seed: int | None = None, label: Tensor | int | None = None) -> Tensor:
        """Draws `n` samples `[n, ...]` of the class `label`, or of those in `[n]`."""
        ...


@runtime_checkable
class Reconstructor(Protocol):
    """A model with a latent space between an encoder and a decoder.

    Each of the three is given the classes `[B]` as well, where the model's `classes_of` is not None.
    """

    def encode(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images `[B, C, H, W]` in [-1, 1] to the mean of their latents `[B, L]`."""
        ...

    def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents `[B, L]` to mean images `[B, C, H, W]` in [-1, 1]."""
        ...

    def reconstruct(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Encodes and decodes: `[B, C, H, W]` to `[B, C, H, W]`, both in [-1, 1]."""
        ...


@runtime_checkable
class Density(Protocol):
    """A model that can say how likely an image is."""

    def log_prob(self, image: Tensor, *, samples: int = 100) -> Tensor:
        """Log p(x) or a lower bound of it, `[B]` nats per image, for `[B, C, H, W]` in [-1, 1]."""
        ...


@runtime_checkable
class ImportanceSampler(Protocol):
    """A model with latents whose density is a mean of importance weights."""

    def log_weights(self, batch: ImageBatch, *, samples: int, chunk: int) -> Tensor:
        """Log p(x, z) - log q(z|x) `[K, B]` at K = `samples` draws of z for each image, `chunk` at a time."""
        ...


@runtime_checkable
class LatentModel(Protocol):
    """A model whose encoder gives a distribution of latents."""

    def infer(self, batch: Any) -> Posterior:
        """What q(z|x) is for each row of a batch as it trains on; where the likelihood draws targets, for one draw.

        An `ImageBatch`, or the `SequenceBatch` of `genlab.sequence_contracts`.
        """
        ...


@runtime_checkable
class Charted(Protocol):
    """A model that says which of its logged scalars belong together in one chart."""

    charts: dict[str, list[str]]
    """Chart title to scalar tags, e.g. `{"loss": ["train/objective", "val/loss"]}`."""
