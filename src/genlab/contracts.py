"""What passes between the rooms: batches, the interfaces of networks, what a trained model can do.

Letters in shapes: B batch, C channels, H height, W width, L latent dimensions, P parameters per value.
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
    """Interface: images to features. Built by its family as `factory(out_features=...)`."""

    def forward(self, image: Tensor) -> Tensor:
        """Maps `[B, C, H, W]` in [-1, 1] to `[B, out_features]`, linear in its last layer."""
        raise NotImplementedError


class Decoder(nn.Module):
    """Interface: latents to the parameters of a distribution over images.

    Built by its family as `factory(latent_dim=..., params_per_value=...)`.
    """

    def forward(self, z: Tensor) -> Tensor:
        """Maps `[B, L]` to unbounded parameters `[B, P, C, H, W]`, P for each value of the image."""
        raise NotImplementedError


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
class Reconstructor(Protocol):
    """A model with a latent space between an encoder and a decoder."""

    def encode(self, image: Tensor) -> Tensor:
        """Maps images `[B, C, H, W]` in [-1, 1] to the mean of their latents `[B, L]`."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """Maps latents `[B, L]` to mean images `[B, C, H, W]` in [-1, 1]."""
        ...

    def reconstruct(self, image: Tensor) -> Tensor:
        """Encodes and decodes: `[B, C, H, W]` to `[B, C, H, W]`, both in [-1, 1]."""
        ...


@runtime_checkable
class Density(Protocol):
    """A model that can say how likely an image is."""

    def log_prob(self, image: Tensor, *, samples: int = 100) -> Tensor:
        """Log p(x) or a lower bound of it, `[B]` nats per image, for `[B, C, H, W]` in [-1, 1]."""
        ...


@runtime_checkable
class Charted(Protocol):
    """A model that says which of its logged scalars belong together in one chart."""

    charts: dict[str, list[str]]
    """Chart title to scalar tags, e.g. `{"loss": ["train/objective", "val/loss"]}`."""
