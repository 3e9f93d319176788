"""A prior over codes that sees nothing ahead."""

import pytest
import torch

from genlab.errors import UserError
from genlab.networks.pixelcnn import GatedPixelCNN
from genlab.objectives.codes import code_nll

H, W, N = 5, 6, 4


def prior(**settings) -> GatedPixelCNN:
    torch.manual_seed(0)
    return GatedPixelCNN(**{"width": 6, "layers": 3, **settings}, num_codes=N)


def test_a_later_code_changes_no_earlier_logit():
    network = prior(layers=6)
    codes = torch.randint(N, (1, H, W))
    with torch.no_grad():
        before = network(codes)
        for place in range(H * W):
            changed = codes.clone()
            changed.view(-1)[place] = (changed.view(-1)[place] + 1) % N
            moved = (network(changed) != before).any(1).view(-1)  # [H * W]
            assert not moved[: place + 1].any() and moved[place + 1 : place + 2].all()


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_all_codes_before_it_are_seen_without_a_blind_spot(kernel_size):
    network, seen = prior(kernel_size=kernel_size, layers=6, width=16).double(), []
    network.embedding.register_forward_hook(lambda module, given, x: seen.append(x))
    logits = network(torch.randint(N, (1, H, W))).flatten(2)  # [1, N, H * W]
    for place in range(1, H * W):
        (slope,) = torch.autograd.grad(logits[..., place].square().sum(), seen[0], retain_graph=True)
        assert slope.any(-1).view(-1).tolist() == [other < place for other in range(H * W)]


def test_layers_see_as_far_as_it_says():
    network = prior(layers=2, kernel_size=3)
    codes = torch.randint(N, (1, 9, 9))
    changed = codes.clone()
    changed[0, 4, 4] = (changed[0, 4, 4] + 1) % N
    with torch.no_grad():
        moved = (network(changed) != network(codes)).any(1)[0]
    rows, columns = moved.nonzero().T
    # one place by the first move, and one more for each of two layers
    assert rows.min() == 4 and rows.max() == 4 + 3 and columns.max() == 4 + 3


def test_every_parameter_learns_but_what_no_code_can_reach():
    network = prior()
    code_nll(network(torch.randint(N, (3, H, W))), torch.randint(N, (3, H, W))).mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 1), (7, 7)])
def test_grids_of_any_size_are_taken(shape):
    assert prior()(torch.zeros(2, *shape, dtype=torch.int64)).shape == (2, N, *shape)


def test_the_nll_of_a_constant_grid_goes_to_zero():
    network = prior()
    codes = torch.full((2, H, W), 3)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nll = code_nll(network(codes), codes).mean()
        nll.backward()
        optimizer.step()
    assert 0 <= nll.item() < 0.05


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"width": 0}, "model.prior.width must be at least 1, got 0"),
        ({"layers": 0}, "model.prior.layers must be at least 1, got 0"),
        ({"kernel_size": 4}, "model.prior.kernel_size must be odd and at least 3, got 4"),
        ({"kernel_size": 1}, "model.prior.kernel_size must be odd and at least 3, got 1"),
        ({"dropout": 1.0}, "model.prior.dropout must be at least 0 and below 1, got 1.0"),
    ],
)
def test_numbers_out_of_range_are_told(wrong, sentence):
    with pytest.raises(UserError) as error:
        prior(**wrong)
    assert str(error.value) == sentence
