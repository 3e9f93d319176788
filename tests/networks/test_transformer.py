"""The Transformer: what each step sees, what it holds, and where it begins."""

import math

import pytest
import torch
import torch.nn.functional as F

from genlab.errors import UserError
from genlab.networks.transformer import Transformer, _turned

E, W = 3, 8


def network(**changes):
    torch.manual_seed(0)
    settings = {"width": W, "layers": 2, "heads": 2, "in_features": E}
    net = Transformer(**{**settings, **changes}).eval()
    for parameter in net.parameters():
        if parameter.ndim == 2:
            parameter.data *= 20  # far from the linear beginning, where errors of attention would be small
    return net


def in_blocks(net, x, sizes):
    parts, state = [], None
    for block in x.split(sizes, dim=1):
        out, state = net(block, state)
        parts.append(out)
    return torch.cat(parts, 1), state


@pytest.mark.parametrize(
    "changes",
    [{}, {"reach": 12}, {"reach": 4}, {"reach": 1}, {"positions": "learned", "reach": 9}],
    ids=str,
)
@pytest.mark.parametrize("sizes", [[1] * 9, [5, 1, 1, 2], [4, 5], [8, 1]], ids=str)
def test_cached_steps_give_what_one_pass_gives(changes, sizes):
    net, x = network(**changes), torch.randn(2, 9, E)
    whole, at_end = net(x)
    parts, state = in_blocks(net, x, sizes)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)
    for mine, theirs in zip(state, at_end, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"reach": 4}, {"positions": "learned", "reach": 9}], ids=str)
def test_a_later_step_changes_nothing_before_it(changes):
    net, x = network(**changes), torch.randn(1, 9, E)
    for t in range(9):
        other = x.clone()
        other[:, t:] = torch.randn(1, 9 - t, E)
        torch.testing.assert_close(net(x)[0][:, :t], net(other)[0][:, :t])
        assert not torch.allclose(net(x)[0][:, t], net(other)[0][:, t])


def test_a_step_sees_as_far_back_as_it_reaches_in_each_layer():
    x = torch.randn(1, 9, E)
    for layers, reach in ((1, 3), (2, 3), (1, 1)):
        net = network(layers=layers, reach=reach)
        last = net(x)[0][:, -1]
        seen = []
        for t in range(9):
            other = x.clone()
            other[:, t] += 1
            seen.append(not torch.allclose(net(other)[0][:, -1], last, atol=1e-6))
        assert seen == [t >= 9 - 1 - layers * (reach - 1) for t in range(9)]


def test_the_state_holds_no_more_than_a_step_can_reach():
    net = network(reach=4)
    _, state = in_blocks(net, torch.randn(2, 9, E), [1] * 9)
    assert [list(part.shape) for part in state] == [[1, 2, 2, 3, 4]] * 4 + [[1, 2]]
    assert state[-1].tolist() == [[9, 9]]
    assert in_blocks(network(), torch.randn(2, 9, E), [4, 5])[1][0].shape[3] == 9


