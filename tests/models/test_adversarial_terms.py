"""The two objectives of a pair, value and gradient derived by hand on one-dimensional samples."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import softplus
from torch.testing import assert_close

from genlab.models.adversarial_terms import discriminators, diversity, generators, spread
from genlab.objectives.adversarial import Wasserstein
from genlab.objectives.penalties import R1, NoPenalty

REAL, NOISE, LABEL = torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [-3.0]]), torch.tensor([0, 1])


class Line:
    """D(x) = w x with w = 2, G(z) = v z with v = 1/2; class logits (x, -x) where it tells classes."""

    def __init__(self, *, penalty=None, tells=False):
        self.w = torch.tensor(2.0, requires_grad=True)
        self.v = torch.tensor(0.5, requires_grad=True)
        self.loss, self.penalty = Wasserstein(), penalty or NoPenalty()
        self.conditioning = SimpleNamespace(weight=0.5, uses_labels=tells)
        self.num_classes, self.tells = 2, tells

    def noise(self, n):
        return NOISE

    def fake(self, z, label):
        return self.v * z  # 2.5, -1.5

    def prepare(self, sample):
        return sample

    def judge(self, shown, label):
        return self.w * shown[:, 0], torch.cat([shown, -shown], 1) if self.tells else None


def test_the_discriminators_objective_by_hand():
    pair = Line(penalty=R1(3.0))
    objective, told = discriminators(pair, REAL, None, penalised=True)
    # logits: real 2, 6, fake 5, -3; loss w E fake - w E real = 1 - 4; penalty 3/2 w^2 = 6
    assert_close(objective, torch.tensor(3.0))
    wanted = dict(d_loss=-3.0, real_logit=4.0, fake_logit=1.0, penalty=6.0)
    wanted |= dict(real_wins=0.75, diversity=2.0)  # 2 > 5 fails alone; standard deviations 2 and 1
    assert {name: float(value) for name, value in told.items()} == pytest.approx(wanted)
    objective.backward()
    assert_close(pair.w.grad, torch.tensor(0.5 - 2.0 + 3 * 2.0))
    assert pair.v.grad is None


def test_between_two_lazy_penalties_there_is_none():
    objective, told = discriminators(Line(penalty=R1(3.0)), REAL, None, penalised=False)
    assert_close(objective, torch.tensor(-3.0))
    assert "penalty" not in told


def test_the_generators_objective_by_hand():
    pair = Line()
    objective, told = generators(pair, REAL, None)
    assert_close(objective, torch.tensor(-1.0))  # -w v E z = -2 * 0.5 * 1
    assert_close(told["g_loss"], torch.tensor(-1.0))
    objective.backward()
    assert_close(pair.v.grad, torch.tensor(-2.0))


def test_class_cross_entropies_count_by_their_weight_on_real_and_fake():
    pair = Line(tells=True)
    # cross-entropy of logits (x, -x): sp(-2x) for class 0, sp(2x) for class 1
    real = softplus(torch.tensor([-2.0, 6.0])).mean()
    fake = softplus(torch.tensor([-5.0, -3.0])).mean()
    objective, _ = discriminators(pair, REAL, LABEL, penalised=True)
    assert_close(objective, -3.0 + 0.5 * (real + fake))
    objective, _ = generators(pair, REAL, LABEL)
    assert_close(objective, -1.0 + 0.5 * fake)


def test_spread_is_that_of_the_batch_or_within_its_classes():
    x = torch.tensor([[0.0, 1.0], [2.0, 1.0], [10.0, 4.0], [14.0, 8.0]])
    assert_close(spread(x[:2]), torch.tensor(0.5))  # standard deviations 1 and 0
    # deviations from the class: 1, 1, 2, 2 and 0, 0, 2, 2
    within = (torch.tensor(10.0 / 4).sqrt() + torch.tensor(8.0 / 4).sqrt()) / 2
    assert_close(spread(x, torch.tensor([0, 0, 2, 2]), 3), within)


def test_a_generator_with_one_sample_a_class_has_no_diversity():
    label = torch.tensor([0, 1, 0, 1])
    real, fake = torch.randn(4, 1, 2, 2), torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])[label]
    assert float(diversity(fake, real)) > 0.1
    assert float(diversity(fake, real, label, 2)) == 0
    alone = torch.tensor([0, 1, 2, 3])
    assert float(diversity(fake, real, alone, 4)) == 1  # nothing can be said
