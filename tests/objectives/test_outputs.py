"""Distributions of the next step: densities by hand, draws by their frequencies."""

import math

import pytest
import torch

from genlab.objectives.mixture_density import MixtureDensity
from genlab.objectives.outputs import Bernoulli, ByData, Categorical, Gaussian, choose, log_scale


def uniform(n, r, seed=0):
    return torch.rand(n, r, generator=torch.Generator().manual_seed(seed)).clamp(1e-6, 1 - 1e-6)


def raw_of(log_sigma, floor=-5.0):
    """The inverse of `log_scale`."""
    return floor + math.log(math.expm1(log_sigma - floor))


def test_a_categorical_gives_the_logarithm_of_the_softmax():
    output = Categorical(vocab_size=3)
    params = torch.tensor([[[math.log(2), math.log(3), math.log(5)], [0.0, 0.0, 0.0]]])
    nats = output.log_prob(params, torch.tensor([[1, 2]]))
    torch.testing.assert_close(nats, torch.tensor([[math.log(0.3), math.log(1 / 3)]]))
    assert (output.params_per_step, output.noise_per_step) == (3, 1)
    assert output.initial_params().tolist() == [0, 0, 0]


def test_tokens_are_drawn_as_often_as_they_are_likely():
    output = Categorical(vocab_size=4)
    params = torch.tensor([0.2, 0.5, 0.0, 0.3]).log().expand(20_000, 4)
    drawn = output.draw(params, uniform(20_000, 1))
    shares = torch.bincount(drawn, minlength=4) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.2, 0.5, 0.0, 0.3]), atol=0.01, rtol=0)
    assert drawn.dtype == torch.int64


def test_the_edges_of_the_noise_draw_the_first_and_last_possible_token():
    logits = torch.tensor([-math.inf, 0.0, -math.inf, 0.0, -math.inf])
    at = torch.tensor([1e-6, 0.4999, 0.5001, 1 - 1e-6])
    assert choose(logits.expand(4, 5), at).tolist() == [1, 1, 3, 3]
    many = torch.randn(1, 50_000) * 3
    assert int(choose(many, torch.tensor([1 - 1e-6]))) < 50_000


def test_a_gaussian_is_the_density_of_its_values():
    output = Gaussian(num_features=2)
    params = torch.tensor([[1.0, -2.0, raw_of(math.log(0.5)), raw_of(0.0)]])
    target = torch.tensor([[1.5, -1.0]])
    # each is one sigma off: -1/2 - log sigma - log(2 pi) / 2
    expected = -1.0 - math.log(0.5) - math.log(2 * math.pi)
    torch.testing.assert_close(output.log_prob(params, target), torch.tensor([expected]))
    assert (output.params_per_step, output.noise_per_step) == (4, 2)
    drawn = output.draw(params.expand(20_000, 4), uniform(20_000, 2))
    torch.testing.assert_close(drawn.mean(0), torch.tensor([1.0, -2.0]), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.tensor([0.5, 1.0]), atol=0.02, rtol=0)


def test_a_sigma_of_a_column_is_the_same_at_every_step():
    output = Gaussian(learned="column", num_features=2)
    assert (output.params_per_step, output.noise_per_step) == (2, 2)
    assert output.initial_params().tolist() == [0, 0]
    with torch.no_grad():  # ten times the parameter is the raw sigma
        output.paced_scale.copy_(torch.tensor([raw_of(math.log(0.5)), raw_of(0.0)]) / 10)
    params = torch.tensor([[[1.0, -2.0], [7.0, 0.0]]])
    nats = output.log_prob(params, torch.tensor([[[1.5, -1.0], [7.0, 0.0]]]))
    at_peak = -math.log(0.5) - math.log(2 * math.pi)  # the first step is one sigma off in both columns
    torch.testing.assert_close(nats, torch.tensor([[at_peak - 1, at_peak]]))
    drawn = output.draw(params[0, :1].expand(20_000, 2), uniform(20_000, 2))
    torch.testing.assert_close(drawn.mean(0), torch.tensor([1.0, -2.0]), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.tensor([0.5, 1.0]), atol=0.02, rtol=0)
    assert output.likeliest(params[0]).tolist() == [[1, -2], [7, 0]]


