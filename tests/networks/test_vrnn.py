"""The variational recurrent network: by hand, and whole sequences against single steps."""

import math

import pytest
import torch

from genlab.errors import UserError
from genlab.networks.vrnn import VariationalRecurrent

CELLS = ["gru", "lstm"]
E, H, W, L, B, T = 3, 5, 12, 2, 2, 6


def network(cell, **changes):
    torch.manual_seed(0)
    made = VariationalRecurrent(
        **{"hidden_size": H, "width": W, "cell": cell, "in_features": E, "latent_dim": L, **changes}
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def step_by_step(made, first, x, noise):
    state, found = made.begin(first), []
    for t in range(x.shape[1]):
        mean, log_var = made.posterior(state, x[:, t])
        z = mean + torch.exp(0.5 * log_var) * noise[:, t]
        found.append((z, mean, log_var, *made.prior(state), made.features(state, z)))
        state = made.after(state, z, x[:, t])
    return [torch.stack(parts, 1) for parts in zip(*found, strict=True)]


@pytest.mark.parametrize("cell", CELLS)
def test_a_whole_sequence_is_what_its_steps_are(cell):
    made = network(cell)
    first, x, noise = torch.randn(B, E), torch.randn(B, T, E), torch.randn(B, T, L)
    for whole, steps in zip(made(first, x, noise), step_by_step(made, first, x, noise), strict=True):
        torch.testing.assert_close(whole, steps)


@pytest.mark.parametrize("cell", CELLS)
def test_no_step_knows_what_comes_after_it(cell):
    made = network(cell)
    first, x, noise = torch.randn(B, E), torch.randn(B, T, E), torch.randn(B, T, L)
    changed = x.clone()
    changed[:, 3] += 1
    one, other = made(first, x, noise), made(first, changed, noise)
    for name in one._fields:
        # the posterior knows its own step; the prior and h only those before
        known = 4 if name.startswith("prior") else 3
        a, b = getattr(one, name), getattr(other, name)
        torch.testing.assert_close(a[:, :known], b[:, :known])
        assert not torch.allclose(a[:, known], b[:, known]), name


@pytest.mark.parametrize("cell", CELLS)
def test_the_state_moves_as_torchs_cell_moves_it(cell):
    made = network(cell)
    torchs = (torch.nn.GRUCell if cell == "gru" else torch.nn.LSTMCell)(2 * W, H)
    with torch.no_grad():
        torchs.weight_ih.copy_(torch.cat([made.gates_x.weight, made.gates_z.weight], 1))
        torchs.bias_ih.copy_(made.gates_x.bias)
        torchs.weight_hh.copy_(made.gates_h.weight)
        torchs.bias_hh.copy_(made.gates_h.bias)
    x, z = torch.randn(B, E), torch.randn(B, L)
    state = made.begin(torch.randn(B, E))
    given = torch.cat([made.phi_x(x).relu(), made.phi_z(z).relu()], 1)
    expected = torchs(given, state[0] if cell == "gru" else state)
    after = made.after(state, z, x)
    torch.testing.assert_close(after, (expected,) if cell == "gru" else expected)


def test_one_unit_of_each_by_hand():
    made = VariationalRecurrent(1, 1, "gru", in_features=1, latent_dim=1)
    weights = {
        "phi_x": (2.0, 0.5), "phi_z": (1.0, 0.25), "prior_hidden": (3.0, 1.0), "posterior_x": (1.0, 0.5),
        "posterior_h": (2.0, None),
    }  # fmt: skip
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        for name, (weight, bias) in weights.items():
            getattr(made, name).weight.fill_(weight)
            if bias is not None:
                getattr(made, name).bias.fill_(bias)
        made.prior_out.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        made.posterior_out.weight.copy_(torch.tensor([[0.5], [-2.0]]))
        made.decoder.weight.copy_(torch.tensor([[1.0, 4.0]]))
        made.gates_x.weight.copy_(torch.tensor([[0.0], [0.0], [1.0]]))
        made.gates_z.weight.copy_(torch.tensor([[0.0], [0.0], [-1.0]]))
    # first 1: phi_x = 2.5, gates r = u = 1/2, n = tanh 2.5, h = n / 2
    h = math.tanh(2.5) / 2
    # x 0.2: phi_x = 0.9; posterior of 0.9 + 0.5 + 2 h; noise 1
    hidden = 0.9 + 0.5 + 2 * h
    mean, log_var = 0.5 * hidden, -2 * hidden
    z = mean + math.exp(log_var / 2)
    prior = 3 * h + 1
    feature = (z + 0.25) + 4 * h
    seen = made(torch.tensor([[1.0]]), torch.tensor([[[0.2]]]), torch.ones(1, 1, 1))
    values = [part.item() for part in seen]
    assert values == pytest.approx([z, mean, log_var, prior, -prior, feature], rel=1e-5)
    after = made.after(made.begin(torch.tensor([[1.0]])), torch.tensor([[z]]), torch.tensor([[0.2]]))
    assert after[0].item() == pytest.approx((math.tanh(0.9 - (z + 0.25)) + h) / 2, rel=1e-5)


def test_forget_gates_begin_open():
    made = VariationalRecurrent(H, W, "lstm", in_features=E, latent_dim=L)
    assert (made.gates_x.bias + made.gates_h.bias)[H : 2 * H].tolist() == [1.0] * H
    assert made.num_features == W and len(made.begin(torch.zeros(B, E))) == 2


@pytest.mark.parametrize("cell", CELLS)
def test_mixed_precision_keeps_what_the_bound_is_made_of_in_single(cell):
    made = network(cell)
    with torch.autocast("cpu", torch.bfloat16):
        seen = made(torch.randn(B, E), torch.randn(B, T, E), torch.randn(B, T, L))
    for name in seen._fields[:5]:
        assert getattr(seen, name).dtype == torch.float32, name
    assert made.begin(torch.randn(B, E))[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cell": "rnn"}, "model.latents.network.cell must be one of lstm, gru, got rnn"),
        ({"hidden_size": 0}, "model.latents.network.hidden_size must be at least 1, got 0"),
        ({"width": 0}, "model.latents.network.width must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_told(changes, sentence):
    with pytest.raises(UserError) as error:
        network(**{"cell": "gru", **changes})
    assert str(error.value) == sentence
