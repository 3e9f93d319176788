"""Conditionings against values by hand; the options are those of conf/."""

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.testing import assert_close

from genlab.config import conf_dir
from genlab.contracts import Conditioning
from genlab.errors import UserError
from genlab.networks.conditioning import Auxiliary, Concat, Projection, Unconditional

OPTIONS = sorted((conf_dir() / "model" / "conditioning").glob("*.yaml"))
LABELLED = [file for file in OPTIONS if file.stem != "none"]
LABEL = torch.tensor([2, 0, 2])


def build(file, **changes):
    """For 4 features and 3 classes."""
    return instantiate(OmegaConf.load(file))(**{"num_features": 4, "num_classes": 3, **changes})


@pytest.fixture(params=OPTIONS, ids=lambda file: file.stem)
def file(request):
    return request.param


@pytest.fixture(params=LABELLED, ids=lambda file: file.stem)
def labelled(request):
    return request.param


def set_head(linear, weight, bias):
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(weight))
        linear.bias.copy_(torch.tensor(bias))


def test_the_options_are_found():
    assert [file.stem for file in OPTIONS] == ["auxiliary", "concat", "none", "projection"]


def test_every_conditioning_keeps_what_the_interface_promises(file):
    conditioning = build(file)
    assert isinstance(conditioning, Conditioning)
    features, z = torch.randn(3, 4), torch.randn(3, 5)
    assert conditioning.logit(features, LABEL).shape == (3,)
    assert conditioning.join(z, LABEL).shape == (3, 5 + conditioning.embedding)
    extra = conditioning.extra_channels_of(3)
    for like, shape in ((torch.randn(3, 1, 6, 7), (3, extra, 6, 7)), (torch.randn(3, 2), (3, extra))):
        maps = conditioning.label_maps(LABEL, like)
        assert maps is None if extra == 0 else maps.shape == shape


def test_the_two_networks_share_no_parameter_and_none_belongs_to_neither(file):
    conditioning = build(file)
    parts = [list(part.parameters()) for part in (conditioning.for_generator, conditioning.for_discriminator)]
    ids = [{id(p) for p in part} for part in parts]
    assert not ids[0] & ids[1]
    assert ids[0] | ids[1] == {id(p) for p in conditioning.parameters()}
    assert bool(ids[0]) == (file.stem != "none") and ids[1]


def test_every_parameter_is_used_by_the_network_that_it_learns_with(file):
    for joins in (True, False):
        conditioning = build(file, joins=joins)
        z = torch.randn(3, 5, requires_grad=True)
        conditioning.join(z, LABEL).square().sum().backward()
        features = torch.randn(3, 4)
        classes = conditioning.class_logits(features)
        loss = conditioning.logit(features, LABEL).sum() + (0 if classes is None else classes.square().sum())
        loss.backward()
        assert all(p.grad is not None and p.grad.any() for p in conditioning.parameters())


def test_weights_survive_being_stored(file):
    one, other = build(file, spectral_norm=True), build(file, spectral_norm=True)
    other.load_state_dict(one.state_dict())
    features, z = torch.randn(3, 4), torch.randn(3, 5)
    assert torch.equal(one.eval().logit(features, LABEL), other.eval().logit(features, LABEL))
    assert torch.equal(one.join(z, LABEL), other.join(z, LABEL))


def test_spectral_norm_reaches_every_head(file):
    conditioning = build(file, spectral_norm=True)
    heads = [m for m in conditioning.for_discriminator.modules() if isinstance(m, (nn.Linear, nn.Embedding))]
    assert heads and all(is_parametrized(head, "weight") for head in heads)
    for _ in range(30):
        conditioning.logit(torch.randn(3, 4), LABEL)
        conditioning.class_logits(torch.randn(3, 4))
    for head in heads:
        assert_close(torch.linalg.matrix_norm(head.weight, 2), torch.tensor(1.0), atol=1e-3, rtol=0)


def test_labels_join_z_as_their_own_embedding_or_not_at_all(labelled):
    conditioning = build(labelled, embedding=2)
    table = conditioning.for_generator.table.weight
    z = torch.randn(3, 5)
    joined = conditioning.join(z, LABEL)
    assert torch.equal(joined, torch.cat([z, torch.stack([table[2], table[0], table[2]])], dim=1))
    silent = build(labelled, joins=False)
    assert silent.embedding == 0 and silent.join(z, LABEL) is z


def test_without_labels_there_is_one_linear_head():
    conditioning = Unconditional(num_features=2)
    set_head(conditioning.for_discriminator, [[1.0, -2.0]], [0.5])
    # 1 * 3 - 2 * 4 + .5
    assert_close(conditioning.logit(torch.tensor([[3.0, 4.0]]), None), torch.tensor([-4.5]))


