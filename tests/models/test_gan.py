"""One step of an adversarial pair: who learns when, from what, and what is said of it."""

import copy
from functools import partial

import pytest
import torch
from gan_stubs import SHAPE, fit, gan
from pytorch_lightning import Callback
from torch import nn

from genlab.contracts import Sampler
from genlab.errors import UserError
from genlab.models.adversarial import frozen, packed, spread
from genlab.networks.conditioning import Auxiliary, Concat, Projection
from genlab.objectives.adversarial import Relativistic, Wasserstein
from genlab.objectives.penalties import R1, GradientPenalty, WeightClip
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
    assert changes == [no, no, yes, no, no, yes, yes, no, no]  # an epoch has 7 batches


def test_each_half_moves_its_own_weights_alone():
    model = gan()
    real = torch.rand(6, *SHAPE)
    for loss, mine, other in (
        (lambda: model.loss.generator(model.judge(model.fake(model.noise(6), None), None)[0]), "g", "d"),
        (lambda: model.loss.discriminator(*_logits(model, real)), "d", "g"),
    ):
        halves = model._halves()
        for half in halves.values():
            half.zero_grad()
        with frozen(halves[other]):
            loss().backward()
        assert all(p.grad is not None for p in halves[mine].parameters())
        assert all(p.grad is None for p in halves[other].parameters())
        assert all(p.requires_grad for p in model.parameters())


def _logits(model, real):
    with torch.no_grad():
        fake = model.fake(model.noise(6), None)
    return model.judge(real, None)[0], model.judge(fake, None)[0]


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


def test_told_numbers_by_hand(tmp_path):
    class Same(nn.Module):
        num_features, spectral_norm = 16, False

        def forward(self, x):
            return x.flatten(1)

    model = gan(discriminator=lambda extra_channels, pack: Same(), loss=Wasserstein())
    with torch.no_grad():
        model.conditioning.for_discriminator.weight.fill_(1.0)
        model.conditioning.for_discriminator.bias.zero_()
    real = torch.tensor([[1.0, 3.0], [2.0, 2.0]]).repeat(1, 8).view(2, *SHAPE)  # sums 32 and 32
    assert model.judge(real, None)[0].tolist() == [32.0, 32.0]
    # each value's standard deviation over the batch: 0.7071 for (1, 2) and for (3, 2)
    torch.testing.assert_close(spread(real), torch.tensor(0.5**0.5))


def test_a_lazy_penalty_is_told_every_so_many_critic_updates(tmp_path):
    _, watch, _ = watched(tmp_path, gan(penalty=R1(1.0, interval=3)), max_steps=7)
    assert ["penalty" in told for told in watch.told] == [True, False, False, True, False, False, True]


def test_weight_clipping_bounds_the_head_too(tmp_path):
    model = gan(penalty=WeightClip(0.01), loss=Wasserstein())
    fit(tmp_path, model, max_steps=3)
    weights = [p.abs().max().item() for p in model._halves()["d"].parameters()]
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


def test_it_is_a_sampler_with_equal_samples_for_equal_seeds():
    model = gan(latent="uniform")
    assert isinstance(model, Sampler)
    torch.testing.assert_close(model.sample(3, seed=7), model.sample(3, seed=7), rtol=0, atol=0)
    assert model.noise(1000).abs().max() <= 1
    with pytest.raises(UserError, match="this model knows no classes"):
        model.sample(2, label=1)


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
