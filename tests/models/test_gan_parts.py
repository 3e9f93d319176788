"""Accumulated batches are one batch; parts that mean nothing together are refused or noted."""

from functools import partial

import pytest
import torch
from callback_stubs import quiet_trainer
from gan_stubs import SHAPE, gan

from genlab.contracts import ImageBatch
from genlab.errors import UserError
from genlab.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genlab.networks.sngan import SNGANDiscriminator
from genlab.objectives.adversarial import Wasserstein
from genlab.objectives.constraints import WeightClip
from genlab.objectives.penalties import R1


def steps(folder, batches, latents, **settings):
    """The weights after training on batches with given noise, by SGD."""
    sgd = partial(torch.optim.SGD, lr=0.1)
    model = gan(generator_optimizer=sgd, discriminator_optimizer=sgd, **settings)
    drawn = iter(latents)
    model.noise = lambda n: next(drawn)
    trainer = quiet_trainer(folder, [], max_epochs=1, limit_val_batches=0, logger=False)
    labelled = [ImageBatch(image, torch.arange(len(image)) % 3) for image in batches]
    trainer.fit(model, torch.utils.data.DataLoader(labelled, batch_size=None))
    assert next(drawn, None) is None
    return model.state_dict()


@pytest.mark.parametrize("settings", [{}, {"critic_steps": 2}, {"penalty": R1(1.0)}], ids=str)
def test_accumulated_batches_are_one_batch(tmp_path, settings):
    torch.manual_seed(1)
    images, both = torch.rand(4, 8, *SHAPE) * 2 - 1, settings.get("critic_steps", 1)
    latents = [z for k in range(4) for z in torch.randn(1 + ((k + 1) % both == 0), 8, 2)]
    joined = steps(tmp_path, images, latents, **settings)
    halves = [half for image in images for half in image.split([3, 5])]  # unlike in size
    parts = steps(
        tmp_path, halves, [part for z in latents for part in z.split([3, 5])], accumulate=2, **settings
    )
    torch.testing.assert_close(parts, joined)


def test_what_is_left_at_the_end_of_an_epoch_counts_in_full(tmp_path):
    torch.manual_seed(1)
    images, latents = torch.rand(1, 8, *SHAPE), torch.randn(2, 8, 2)
    alone = steps(tmp_path, images, latents)
    torch.testing.assert_close(steps(tmp_path, images, latents, accumulate=4), alone)


def test_doubtful_pairs_are_noted_and_senseless_ones_refused():
    norm = partial(DCGANDiscriminator, [1, 16, 16], 4)
    small = {"generator": partial(DCGANGenerator, [1, 16, 16], 4)}
    (note,) = gan(discriminator=norm, penalty=R1(), **small).notes
    assert note.startswith(
        "R1 takes the slope at each sample alone, and batch norm in the discriminator mixes"
    )
    assert not gan(discriminator=partial(norm, norm="group"), penalty=R1(), **small).notes
    (note,) = gan(loss=Wasserstein()).notes
    assert note.startswith(
        "Wasserstein has no lower limit unless the discriminator's slope is bounded: add model/"
    )
    assert not gan(loss=Wasserstein(), penalty=WeightClip()).notes
    normalised = partial(SNGANDiscriminator, [1, 16, 16], 4)
    assert not gan(discriminator=normalised, loss=Wasserstein(), **small).notes
    with pytest.raises(
        UserError, match="WeightClip does nothing to SNGANDiscriminator, whose layers are divided"
    ):
        gan(discriminator=normalised, penalty=WeightClip(), **small)
