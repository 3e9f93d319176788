"""One step of an adversarial pair: who learns when, from what, and what is said of it."""

import copy
from functools import partial

import pytest
import torch
from gan_stubs import SHAPE, fit, gan
from pytorch_lightning import Callback
from torch import nn

from genlab.callbacks.watchdog import Watchdog
from genlab.contracts import Sampler
from genlab.errors import UserError
from genlab.models.adversarial import packed
from genlab.networks.conditioning import Auxiliary, Concat, Projection
from genlab.networks.mlp import MLPGenerator
from genlab.objectives.adversarial import NonSaturating, Relativistic, Wasserstein
from genlab.objectives.constraints import WeightClip
from genlab.objectives.penalties import R1, GradientPenalty
from genlab.schedules import Linear


class Watch(Callback):
    """Keeps both networks' weights, and what was told, after each batch."""

    def __init__(self):
        self.states, self.told, self.steps = [], [], []

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        halves = (model.generator, model.discriminator)
        self.states.append([copy.deepcopy(half.state_dict()) for half in halves])
        self.told.append({name: float(value) for name, value in outputs.items()})
        self.steps.append(trainer.global_step)


def moved(before, after):
    return any(not torch.equal(before[name], after[name]) for name in before)


def watched(folder, model, **settings):
    watch = Watch()
    first = [copy.deepcopy(half.state_dict()) for half in (model.generator, model.discriminator)]
    trainer = fit(folder, model, watch, **settings)
    states = [first, *watch.states]
    changes = [
        [moved(a, b) for a, b in zip(one, two, strict=True)]
        for one, two in zip(states, states[1:], strict=False)
    ]
    return trainer, watch, changes


def test_a_step_is_a_batch_whatever_the_number_of_optimizers(tmp_path):
    trainer, watch, changes = watched(tmp_path, gan(), max_steps=10)
    assert watch.steps == list(range(1, 11)) and trainer.global_step == 10
    assert changes == [[True, True]] * 10


def test_the_generator_learns_once_for_so_many_updates_of_the_critic(tmp_path):
    _, watch, changes = watched(tmp_path, gan(critic_steps=3), max_steps=9)
    assert changes == [[False, True], [False, True], [True, True]] * 3
    assert ["g_loss" in told for told in watch.told] == [False, False, True] * 3


def test_gradients_accumulate_over_batches_and_an_epoch_ends_with_an_update(tmp_path):
    _, _, changes = watched(tmp_path, gan(accumulate=3), max_steps=9)
    no, yes = [False, False], [True, True]
    assert changes == [no, no, yes, no, no, yes, yes, no, yes]  # an epoch has 7 batches, the training 9


@pytest.mark.parametrize("still", ["generator", "discriminator"])
def test_each_half_moves_its_own_weights_alone(tmp_path, still):
    model = gan(**{f"{still}_optimizer": partial(torch.optim.SGD, lr=0.0)})
    _, _, changes = watched(tmp_path, model, max_steps=3)
    assert changes == [[still != "generator", still != "discriminator"]] * 3
    assert all(p.requires_grad for p in model.parameters())


def test_every_update_draws_noise_of_its_own(tmp_path, monkeypatch):
    model, drawn = gan(critic_steps=2), []
    noise = model.noise
    monkeypatch.setattr(model, "noise", lambda n: drawn.append(noise(n)) or drawn[-1])
    fit(tmp_path, model, max_steps=4, limit_val_batches=0)
    assert len(drawn) == 6  # four of the critic, two of the generator
    assert len({z.sum().item() for z in drawn}) == 6


def test_the_critic_sees_each_batch_once(tmp_path):
    model, seen = gan(critic_steps=5), []
    prepare = model.prepare
    model.prepare = lambda sample: seen.append(sample) or prepare(sample)
    fit(tmp_path, model, max_steps=7, limit_val_batches=0)
    shown = [s for s in seen if s.requires_grad is False][::2]  # real, fake, real, fake ...
    rows = torch.cat([s.flatten(1)[:, 0] for s in shown])
    assert len(rows.unique()) == len(rows) == 26