def test_a_sigma_of_a_column_finds_the_error_that_is_made_there():
    output, target = Gaussian(learned="column", num_features=2), torch.tensor([[0.1, 0.4], [-0.1, -0.4]])
    optimizer = torch.optim.Adam(output.parameters(), lr=4e-3)
    for _ in range(200):  # at the learning rate a step it would have come only to exp(-0.8)
        optimizer.zero_grad()
        (-output.log_prob(torch.zeros(2, 2), target).sum()).backward()
        optimizer.step()
    _, log_sigma = output._split(torch.zeros(2, 2))
    torch.testing.assert_close(log_sigma.exp(), torch.tensor([0.1, 0.4]), atol=0.01, rtol=0)


def test_the_gradient_of_a_sigma_of_a_column_is_that_of_its_logarithm():
    output, target = Gaussian(learned="column", num_features=2), torch.tensor([[2.0, 0.5], [1.0, -1.0]])
    output.log_prob(torch.zeros(2, 2), target).sum().backward()
    raw = torch.zeros(2, requires_grad=True)
    torch.distributions.Normal(0.0, log_scale(raw, -5.0).exp()).log_prob(target).sum().backward()
    torch.testing.assert_close(output.paced_scale.grad, raw.grad)


def test_sigma_is_of_a_step_or_a_column():
    with pytest.raises(ValueError, match="^learned must be one of step, column; got 'scalar'$"):
        Gaussian(learned="scalar", num_features=1)


def test_sigma_has_a_floor_that_lets_gradients_through():
    raw = torch.tensor([-50.0, -6.0, 3.0], requires_grad=True)
    log_sigma = log_scale(raw, -5.0)
    assert log_sigma.detach().min() >= -5 and log_sigma[2].item() == pytest.approx(3, abs=1e-3)
    log_sigma.sum().backward()
    assert raw.grad[1] > 0.1


def test_bernoulli_rows_are_products_of_their_pixels():
    output = Bernoulli(num_features=3)
    params = torch.tensor([[0.0, math.log(3), math.log(1 / 3)]])  # 1/2, 3/4, 1/4
    nats = output.log_prob(params, torch.tensor([[1.0, 1.0, 0.0]]))
    torch.testing.assert_close(nats, torch.tensor([math.log(0.5 * 0.75 * 0.75)]))
    drawn = output.draw(params.expand(20_000, 3), uniform(20_000, 3))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.mean(0), torch.tensor([0.5, 0.75, 0.25]), atol=0.01, rtol=0)


@pytest.mark.parametrize("features", [1, 2])
def test_a_mixture_density_integrates_to_one(features):
    torch.manual_seed(0)
    output = MixtureDensity(3, num_features=features)
    params = 0.7 * torch.randn(output.params_per_step)
    axis = torch.linspace(-12, 12, 481)
    grid = torch.cartesian_prod(*[axis] * features).view(-1, features)
    density = output.log_prob(params.expand(len(grid), -1), grid).exp()
    assert float(density.sum() * (axis[1] - axis[0]) ** features) == pytest.approx(1, abs=1e-4)


def test_a_mixture_of_one_is_a_gaussian():
    params = torch.randn(5, 4)
    mixture, gaussian = MixtureDensity(1, num_features=2), Gaussian(num_features=2)
    with_weight = torch.cat([torch.randn(5, 1), params], dim=1)
    target, noise = torch.randn(5, 2), uniform(5, 3)
    torch.testing.assert_close(mixture.log_prob(with_weight, target), gaussian.log_prob(params, target))
    torch.testing.assert_close(mixture.draw(with_weight, noise), gaussian.draw(params, noise[:, 1:]))


def test_a_mixture_is_a_weighted_sum_of_its_components():
    output = MixtureDensity(2, num_features=2)
    means = [0.0, 1.0, -2.0, 3.0]  # (0, 1) and (-2, 3)
    raws = [raw_of(0.0), raw_of(0.0), raw_of(math.log(2)), raw_of(0.0)]
    params = torch.tensor([[math.log(0.25), math.log(0.75), *means, *raws]])
    nats = output.log_prob(params, torch.tensor([[0.0, 1.0]]))
    first = 1 / (2 * math.pi)
    second = math.exp(-0.5 * ((2 / 2) ** 2 + 2**2)) / (2 * math.pi * 2)
    assert float(nats) == pytest.approx(math.log(0.25 * first + 0.75 * second), abs=1e-5)


