"""Recurrent networks against the equations of their cells, and what a state is."""

import pytest
import torch
from torch import nn

from genlab.errors import UserError
from genlab.networks.recurrent import Recurrent

CELLS = ["lstm", "gru", "rnn"]
E, H = 3, 4


def network(cell="lstm", layers=1, **changes):
    torch.manual_seed(0)
    return Recurrent(cell, H, layers, in_features=E, **changes)


def equations(cell, kernel, x):
    """One layer's hidden states `[B, T, H]` by the formulas, from zeros."""
    w, u, b, c = (getattr(kernel, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h, memory, out = torch.zeros(len(x), H), torch.zeros(len(x), H), []
    for step in x.unbind(1):
        if cell == "rnn":
            h = torch.tanh(step @ w.T + b + h @ u.T + c)
        elif cell == "gru":
            r, z, n = (step @ w.T + b).chunk(3, 1)
            hr, hz, hn = (h @ u.T + c).chunk(3, 1)
            gate = torch.sigmoid(z + hz)
            h = (1 - gate) * torch.tanh(n + torch.sigmoid(r + hr) * hn) + gate * h
        else:
            i, f, g, o = (step @ w.T + b + h @ u.T + c).chunk(4, 1)
            memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(memory)
        out.append(h)
    return torch.stack(out, 1)


@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_follows_the_equations_of_its_cell(cell):
    net, x = network(cell), torch.randn(2, 5, E)
    features, state = net(x)
    torch.testing.assert_close(features, equations(cell, net.kernels[0], x))
    torch.testing.assert_close(state[0][-1], features[:, -1])
    assert [list(part.shape) for part in state] == [[1, 2, H]] * (2 if cell == "lstm" else 1)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_steps_give_what_one_pass_gives(cell, layers, layer_norm):
    net, x = network(cell, layers, layer_norm=layer_norm).eval(), torch.randn(2, 7, E)
    whole, at_end = net(x)
    for grad in (True, False):  # without gradients an LSTM's steps go another way
        with torch.set_grad_enabled(grad):
            parts, state = [], None
            for block in x.split([3, 1, 1, 2], dim=1):
                out, state = net(block, state)
                parts.append(out)
        torch.testing.assert_close(torch.cat(parts, 1), whole)
        for mine, theirs in zip(state, at_end, strict=True):
            torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_row_of_zeros_is_a_beginning(cell, layer_norm):
    net, x = network(cell, 2, layer_norm=layer_norm), torch.randn(2, 4, E)
    _, state = net(x)
    assert all(len(part) == 2 for part in state)
    mixed = tuple(part.clone().index_fill_(1, torch.tensor([1]), 0) for part in state)
    torch.testing.assert_close(net(x, mixed)[0][1], net(x)[0][1])
    torch.testing.assert_close(net(x, mixed)[0][0], net(x, state)[0][0])
    assert not torch.allclose(net(x, state)[0][1], net(x)[0][1])


def test_the_steps_of_an_lstm_drop_out_between_layers_while_it_trains():
    net = network("lstm", 2, dropout=0.9)
    with torch.no_grad():
        state = net(torch.randn(1, 2, E))[1]
        draws = [net.kernels[0].train() and net(torch.ones(1, 1, E), state)[1][0][1] for _ in range(9)]
        assert len({tuple(draw.flatten().tolist()) for draw in draws}) > 1
        calm = [net.eval()(torch.ones(1, 1, E), state)[0] for _ in range(2)]
    torch.testing.assert_close(*calm)


def test_forget_gates_begin_with_one_and_the_others_do_not():
    for kernel in network("lstm", 2, layer_norm=True).kernels:
        bias = (kernel.bias_ih_l0 + kernel.bias_hh_l0).detach()
        torch.testing.assert_close(bias[H : 2 * H], torch.ones(H))
        others = torch.cat([bias[:H], bias[2 * H :]])
        assert others.abs().max() <= 2 * H**-0.5 and len(others.unique()) > 1
    plain, ours = nn.GRU(E, H), network("gru").kernels[0]
    assert ours.bias_ih_l0.abs().max() <= plain.hidden_size**-0.5


def test_dropout_is_of_inputs_layers_and_features_and_off_in_judging():
    net, x = network("gru", 2, dropout=0.5), torch.ones(64, 3, E)
    zeros = (net(x)[0] == 0).float().mean()
    assert 0.4 < zeros < 0.6
    assert net.kernels[0].dropout == 0.5
    inputs = []
    net.kernels[0].register_forward_hook(lambda module, args, out: inputs.append(args[0]))
    net(x)
    assert set(inputs[0].unique().tolist()) == {0.0, 2.0}
    torch.testing.assert_close(net.eval()(x)[0], net(x)[0])


def test_layer_norm_normalises_the_features_of_each_layer():
    net = network("rnn", 2, layer_norm=True)
    features, _ = net(torch.randn(2, 3, E))
    torch.testing.assert_close(features.mean(-1), torch.zeros(2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.var(-1, unbiased=False), torch.ones(2, 3), atol=1e-2, rtol=0)
    seen = []
    net.kernels[1].register_forward_hook(lambda module, args, out: seen.append(args[0]))
    net(torch.randn(2, 3, E))
    torch.testing.assert_close(seen[0].mean(-1), torch.zeros(2, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_bfloat16_goes_forward_and_back_and_on(cell):
    net, x = network(cell, 2, layer_norm=True), torch.randn(2, 3, E)
    with torch.autocast("cpu", torch.bfloat16):
        features, state = net(x)
        features, _ = net(x, tuple(part.detach() for part in state))
    features.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        step, _ = net(x[:, :1], state)
    torch.testing.assert_close(
        step.float(), net(x[:, :1], tuple(s.float() for s in state))[0], atol=0.05, rtol=0
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cell": "elman"}, "model.network.cell must be one of lstm, gru, rnn, got elman"),
        ({"hidden_size": 0}, "model.network.hidden_size must be at least 1, got 0"),
        ({"layers": 0}, "model.network.layers must be at least 1, got 0"),
        ({"dropout": 1.0}, "model.network.dropout must be at least 0 and below 1, got 1.0"),
    ],
)
def test_wrong_settings_are_told_in_a_sentence(changes, sentence):
    with pytest.raises(UserError) as error:
        Recurrent(**{"cell": "lstm", "hidden_size": 4, "in_features": 2, **changes})
    assert str(error.value) == sentence