def test_label_maps_are_one_in_the_channel_of_the_class():
    conditioning = Concat(2, num_features=4, num_classes=3)
    maps = conditioning.label_maps(LABEL, torch.zeros(3, 1, 2, 2))
    expected = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 0, 1]])
    assert torch.equal(maps, expected.view(3, 3, 1, 1).expand(3, 3, 2, 2))
    assert torch.equal(conditioning.label_maps(LABEL, torch.zeros(3, 2)), expected)
    assert conditioning.label_maps(LABEL, torch.zeros(3, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_projection_adds_the_product_of_the_features_and_the_vector_of_the_class():
    conditioning = Projection(2, num_features=2, num_classes=3)
    set_head(conditioning.for_discriminator["psi"], [[1.0, -2.0]], [0.5])
    v = conditioning.for_discriminator["v"]
    with torch.no_grad():
        v.weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0], [2.0, -1.0]]))
    features = torch.tensor([[3.0, 4.0]]).expand(3, 2)
    # -4.5 from psi; then 2 * 3 - 1 * 4 = 2, 1 * 3 + 1 * 4 = 7, and 0
    expected = torch.tensor([-2.5, 2.5, -4.5])
    assert_close(conditioning.logit(features, torch.tensor([2, 0, 1])), expected)


def test_auxiliary_tells_classes_by_a_head_of_its_own():
    conditioning = Auxiliary(2, 0.5, num_features=2, num_classes=2)
    set_head(conditioning.for_discriminator["logit"], [[1.0, -2.0]], [0.5])
    set_head(conditioning.for_discriminator["classes"], [[1.0, 0.0], [0.0, 2.0]], [0.0, 1.0])
    features = torch.tensor([[3.0, 4.0]])
    assert_close(conditioning.logit(features, torch.tensor([1])), torch.tensor([-4.5]))
    assert_close(conditioning.class_logits(features), torch.tensor([[3.0, 9.0]]))
    assert conditioning.weight == 0.5


def test_the_slopes_of_every_head_by_hand():
    features = torch.tensor([[3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    label = torch.tensor([2, 0])
    projection = Projection(2, num_features=2, num_classes=3)
    set_head(projection.for_discriminator["psi"], [[1.0, -2.0]], [0.5])
    v = projection.for_discriminator["v"]
    with torch.no_grad():
        v.weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0], [2.0, -1.0]]))
    projection.logit(features, label).sum().backward()
    assert_close(features.grad, torch.tensor([[3.0, -3.0], [2.0, -1.0]]))  # psi + V_label
    assert_close(
        v.weight.grad, torch.tensor([[5.0, 6.0], [0.0, 0.0], [3.0, 4.0]])
    )  # the features of the class
    assert_close(projection.for_discriminator["psi"].weight.grad, torch.tensor([[8.0, 10.0]]))

    auxiliary = Auxiliary(2, num_features=2, num_classes=2)
    set_head(auxiliary.for_discriminator["classes"], [[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0])
    features = features.detach()
    logits = auxiliary.class_logits(features)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]), reduction="sum").backward()
    # softmax is 1/2 each: the slope in the logits is -1/2 at the class and 1/2 elsewhere
    rows = torch.tensor([[-1.5 + 2.5, -2.0 + 3.0], [1.5 - 2.5, 2.0 - 3.0]])
    assert_close(auxiliary.for_discriminator["classes"].weight.grad, rows)

    concat = Concat(2, num_features=2, num_classes=3)
    concat.join(torch.ones(2, 1), label).sum().backward()
    assert_close(concat.for_generator.table.weight.grad, torch.tensor([[1.0, 1], [0, 0], [1, 1]]))


def test_projection_alone_wants_conditional_norms():
    wants = {c: c.conditional_norm for c in (Unconditional, Concat, Projection, Auxiliary)}
    assert [c.__name__ for c, wanted in wants.items() if wanted] == ["Projection"]


@pytest.mark.parametrize("num_classes", [None, 0])
def test_data_without_classes_is_refused_in_a_sentence(labelled, num_classes):
    with pytest.raises(UserError) as error:
        build(labelled, num_classes=num_classes)
    name = labelled.stem
    assert str(error.value) == (
        f"model/conditioning={name} needs labels, and this data has no classes: use model=gan"
    )


def test_numbers_out_of_range_are_refused_in_a_sentence(labelled):
    with pytest.raises(UserError, match="^model.conditioning.embedding must be at least 1, got 0$"):
        build(labelled, embedding=0)
    with pytest.raises(UserError, match="^model.conditioning.weight must be at least 0, got -1$"):
        Auxiliary(2, -1, num_features=2, num_classes=2)


def test_a_missing_label_is_an_error(labelled):
    conditioning = build(labelled)
    with pytest.raises(ValueError, match="^a conditional model needs the label of each sample, got none$"):
        conditioning.join(torch.randn(3, 5), None)