def test_the_remainder_of_an_epoch_that_fills_no_pack_is_left_out(tmp_path):
    model = gan(pack=3)
    fit(tmp_path, model, max_epochs=1)  # 6 batches of 4 and one of 2, of which validation sees the same
    assert model.critic_updates == 6
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_batches_that_fill_no_pack_are_told(tmp_path):
    with pytest.raises(
        UserError, match="model.pack=5 needs batches of as many samples, got 4: raise data.batch"
    ):
        fit(tmp_path, gan(pack=5), max_epochs=1)


def test_penalties_are_taken_in_single_precision_and_logits_are_full(tmp_path):
    seen = []

    class Look(R1):
        def forward(self, critic, real, fake, real_logits, fake_logits):
            seen.append([torch.is_autocast_enabled("cpu"), real.dtype, fake.dtype, real_logits.dtype])
            return super().forward(critic, real, fake, real_logits, fake_logits)

    fit(tmp_path, gan(penalty=Look()), max_steps=1, precision="bf16-mixed", limit_val_batches=0)
    assert seen == [[False, torch.float32, torch.float32, torch.float32]]


def test_double_precision_goes_the_whole_way(tmp_path):
    model = gan(penalty=R1())
    fit(tmp_path, model, max_steps=2, precision="64-true")
    assert {p.dtype for p in model.generator.parameters()} == {torch.float64}


