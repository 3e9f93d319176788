import io

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genlab.objectives.constraints import LeCam, WeightClip
from genlab.objectives.penalties import R1, R1R2, R2, Dragan, GradientPenalty, NoPenalty, Penalty

GRADIENT_PENALTIES = [GradientPenalty, R1, R2, R1R2, Dragan]
SHAPES = [(6, 2), (6, 3, 4, 5)]
"""Points in the plane, small images."""

shapes = pytest.mark.parametrize("shape", SHAPES, ids=["points", "images"])


def samples(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def apply(penalty, critic, real, fake):
    return penalty(critic, real, fake, critic(real), critic(fake))


def squared_norms(x):
    return x.flatten(1).square().sum(1)


class Linear(nn.Module):
    """D(x) = w . x, whose gradient is w everywhere."""

    def __init__(self, shape, scale=0.7):
        super().__init__()
        self.w = nn.Parameter(scale * samples((1, *shape[1:]), 9))

    def forward(self, x):
        return (self.w * x).flatten(1).sum(1)


class Quadratic(nn.Module):
    """D(x) = c/2 |x|^2, whose gradient is c x; remembers what it was asked last."""

    def __init__(self, c):
        super().__init__()
        self.c = nn.Parameter(torch.tensor(c, dtype=torch.float64))

    def forward(self, x):
        self.asked = x.detach()
        return self.c / 2 * squared_norms(x)


def quadratic(penalty, real, fake, c=0.8):
    """The penalty, its slope in c, and where the critic was asked for its gradient."""
    critic = Quadratic(c)
    judged = critic(real), critic(fake)
    result = penalty(critic, real, fake, *judged)
    return result, torch.autograd.grad(result, critic.c)[0], critic.asked


@shapes
@pytest.mark.parametrize("kind", [GradientPenalty, Dragan])
def test_a_linear_critic_is_penalised_for_the_length_of_its_weights_off_one(kind, shape):
    # w (|v| - 1)^2 with slope 2 w (|v| - 1) v / |v|
    critic = Linear(shape)
    length = critic.w.detach().norm()
    result = apply(kind(weight=3.0), critic, samples(shape, 0), samples(shape, 1))
    assert_close(result, 3 * (length - 1) ** 2)
    (slope,) = torch.autograd.grad(result, critic.w)
    assert_close(slope, 6 * (length - 1) * critic.w.detach() / length)


@shapes
@pytest.mark.parametrize(("kind", "terms"), [(R1, 1), (R2, 1), (R1R2, 2)])
def test_a_linear_critic_is_penalised_for_half_the_squared_length_of_its_weights(kind, terms, shape):
    # g/2 |v|^2, for R1R2 twice, with slope g v
    critic = Linear(shape)
    result = apply(kind(weight=3.0), critic, samples(shape, 0), samples(shape, 1))
    assert_close(result, terms * 1.5 * critic.w.detach().square().sum())
    assert_close(torch.autograd.grad(result, critic.w)[0], terms * 3 * critic.w.detach())


@shapes
def test_r1_is_taken_on_real_r2_on_fake_and_r1r2_on_both(shape):
    # g/2 E c^2 |x|^2, with slope g c E |x|^2
    real, fake = samples(shape, 0), 2 + samples(shape, 1)
    on_real, on_fake = squared_norms(real).mean(), squared_norms(fake).mean()
    expected = {R1: on_real, R2: on_fake, R1R2: on_real + on_fake}
    for kind, squares in expected.items():
        result, slope, _ = quadratic(kind(weight=10.0), real, fake, c=0.8)
        assert_close(result, 5 * 0.64 * squares)
        assert_close(slope, 10 * 0.8 * squares)


@shapes
def test_a_slope_off_one_is_squared_sample_by_sample(shape):
    # w E (c |x| - 1)^2, with slope 2 w E (c |x| - 1) |x|; real = fake leaves nothing to interpolate
    real = samples(shape, 0)
    lengths = squared_norms(real).sqrt()
    for penalty in (GradientPenalty(weight=10.0), Dragan(weight=10.0, scale=0.0)):
        result, slope, _ = quadratic(penalty, real, real, c=0.8)
        assert_close(result, 10 * (0.8 * lengths - 1).square().mean())
        assert_close(slope, 20 * ((0.8 * lengths - 1) * lengths).mean())


@shapes
def test_the_gradient_penalty_asks_between_real_and_fake_at_a_share_of_each_samples_own(shape):
    shape = (2000, *shape[1:])
    real, fake = samples(shape, 0), samples(shape, 1)
    torch.manual_seed(0)
    _, _, asked = quadratic(GradientPenalty(), real, fake)
    shares = ((asked - fake) / (real - fake)).flatten(1)
    assert_close(shares, shares[:, :1].expand_as(shares), rtol=0, atol=1e-6)
    # of 2,000 uniform draws each tenth holds 200 +- 13
    counts = torch.histc(shares[:, 0], bins=10, min=0, max=1)
    assert counts.sum() == 2000
    assert_close(counts, torch.full_like(counts, 200), rtol=0, atol=60)


def test_the_gradient_penalty_pairs_as_many_samples_as_there_are_of_both():
    result, _, asked = quadratic(GradientPenalty(), samples((4, 2), 0), samples((8, 2), 1))
    assert asked.shape == (4, 2) and result.isfinite()
    assert quadratic(GradientPenalty(), samples((8, 2), 0), samples((4, 2), 1))[2].shape == (4, 2)


@shapes
def test_dragan_asks_up_to_half_a_standard_deviation_above_each_value(shape):
    shape = (2000, *shape[1:])
    real = torch.tensor([13.0, 7.0]).double().repeat(torch.Size(shape).numel() // 2).view(shape)  # sd 3
    torch.manual_seed(0)
    _, _, asked = quadratic(Dragan(), real, real)
    counts = torch.histc((asked - real) / 1.5, bins=10, min=0, max=1)
    assert counts.sum() == real.numel()
    assert_close(counts / real.numel(), torch.full_like(counts, 0.1), rtol=0, atol=0.03)
    shifts = (asked - real).flatten(1)
    assert not torch.isclose(shifts[:, 0], shifts[:, 1]).all(), "each value has its own shift"


def smooth_critic(shape):
    torch.manual_seed(3)
    first = nn.Linear(2, 4) if len(shape) == 2 else nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten())
    return nn.Sequential(first, nn.Tanh(), nn.LazyLinear(1), nn.Flatten(0)).double()


@shapes
@pytest.mark.parametrize("kind", GRADIENT_PENALTIES)
def test_the_slope_in_the_critics_weights_is_that_of_finite_differences(kind, shape):
    real, fake = samples(shape, 0), samples(shape, 1)
    critic = smooth_critic(shape)
    critic(real)
    names = [name for name, _ in critic.named_parameters()]

    def penalty_of(*weights):
        def judge(x):
            return torch.func.functional_call(critic, dict(zip(names, weights, strict=True)), x)

        torch.manual_seed(1)
        return kind()(judge, real, fake, judge(real), judge(fake))

    weights = [p.detach().clone().requires_grad_() for p in critic.parameters()]
    assert torch.autograd.gradcheck(penalty_of, weights, atol=1e-6)
    assert torch.autograd.grad(penalty_of(*weights), weights[0])[0].norm() > 0


@pytest.mark.parametrize("kind", GRADIENT_PENALTIES)
def test_no_gradient_reaches_the_samples_or_their_generator(kind):
    real, fake = samples((6, 2), 0).requires_grad_(), samples((6, 2), 1).requires_grad_()
    critic = Quadratic(0.8)
    kind()(critic, real, fake * 1, critic(real), critic(fake)).backward()
    assert real.grad is None and fake.grad is None
    assert critic.c.grad is not None


@pytest.mark.parametrize("kind", GRADIENT_PENALTIES)
def test_a_lazy_penalty_counts_for_the_updates_it_was_left_out_of(kind):
    real, fake = samples((6, 2), 0), samples((6, 2), 1)
    results = []
    for interval in (1, 16):
        torch.manual_seed(0)
        results.append(quadratic(kind(interval=interval), real, fake)[0])
        assert kind(interval=interval).interval == interval
    assert_close(results[1], 16 * results[0])


@pytest.mark.parametrize("kind", GRADIENT_PENALTIES)
def test_a_critic_that_is_flat_gets_finite_slopes(kind):
    critic = Linear((6, 2), scale=0.0)
    result = apply(kind(weight=3.0), critic, samples((6, 2), 0), samples((6, 2), 1))
    assert_close(result.item(), 3.0 if kind in (GradientPenalty, Dragan) else 0.0)
    assert torch.autograd.grad(result, critic.w)[0].isfinite().all()


def lecam_call(penalty, real, fake):
    real, fake = (torch.tensor(x, requires_grad=True) for x in (real, fake))
    result = penalty(None, real, fake, real, fake)
    return result, torch.autograd.grad(result, (real, fake))


UPDATES = [
    # means 1 and -2 start the averages: relu(a + 2) = 4, 2; relu(1 - b) = 2, 4; .3 (10 + 10), slopes
    # .3 (a + 2) and -.3 (1 - b): none through the averages
    ([2.0, 0.0], [-1.0, -3.0], 6.0, ([1.2, 0.6], [-0.6, -1.2])),
    # averages (1 + 4) / 2 = 2.5 and (-2 + 3) / 2 = .5: relu(a - .5) = 2.5, 4.5; relu(2.5 - b) = 0, .5
    ([3.0, 5.0], [4.0, 2.0], 0.3 * (13.25 + 0.125), ([0.75, 1.35], [0.0, -0.15])),
    # averages (2.5 - .25) / 2 = 1.125 and (.5 + 1.125) / 2 = .8125: relu(1.125 - .125) = 1 alone
    ([-1.0, 0.5], [0.125, 2.125], 0.15, ([0.0, 0.0], [-0.3, 0.0])),
]


def test_lecam_follows_three_updates_by_hand():
    penalty = LeCam(weight=0.3, decay=0.5)
    for real, fake, value, slopes in UPDATES:
        result, found = lecam_call(penalty, real, fake)
        assert_close(result, torch.tensor(value))
        assert_close(found, tuple(map(torch.tensor, slopes)))
    assert_close(penalty.real_mean, torch.tensor(1.125))
    assert_close(penalty.fake_mean, torch.tensor(0.8125))


def test_lecams_averages_go_on_from_a_checkpoint():
    penalty, file = LeCam(weight=0.3, decay=0.5), io.BytesIO()
    for real, fake, *_ in UPDATES[:2]:
        lecam_call(penalty, real, fake)
    torch.save(penalty.state_dict(), file)
    file.seek(0)
    resumed = LeCam(weight=0.3, decay=0.5)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert_close(lecam_call(resumed, *UPDATES[2][:2])[0], torch.tensor(0.15))
    assert_close(torch.stack([resumed.real_mean, resumed.fake_mean]), torch.tensor([1.125, 0.8125]))


def test_weight_clip_holds_each_parameter_within_the_limit_and_touches_no_other():
    critic = nn.Linear(3, 1)
    with torch.no_grad():
        critic.weight.copy_(torch.tensor([[0.5, -0.02, 0.003]]))
        critic.bias.fill_(-0.009)
    before = critic.weight
    assert WeightClip(limit=0.01).after_step(critic.parameters()) is None
    assert critic.weight is before and critic.weight.requires_grad and critic.weight.is_leaf
    assert_close(critic.weight.detach(), torch.tensor([[0.01, -0.01, 0.003]]))
    assert_close(critic.bias.detach(), torch.tensor([-0.009]))


@pytest.mark.parametrize("kind", [NoPenalty, WeightClip])
def test_what_penalises_nothing_asks_the_critic_nothing(kind):
    logits = torch.randn(4, dtype=torch.float64)
    result = kind()(None, torch.randn(4, 2), torch.randn(4, 2), logits, logits)
    assert_close(result, torch.tensor(0.0, dtype=torch.float64))


@pytest.mark.parametrize("kind", [NoPenalty, LeCam, *GRADIENT_PENALTIES])
def test_only_weight_clip_changes_the_critic(kind):
    critic = nn.Linear(3, 1)
    before = [p.detach().clone() for p in critic.parameters()]
    kind().after_step(critic.parameters())
    assert_close([p.detach() for p in critic.parameters()], before, rtol=0, atol=0)
    assert issubclass(kind, Penalty) and kind().interval == 1


@pytest.mark.parametrize("kind", GRADIENT_PENALTIES)
def test_weights_and_intervals_out_of_range_are_refused(kind):
    with pytest.raises(ValueError, match=r"^weight must be at least 0, got -1$"):
        kind(weight=-1)
    with pytest.raises(ValueError, match=r"^interval must be at least 1, got 0$"):
        kind(interval=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeCam(weight=-1), "weight must be at least 0, got -1"),
        (lambda: LeCam(decay=1.0), "decay must be at least 0 and below 1, got 1.0"),
        (lambda: LeCam(decay=-0.1), "decay must be at least 0 and below 1, got -0.1"),
        (lambda: Dragan(scale=-0.5), "scale must be at least 0, got -0.5"),
        (lambda: WeightClip(limit=0), "limit must be above 0, got 0"),
    ],
)
def test_other_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()