@pytest.mark.parametrize("changes", [{}, {"reach": 3}, {"positions": "learned", "reach": 9}], ids=str)
def test_a_row_of_zeros_is_a_beginning(changes):
    net, x = network(**changes), torch.randn(2, 4, E)
    _, state = net(torch.randn(2, 5, E))
    mixed = tuple(part.clone().index_fill_(1, torch.tensor([1]), 0) for part in state)
    features, after = net(x, mixed)
    torch.testing.assert_close(features[1], net(x)[0][1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(features[0], net(x, state)[0][0], atol=1e-5, rtol=1e-4)
    assert after[-1].tolist() == [[9, 4]]
    again, _ = net(x[:, :1], after) if net.context is None else (None, None)
    if again is not None:  # what was begun anew stays so
        _, fresh = net(x)
        torch.testing.assert_close(again[1], net(x[:, :1], fresh)[0][1], atol=1e-5, rtol=1e-4)


def test_attention_is_the_softmax_of_scaled_products():
    net = network(layers=1, heads=1, positions="learned", reach=4, in_features=W)
    block, x = net.blocks[0], torch.randn(1, 4, W)
    h = x + net.places.weight[:4]
    q, k, v = block.qkv(block.attention_norm(h)).chunk(3, -1)
    scores = (q @ k.transpose(1, 2) / math.sqrt(W)).masked_fill(torch.ones(4, 4).triu(1).bool(), -math.inf)
    h = h + block.out(scores.softmax(-1) @ v)
    h = h + block.down(F.gelu(block.up(block.network_norm(h))))
    torch.testing.assert_close(net(x)[0], net.norm(h))


def test_rotary_products_depend_on_the_distance_alone():
    net = network(heads=1)
    q, k = torch.randn(1, 1, 1, W), torch.randn(1, 1, 1, W)

    def product(i, j):
        one, two = (net._turn(torch.tensor([[place]])) for place in (i, j))
        return float((_turned(q, one) * _turned(k, two)).sum())

    assert product(7, 3) == pytest.approx(product(104, 100), abs=1e-4)
    assert product(3, 3) == pytest.approx(float((q * k).sum()), abs=1e-5)
    assert product(7, 3) != pytest.approx(product(3, 7), abs=1e-3)
    cos, sin = net._turn(torch.tensor([[1]]))
    assert torch.atan2(sin, cos).flatten().tolist() == pytest.approx([1, 0.1, 0.01, 0.001])


def test_order_matters():
    for changes in ({}, {"positions": "learned", "reach": 4}):
        net, x = network(**changes), torch.randn(1, 4, E)
        swapped = x[:, [1, 0, 2, 3]]
        assert not torch.allclose(net(x)[0][:, -1], net(swapped)[0][:, -1])


def test_what_adds_to_the_residual_stream_begins_narrower():
    net = Transformer(256, 8, 4, positions="learned", reach=64, in_features=100)
    for name, parameter in net.named_parameters():
        if parameter.ndim == 2:
            expected = 0.02 / 4 if name.endswith(("out.weight", "down.weight")) else 0.02
            assert float(parameter.detach().std()) == pytest.approx(expected, rel=0.1), name


def test_dropout_is_off_in_judging():
    net, x = network(dropout=0.5), torch.randn(1, 5, E)
    torch.testing.assert_close(net(x)[0], network()(x)[0])
    assert not torch.allclose(net.train()(x)[0], net(x)[0])


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_bfloat16_goes_forward_and_back_and_on(positions):
    net, x = network(positions=positions, reach=9).train(), torch.randn(2, 3, E)
    with torch.autocast("cpu", torch.bfloat16):
        _, state = net(x)
        features, _ = net(x, tuple(part.detach() for part in state))
    features.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 0}, "model.network.width must be at least 1, got 0"),
        ({"layers": 0}, "model.network.layers must be at least 1, got 0"),
        ({"heads": 0}, "model.network.heads must be at least 1, got 0"),
        ({"reach": 0}, "model.network.reach must be at least 1, got 0"),
        ({"dropout": -0.1}, "model.network.dropout must be at least 0 and below 1, got -0.1"),
        ({"positions": "sinus"}, "model.network.positions must be rotary or learned, got sinus"),
        (
            {"width": 6},
            "model.network.width must be a multiple of 4 with 2 heads and rotary positions, got 6",
        ),
        (
            {"width": 5, "positions": "learned", "reach": 3},
            "model.network.width must be a multiple of 2 with 2 heads and learned positions, got 5",
        ),
        (
            {"positions": "learned"},
            "model.network.positions=learned needs an end: give model.network.reach=N",
        ),
    ],
    ids=str,
)
def test_wrong_settings_are_told_in_a_sentence(changes, sentence):
    with pytest.raises(UserError) as error:
        network(**changes)
    assert str(error.value) == sentence


def test_learned_positions_end_with_a_sentence():
    net = network(positions="learned", reach=4)
    with pytest.raises(
        UserError, match="end after model.network.reach=4 steps, and this sequence has 5: give"
    ):
        net(torch.randn(1, 5, E))
    _, state = net(torch.randn(1, 3, E))
    with pytest.raises(UserError, match="has 5"):
        net(torch.randn(1, 2, E), state)
    assert net.context == 4 and network(reach=4).context is None