def test_all_that_the_discriminator_sees_is_augmented(tmp_path):
    class Augment(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return x

    for loss, calls in ((NonSaturating(), 3), (Relativistic(), 4)):
        model = gan(augment=Augment(), loss=loss)
        fit(tmp_path, model, max_steps=1, limit_val_batches=0)
        assert model.augment.calls == calls


def test_a_lazy_penalty_is_told_every_so_many_critic_updates(tmp_path):
    _, watch, _ = watched(tmp_path, gan(penalty=R1(1.0, interval=3)), max_steps=7)
    assert ["penalty" in told for told in watch.told] == [True, False, False, True, False, False, True]


def test_weight_clipping_bounds_the_head_too(tmp_path):
    model = gan(penalty=WeightClip(0.01), loss=Wasserstein())
    fit(tmp_path, model, max_steps=3)
    weights = [p.abs().max().item() for p in model._halves["d"].parameters()]
    assert max(weights) == pytest.approx(0.01) and len(weights) == 4


def test_a_norm_is_clipped_before_the_step_and_told_as_it_was(tmp_path):
    model = gan(gradient_clip=1e-3, discriminator_optimizer=partial(torch.optim.SGD, lr=1.0))
    _, watch, _ = watched(tmp_path, model, max_steps=2, limit_val_batches=0)
    before, after = watch.states[0][1], watch.states[1][1]
    step = torch.cat([(after[name] - before[name]).flatten() for name in before])
    assert watch.told[1]["d_grad_norm"] > 1e-3 and step.norm().item() <= 1e-3 * 1.001


def test_schedules_step_by_batches(tmp_path):
    model = gan(critic_steps=5, generator_scheduler=Linear(warmup_steps=0, final_fraction=0.0))
    trainer = fit(tmp_path, model, max_steps=10)
    generator, discriminator = (optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers)
    assert generator == pytest.approx(0.0, abs=1e-9) and discriminator == 0.1


def test_packs_join_samples_on_their_channels():
    sample = torch.arange(5 * 2 * 3).view(5, 2, 3)
    assert packed(sample, 2).tolist() == sample[:4].reshape(2, 4, 3).tolist()
    assert packed(torch.arange(6).view(3, 2), 3).tolist() == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("conditioning", [partial(Concat, 4), partial(Projection, 4), partial(Auxiliary, 4)])
def test_conditional_pairs_train_and_draw_the_class_that_is_asked_for(tmp_path, conditioning):
    model = gan(conditioning=conditioning, penalty=GradientPenalty())
    fit(tmp_path, model, max_steps=4)
    one, other = (model.sample(4, seed=1, label=label) for label in (0, 2))
    assert one.shape == (4, *SHAPE) and not torch.equal(one, other)
    in_turn = model.sample(6, seed=1)
    torch.testing.assert_close(in_turn[::3], model.sample(6, seed=1, label=0)[::3])
    with pytest.raises(UserError, match="label must be from 0 to 2, got 3"):
        model.sample(1, label=3)


def test_packs_of_one_class_are_not_judged_by_class():
    gan(conditioning=partial(Concat, 4), pack=2)
    with pytest.raises(UserError, match="model.pack=2 joins samples of several classes, and Projection"):
        gan(conditioning=partial(Projection, 4), pack=2)


def test_relativistic_losses_judge_the_real_batch_in_the_generators_turn(tmp_path):
    model = gan(loss=Relativistic(), pack=2)
    fit(tmp_path, model, max_steps=3)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_instance_noise_falls_to_nothing_over_the_training(tmp_path):
    model, sigmas = gan(instance_noise=0.8), []

    class Look(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            sigmas.append(module._noise_now())

    fit(tmp_path, model, Look(), max_steps=4)
    assert sigmas == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert model._noise_now() == 0.0  # outside of training


@pytest.mark.parametrize("name", ["instance_noise", "penalty.final_weight"])
def test_what_follows_the_length_of_the_training_needs_one(tmp_path, name):
    changes = {"instance_noise": 0.1} if name == "instance_noise" else {"penalty": R1(1.0, final_weight=0.1)}
    with pytest.raises(
        UserError, match=f"model.{name} follows the length of the training, which is not limited"
    ):
        fit(tmp_path, gan(**changes), max_epochs=-1)


def test_the_weight_of_a_penalty_follows_half_a_cosine(tmp_path):
    model, weights = gan(penalty=R1(1.0, final_weight=0.2)), []

    class Look(Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            weights.append(module.penalty.weight_now())

    fit(tmp_path, model, Look(), max_steps=4)
    # 0.2 + 0.8 (1 + cos(pi k / 4)) / 2
    assert weights == pytest.approx([1.0, 0.88284, 0.6, 0.31716], abs=1e-5)


def test_a_collapsed_generator_is_told(tmp_path, caplog):
    class Constant(MLPGenerator):
        def forward(self, z, label=None):
            return super().forward(0 * z, label)

    fit(
        tmp_path,
        gan(generator=partial(Constant, SHAPE, [8])),
        Watchdog(every_n_steps=1, window=5),
        max_steps=7,
    )
    assert "the fakes are all alike: diversity is 0.000" in caplog.text


def test_it_is_a_sampler_with_equal_samples_for_equal_seeds():
    model = gan(latent="uniform")
    assert isinstance(model, Sampler)
    torch.testing.assert_close(model.sample(3, seed=7), model.sample(3, seed=7), rtol=0, atol=0)
    assert model.noise(1000).abs().max() <= 1
    with pytest.raises(UserError, match="this model knows no classes"):
        model.sample(2, label=1)
    assert not model.spherical and gan().spherical
    knowing = gan(conditioning=partial(Concat, 4))
    for label in (torch.tensor([0, 1]), torch.tensor([0.0, 1.0, 2.0])):
        with pytest.raises(UserError, match="label must be one class or 3 whole numbers, got torch"):
            knowing.sample(3, label=label)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"critic_steps": 0}, "model.critic_steps must be at least 1, got 0"),
        ({"pack": 0}, "model.pack must be at least 1, got 0"),
        ({"accumulate": 0}, "model.accumulate must be at least 1, got 0"),
        ({"latent_dim": 0}, "model.latent_dim must be at least 1, got 0"),
        ({"instance_noise": -1.0}, "model.instance_noise must be at least 0, got -1.0"),
        ({"gradient_clip": -0.5}, "model.gradient_clip must be at least 0, got -0.5"),
    ],
)
def test_numbers_out_of_range_are_told(wrong, sentence):
    with pytest.raises(UserError) as error:
        gan(**wrong)
    assert str(error.value) == sentence
