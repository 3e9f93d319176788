"""Norms whose scale and shift depend on the class, and the layers that hand the labels on."""

from typing import get_args

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genlab.layers.labelled import LabelledSequential
from genlab.layers.norms import ClassNorm, NormName, norm2d, refuse_classes


def test_each_sample_gets_the_scale_and_the_shift_of_its_class():
    # channel 0 holds 1 and 3: mean 2, deviation 1, so -1 and 1; channel 1 holds 10 and 30: likewise
    x = torch.tensor([[1.0, 10.0], [3.0, 30.0]]).view(2, 2, 1, 1)
    norm = norm2d("batch", 2, num_classes=3)
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([[1.0, 1.0], [2.0, 3.0], [5.0, 7.0]]))
        norm.shift.copy_(torch.tensor([[0.0, 0.0], [0.5, 0.25], [-1.0, 4.0]]))
    y = norm(x, torch.tensor([2, 1]))
    expected = torch.tensor([[-5 - 1, -7 + 4], [2 + 0.5, 3 + 0.25]]).view(2, 2, 1, 1)
    assert_close(y, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", get_args(NormName))
def test_a_new_class_norm_is_the_norm_itself(name):
    x = 3 + 2 * torch.randn(6, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    norm = norm2d(name, 8, num_classes=4)
    assert isinstance(norm, ClassNorm)
    assert_close(norm(x, torch.tensor([0, 1, 2, 3, 0, 1])), norm2d(name, 8)(x))


@pytest.mark.parametrize("name", get_args(NormName))
def test_a_class_norm_has_one_scale_and_one_shift_a_class_and_channel_and_no_others(name):
    shapes = [tuple(p.shape) for p in norm2d(name, 8, num_classes=4).parameters()]
    assert shapes == [(4, 8), (4, 8)]


def test_a_class_norm_without_labels_is_refused():
    message = "^a network with a norm for each class needs the label of each sample, got none$"
    with pytest.raises(ValueError, match=message):
        norm2d("batch", 2, num_classes=3)(torch.randn(2, 2, 1, 1))


def test_only_classes_that_are_seen_learn():
    norm = norm2d("batch", 2, num_classes=3)
    norm(torch.randn(4, 2, 3, 3), torch.tensor([0, 2, 2, 0])).square().sum().backward()
    assert norm.scale.grad.any(1).tolist() == [True, False, True]


def test_layers_in_a_row_hand_the_label_to_those_that_take_it():
    norm = norm2d("none", 1, num_classes=2)
    nn.init.constant_(norm.shift[1], 10.0)
    layers = LabelledSequential(nn.ReLU(), LabelledSequential(norm, nn.Identity()))
    x = torch.tensor([-1.0, 2.0]).view(2, 1, 1, 1)
    assert layers(x, torch.tensor([1, 0])).flatten().tolist() == [10, 2]


def test_layers_in_a_row_without_a_norm_for_classes_need_no_label():
    assert LabelledSequential(nn.ReLU())(torch.tensor([-1.0, 2.0])).tolist() == [0, 2]


def test_a_network_without_norms_refuses_classes():
    refuse_classes("mlp", None)
    with pytest.raises(
        ValueError, match="^mlp has no norm to tell 10 classes: labels have to be joined to z$"
    ):
        refuse_classes("mlp", 10)