def test_draws_of_a_mixture_keep_the_values_of_a_component_together():
    output = MixtureDensity(2, num_features=2)
    params = torch.tensor([[math.log(0.25), math.log(0.75), 0.0, 9.0, 5.0, -9.0, -4.0, -4.0, -4.0, -4.0]])
    drawn = output.draw(params.expand(8000, -1), uniform(8000, 3))
    first = drawn[:, 1] > 0
    torch.testing.assert_close(first.float().mean(), torch.tensor(0.25), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn[first].mean(0), torch.tensor([0.0, 9.0]), atol=0.01, rtol=0)
    torch.testing.assert_close(drawn[~first].mean(0), torch.tensor([5.0, -9.0]), atol=0.01, rtol=0)


def test_components_begin_apart():
    output = MixtureDensity(5, num_features=2)
    logits, means, *_ = output._split(output.initial_params())
    assert logits.tolist() == [0] * 5
    assert means[:, 0].tolist() == pytest.approx([-1, -0.5, 0, 0.5, 1]) and torch.equal(
        means[:, 0], means[:, 1]
    )
    assert MixtureDensity(1, num_features=1).initial_params().tolist() == [0, 0, 0]


@pytest.mark.parametrize("chosen", ["tokens", "values"])
def test_the_data_choose_the_distribution(chosen):
    sizes = {"vocab_size": 5} if chosen == "tokens" else {"num_features": 2}
    output, same = (
        ByData(Categorical, Gaussian, Bernoulli, **sizes),
        (Categorical if chosen == "tokens" else Gaussian)(**sizes),
    )
    assert (output.params_per_step, output.noise_per_step) == (same.params_per_step, same.noise_per_step)
    assert output.unit == same.unit and output.unit.startswith("nats per ")
    params, noise = torch.randn(3, 2, same.params_per_step), uniform(3, same.noise_per_step)
    target = torch.randint(5, (3, 2)) if chosen == "tokens" else torch.randn(3, 2, 2)
    assert torch.equal(output.log_prob(params, target), same.log_prob(params, target))
    assert torch.equal(output.draw(params[:, 0], noise), same.draw(params[:, 0], noise))
    assert torch.equal(output.initial_params(), same.initial_params())
    mixed = ByData(Categorical, MixtureDensity, Bernoulli, num_features=1)
    assert mixed.initial_params().abs().sum() > 0


def test_a_distribution_of_the_wrong_kind_of_data_is_told_in_a_sentence():
    with pytest.raises(
        ValueError, match="^categorical is for tokens, and this data has real values: use model/output"
    ):
        Categorical(num_features=3)
    for name, output in (
        ("gaussian", Gaussian),
        ("bernoulli", Bernoulli),
        ("mixture_density", MixtureDensity),
    ):
        with pytest.raises(
            ValueError, match=f"^{name} is for real values, and this data are tokens: use model/output"
        ):
            output(vocab_size=3)
    with pytest.raises(ValueError, match="^components must be at least 1, got 0$"):
        MixtureDensity(0, num_features=1)


def test_the_likeliest_step_is_the_peak_of_its_distribution():
    assert Categorical(vocab_size=3).likeliest(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])).tolist() == [
        1,
        0,
    ]
    assert Gaussian(num_features=2).likeliest(torch.tensor([[1.0, -2.0, 9.0, 9.0]])).tolist() == [[1, -2]]
    assert Bernoulli(num_features=3).likeliest(torch.tensor([[-1.0, 0.5, 2.0]])).tolist() == [[0, 1, 1]]
    mixture = MixtureDensity(components=2, num_features=2)
    params = torch.tensor([[0.0, 1.0, *[1.0, 2.0], *[3.0, 4.0], *[0.0] * 4]] * 2)
    params[1, 0] = 5.0
    assert mixture.likeliest(params).tolist() == [[3, 4], [1, 2]]
    either = ByData(Categorical, Gaussian, Bernoulli, num_features=1)
    assert either.likeliest(torch.tensor([[0.5, 0.0]])).tolist() == [[0.5]]


@pytest.mark.parametrize(
    ("binarize", "kind"), [("sample", Bernoulli), ("threshold", Bernoulli), ("none", Gaussian)]
)
def test_black_and_white_values_have_no_density(binarize, kind):
    assert isinstance(ByData(Categorical, Gaussian, Bernoulli, binarize, num_features=3).made, kind)
