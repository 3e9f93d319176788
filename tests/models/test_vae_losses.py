"""What the variational family trains on, step by step, and what it refuses."""

from functools import partial

import pytest
import torch
from torch import Tensor

from comparisons import assert_same
from genlab import kl_schedules
from genlab.contracts import ImageBatch
from genlab.errors import UserError
from genlab.models.vae import VAE
from genlab.networks.mlp import MLPDecoder, MLPEncoder
from genlab.objectives.bounds import ELBO, START, Terms, Training, VariationalLoss
from genlab.objectives.capacity import Capacity
from genlab.objectives.importance import IWAE
from genlab.objectives.likelihoods import Bernoulli
from genlab.objectives.total_correlation import BetaTC
from genlab.schedules import Constant

TINY = ("model/network=mlp", "data.image_size=8", "data.batch_size=64", "trainer=cpu", "logger=csv")


def vae(loss: VariationalLoss, kl_schedule: kl_schedules.KLSchedule) -> VAE:
    torch.manual_seed(0)
    return VAE(
        encoder=partial(MLPEncoder, image_shape=[1, 8, 8], hidden=[16], activation="relu"),
        decoder=partial(MLPDecoder, image_shape=[1, 8, 8], hidden=[16], activation="relu"),
        likelihood=Bernoulli(),
        loss=loss,
        optimizer=torch.optim.Adam,
        scheduler=Constant(),
        image_shape=[1, 8, 8],
        latent_dim=3,
        kl_schedule=kl_schedule,
    )


def batch() -> ImageBatch:
    torch.manual_seed(1)
    return ImageBatch(torch.rand(16, 1, 8, 8) * 2 - 1, torch.zeros(16).long())


class Remembers(VariationalLoss):
    samples, densities = 3, True

    def __call__(self, terms: Terms, training: Training = START) -> Tensor:
        self.terms, self.at = terms, training
        return terms.log_px.mean()


def test_a_loss_gets_as_many_draws_as_it_asks_for_and_its_place_in_the_training(tmp_path):
    from genlab import assembly
    from genlab.config import compose

    cfg = compose([*TINY, "trainer.max_epochs=2", "trainer.limit_train_batches=5", "model/kl_schedule=linear",
                   "model.kl_schedule.epochs=4", "trainer.enable_progress_bar=false"])  # fmt: skip
    parts = assembly.assemble(cfg, tmp_path)
    parts.model.loss = loss = Remembers()
    assembly.fit(parts, None)
    assert loss.terms.log_px.shape == loss.terms.log_p.shape == loss.terms.log_q.shape == (3, 64)
    assert loss.terms.z.shape == (3, 64, 16) and loss.terms.kl.shape == (64, 16)
    assert loss.at == Training(step=9, kl_weight=9 / 20, num_train=1350)  # the last of ten steps


def test_what_a_step_tells_is_on_the_models_device_whence_the_meter_reads_it_in_one_go():
    model = vae(ELBO(), kl_schedules.Linear()).to("meta")
    told = model.training_step(ImageBatch(*(part.to("meta") for part in batch())), 0)
    assert "kl_weight" in told
    assert {value.device.type for value in told.values() if isinstance(value, Tensor)} == {"meta"}


@pytest.mark.parametrize(
    "loss", [IWAE(4), BetaTC(), Capacity(gamma=9.0)], ids=lambda loss: type(loss).__name__
)
def test_what_is_judged_is_the_plain_bound_whatever_is_trained(loss):
    logged: dict[str, Tensor] = {}
    for model in (vae(loss, kl_schedules.Constant()), vae(ELBO(), kl_schedules.Constant())):
        model.log_dict = lambda values, **_: logged.update(  # type: ignore[method-assign]
            {name: [*logged.get(name, []), value] for name, value in values.items()}
        )
        torch.manual_seed(2)
        model.validation_step(batch(), 0)
    for first, second in logged.values():
        torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_draws_of_one_image_differ_and_are_decoded_beside_its_own_target():
    model = vae(IWAE(4), kl_schedules.Constant())
    torch.manual_seed(3)
    terms = model.terms(batch(), samples=4, densities=True)
    assert terms.z.std(0).min() > 1e-4
    torch.manual_seed(3)
    target = model.likelihood.target(batch().image)
    for k in range(4):
        torch.testing.assert_close(
            model.likelihood.log_prob(model.params(terms.z[k]), target), terms.log_px[k]
        )


@pytest.mark.parametrize("loss", [IWAE(), Capacity()], ids=lambda loss: type(loss).__name__)
def test_a_schedule_of_a_kl_that_the_loss_does_not_weigh_is_refused(loss):
    with pytest.raises(UserError) as error:
        vae(loss, kl_schedules.Linear())
    assert str(error.value) == (
        f"Linear schedules the weight of a KL, and {type(loss).__name__} weighs none: "
        "set model/kl_schedule=constant, or choose model/loss=elbo, beta_tc or free_bits"
    )


def test_a_cyclical_schedule_of_an_endless_training_is_refused(command):
    code, _, err = command("train", *TINY, "model/kl_schedule=cyclical", "trainer.max_epochs=-1")
    assert code == 2 and err.strip() == (
        "the schedule Cyclical needs the length of the training, which is not limited in epochs or steps: "
        "set trainer.max_epochs or trainer.max_steps, or another model/kl_schedule"
    )


@pytest.mark.parametrize(
    "choice",
    [
        ("model/loss=elbo", "model/kl_schedule=linear", "model.kl_schedule.epochs=1.5"),
        ("model/loss=capacity", "model.loss.steps=20"),
    ],
    ids=["schedule", "capacity"],
)
def test_a_resumed_run_goes_on_with_the_weight_of_its_step(choice, command, tmp_path):
    fixed = (*TINY, *choice, "trainer.log_every_n_steps=5", "trainer.limit_train_batches=12")
    assert command("train", *fixed, "trainer.max_epochs=2", "hydra.run.dir=whole")[0] == 0
    assert command("train", *fixed, "trainer.max_epochs=1", "hydra.run.dir=run")[0] == 0
    assert command("train", "resume=run", "trainer.max_epochs=2")[0] == 0
    ours, theirs = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)
        for name in ("run", "whole")
    )
    for part in ("state_dict", "optimizer_states", "meter", "global_step"):
        assert_same(ours[part], theirs[part], part)
    table = (tmp_path / "run" / "metrics.csv").read_text()
    assert table == (tmp_path / "whole" / "metrics.csv").read_text()
    assert ("train/kl_weight" in table.splitlines()[0]) == ("model/kl_schedule=linear" in choice)
