"""Classes that the tests' configs name: smaller than real ones, shaped alike."""

import os
import time
from collections.abc import Callable
from typing import Literal

import torch
from pytorch_lightning import Callback, LightningModule
from torch.nn import Embedding
from torch.nn.functional import cross_entropy, softplus
from torch.optim import Optimizer

from genlab.contracts import Decoder, Encoder
from genlab.seeding import seeded


class Loss:
    pass


class ELBO(Loss):
    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta


class Hinge:
    pass


class Network:
    def __init__(self, width: int, *, outputs: int = 1) -> None:
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        self.width = width


class Data:
    def __init__(self, image_shape: list[int] | None = None, batch_size: int = 8) -> None:
        self.image_shape = image_shape


class Model:
    def __init__(
        self,
        loss: Loss,
        network: Callable[..., Network],
        image_shape: list[int],
        mode: Literal["sum", "mean"] = "sum",
        betas: tuple[float, float] = (0.9, 0.999),
        rate: float | None = None,
    ) -> None:
        self.loss, self.network = loss, network


class Trainer:
    def __init__(self, max_epochs: int | None = None) -> None:
        self.max_epochs = max_epochs


class KillAt(Callback):
    """Sends this process, or the sweep that started it, a signal after a step, while the environment says which."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self.step and "KILL_WITH" in os.environ:
            sweep = os.environ.get("KILL_WHOM") == "sweep"
            os.kill(os.getppid() if sweep else os.getpid(), int(os.environ["KILL_WITH"]))
            time.sleep(
                1 if sweep else 0
            )  # the sweep, or its end, has to reach this process before the run's end


class Fault(Callback):
    """A bug that shows when training begins, in one rank or in all; `says="nothing"` has none."""

    def __init__(self, says: str, rank: int | None = None) -> None:
        self.says, self.rank = says, rank

    def on_train_start(self, trainer, pl_module) -> None:
        if self.says != "nothing" and self.rank in (None, trainer.global_rank):
            raise RuntimeError(self.says)


class StubGAN(LightningModule):
    """As much of somebody's GAN as shows that networks, data, callbacks and verbs do not ask which family they serve."""

    def __init__(
        self,
        painter: Callable[..., Decoder],
        critic: Callable[..., Encoder],
        optimizer: Callable[..., Optimizer],
        image_shape: list[int],
        latent_dim: int,
    ) -> None:
        super().__init__()
        self.painter = painter(latent_dim=latent_dim, params_per_value=1)
        self.critic = critic(out_features=1)
        self.latent_dim, self._optimizer = latent_dim, optimizer

    def training_step(self, batch, batch_idx):
        logits = self.critic(self.sample(len(batch.image)))
        loss = softplus(-logits).mean()
        return {"loss": loss, "g_loss": loss.detach()}

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return self._optimizer(self.parameters())

    def sampling_modules(self):
        return {"painter": self.painter}

    def sample(self, n, *, seed=None):
        with seeded(seed):
            z = torch.randn(n, self.latent_dim)
        return self.painter(z)[:, 0].tanh()


class Bigrams(LightningModule):
    """As much of a model of text as shows that its data, codec, checkpoints and verbs go together."""

    def __init__(self, vocab_size: int, windows: str = "contiguous") -> None:
        super().__init__()
        self.table = Embedding(vocab_size, vocab_size)
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append((batch.target.tolist(), batch.begins.tolist()))
        loss = cross_entropy(self.table(batch.input).transpose(1, 2), batch.target)
        return {"loss": loss, "objective": loss.detach()}

    def validation_step(self, batch, batch_idx):
        self._judge(batch, "val/loss")

    def test_step(self, batch, batch_idx):
        self._judge(batch, "test/loss")

    def _judge(self, batch, name):
        nats = cross_entropy(self.table(batch.input).transpose(1, 2), batch.target, reduction="none")
        self.log(name, (nats * batch.weight).sum() / batch.weight.sum(), batch_size=int(batch.weight.sum()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def sampling_modules(self):
        return {"table": self.table}

    def sample(self, n, *, seed=None):
        with seeded(seed):
            return torch.randint(self.table.num_embeddings, (n, 5))
