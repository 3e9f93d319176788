"""Every adversarial loss, penalty and augmentation in conf/ builds as it stands and hides no argument."""

import inspect
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from torch import nn

from genlab.layers.augment import DiffAugment
from genlab.objectives.adversarial import AdversarialLoss
from genlab.objectives.penalties import GradientPenalty, Penalty

CONF = Path(__file__).parents[2] / "conf" / "model"
LOSSES = [
    path
    for path in sorted((CONF / "loss").glob("*.yaml"))
    if OmegaConf.load(path)._target_.startswith("genlab.objectives.adversarial.")
]
PENALTIES = sorted((CONF / "penalty").glob("*.yaml"))
AUGMENTS = sorted((CONF / "augment").glob("*.yaml"))


def stem(path):
    return path.stem


def test_the_options_are_found():
    assert {path.stem for path in LOSSES} == {
        *("minimax", "non_saturating", "least_squares", "wasserstein", "hinge"),
        *("relativistic", "relativistic_average"),
    }
    assert {path.stem for path in PENALTIES} == {
        *("none", "gradient_penalty", "r1", "r2", "r1_r2", "dragan", "lecam", "weight_clip")
    }
    assert {path.stem for path in AUGMENTS} == {"none", "diffaugment"}


@pytest.mark.parametrize("path", LOSSES, ids=stem)
def test_a_loss_gives_each_network_one_number(path):
    loss = instantiate(OmegaConf.load(path))
    assert isinstance(loss, AdversarialLoss)
    assert type(loss).__name__ == path.stem.title().replace("_", "")
    real, fake = torch.randn(4), torch.randn(4)
    assert loss.discriminator(real, fake).shape == loss.generator(fake, real).shape == ()


@pytest.mark.parametrize("sample", [(2,), (3, 6, 5)], ids=["points", "images"])
@pytest.mark.parametrize("path", PENALTIES, ids=stem)
def test_a_penalty_gives_one_number_for_points_and_for_images(path, sample):
    penalty = instantiate(OmegaConf.load(path))
    assert isinstance(penalty, Penalty)
    critic = nn.Sequential(nn.Flatten(), nn.LazyLinear(1), nn.Flatten(0))
    real, fake = torch.randn(4, *sample), torch.randn(4, *sample)
    value = penalty(critic, real, fake, critic(real), critic(fake))
    assert value.shape == () and value >= 0
    penalty.after_step(critic.parameters())


@pytest.mark.parametrize("path", AUGMENTS, ids=stem)
def test_an_augmentation_keeps_the_shape(path):
    augment = instantiate(OmegaConf.load(path), _convert_="all")
    assert augment(torch.zeros(4, 3, 6, 5)).shape == (4, 3, 6, 5)


@pytest.mark.parametrize("path", [*LOSSES, *PENALTIES, *AUGMENTS], ids=stem)
def test_every_argument_is_listed_at_its_default(path):
    node = OmegaConf.to_container(OmegaConf.load(path))
    target = get_class(node.pop("_target_"))
    if not target.__module__.startswith("genlab."):
        return
    defaults = {name: p.default for name, p in inspect.signature(target).parameters.items()}
    assert node == {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()}


def test_gradient_penalty_and_diffaugment_are_set_by_their_settings():
    node = OmegaConf.load(CONF / "penalty" / "gradient_penalty.yaml")
    penalty = instantiate(node, weight=0.1, interval=4)
    assert isinstance(penalty, GradientPenalty) and (penalty.weight, penalty.interval) == (0.1, 4)
    diffaugment = instantiate(OmegaConf.load(CONF / "augment" / "diffaugment.yaml"), policy=["cutout"])
    assert isinstance(diffaugment, DiffAugment) and diffaugment.policy == ["cutout"]
