"""A codebook that follows its features: by hand, and over processes."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from genlab.errors import UserError
from genlab.networks.ema_quantizer import EMAQuantizer


def places(*rows: list[float]) -> Tensor:
    """Features `[1, V, 1, places]`."""
    return torch.tensor(rows).T[None, :, None, :].contiguous()


def book(*rows: list[float], count: float = 1.0, **settings) -> EMAQuantizer:
    """A codebook in which nothing is due to be revived."""
    quantizer = EMAQuantizer(**settings, num_codes=len(rows), code_dim=len(rows[0]))
    quantizer.embedding.copy_(torch.tensor(rows))
    quantizer.count.fill_(count)
    quantizer.total.copy_(count * quantizer.embedding)
    quantizer.idle.zero_()
    return quantizer


def test_each_place_gets_the_nearest_code():
    quantizer = book([0.0, 0.0], [1.0, 1.0], [5.0, 0.0]).eval()
    vectors, codes = quantizer(places([0.4, 0.4], [0.6, 0.7], [9.0, 1.0]))
    assert codes.tolist() == [[[0, 1, 2]]]
    assert_close(vectors, places([0.0, 0.0], [1.0, 1.0], [5.0, 0.0]))
    assert_close(quantizer.vectors(codes), vectors)


def test_codes_and_features_of_a_map_stand_at_the_same_place():
    quantizer = EMAQuantizer(num_codes=7, code_dim=3).eval()
    features = torch.randn(2, 3, 4, 5)
    vectors, codes = quantizer(features)
    assert vectors.shape == features.shape and codes.shape == (2, 4, 5)
    far = (features[:, None] - quantizer.embedding[None, :, :, None, None]).square().sum(2)  # [B, N, h, w]
    assert torch.equal(codes, far.argmin(1))
    assert_close(quantizer.vectors(codes), vectors)


def test_codes_follow_the_moving_mean_of_what_took_them():
    quantizer = book([0.0], [10.0], count=2.0, decay=0.75, epsilon=1e-9)
    vectors, codes = quantizer(places([1.0], [3.0], [8.0]))
    assert codes.tolist() == [[[0, 0, 1]]] and vectors.flatten().tolist() == [0.0, 0.0, 10.0]
    # N = .75 * 2 + .25 * n with n = 2, 1; m = .75 * 2 e + .25 * s with s = 1 + 3, 8
    assert_close(quantizer.count, torch.tensor([2.0, 1.75]))
    assert_close(quantizer.total, torch.tensor([[1.0], [17.0]]))
    assert_close(quantizer.embedding, torch.tensor([[0.5], [17 / 1.75]]))


def test_counts_are_smoothed_after_laplace():
    quantizer = book([0.0], [10.0], decay=0.0, epsilon=0.5)
    quantizer(places([1.0], [3.0], [8.0]))
    # n = 2, 1 of 3: smoothed (n + .5) / (3 + 2 * .5) * 3 = 1.875, 1.125; the sums are 4 and 8
    assert_close(quantizer.embedding, torch.tensor([[4 / 1.875], [8 / 1.125]]))


def test_what_judges_moves_nothing():
    quantizer = book([0.0], [10.0]).eval()
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    torch.manual_seed(0)
    state = torch.get_rng_state()
    quantizer(places([1.0], [3.0]))
    assert all(torch.equal(before[name], value) for name, value in quantizer.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_the_first_batch_makes_the_codebook():
    quantizer = EMAQuantizer(num_codes=4, code_dim=1, decay=0.99)
    features = places([100.0], [101.0], [102.0])
    vectors, _ = quantizer(features)
    assert set(vectors.flatten().tolist()) <= {100.0, 101.0, 102.0}
    assert quantizer.embedding.min() > 99 and (quantizer.idle <= 1).all()


def test_a_code_that_nobody_took_for_a_while_is_put_where_a_feature_is():
    quantizer = book([0.0], [-50.0], revive_after=3)
    idle = []
    for step in range(5):
        _, codes = quantizer(places([1.0 + step], [2.0 + step]))
        idle.append(quantizer.idle.tolist())
        if step == 2:
            assert codes.tolist() == [[[0, 0]]]
    assert idle[:3] == [[0, 1], [0, 2], [0, 3]]
    assert idle[3][1] == 0  # it was put at 4 or 5, which took it
    assert quantizer.embedding[1] > 3
    never = book([0.0], [-50.0], revive_after=None)
    for _ in range(300):
        never(places([1.0], [2.0]))
    assert never.embedding[1] < -40 and never.idle.tolist() == [0, 300]


def test_a_revived_code_has_the_weight_of_one_feature():
    quantizer = book([0.0], [-50.0], count=40.0, revive_after=1, decay=0.5)
    quantizer.idle[1] = 1
    quantizer(places([4.0], [4.0]))
    # put at 4, count 1, sum 4; both features are its: N = .5 * 1 + .5 * 2, m = .5 * 4 + .5 * 8
    assert_close(quantizer.count[1], torch.tensor(1.5))
    assert_close(quantizer.total[1], torch.tensor([6.0]))


def test_it_learns_in_single_precision_under_autocast():
    quantizer = book([1.0], [1.001])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors, codes = quantizer(places([1.0], [1.001]))
    assert codes.tolist() == [[[0, 1]]] and vectors.dtype == torch.float32


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"decay": 1.0}, "model.quantizer.decay must be at least 0 and below 1, got 1.0"),
        ({"epsilon": 0.0}, "model.quantizer.epsilon must be above 0, got 0.0"),
        (
            {"revive_after": 0},
            "model.quantizer.revive_after must be at least 1, or null for never, got 0",
        ),
    ],
)
def test_numbers_out_of_range_are_told(wrong, sentence):
    with pytest.raises(UserError) as error:
        EMAQuantizer(**wrong, num_codes=4, code_dim=2)
    assert str(error.value) == sentence


SCRIPT = """
    import sys, torch
    from torch import distributed
    from genlab.networks.ema_quantizer import EMAQuantizer

    out, rank = sys.argv[1], int(sys.argv[2])
    distributed.init_process_group("gloo", init_method=f"file://{out}/meet", rank=rank, world_size=2)
    torch.manual_seed(7)
    quantizer = EMAQuantizer(revive_after=2, num_codes=6, code_dim=3)
    features = torch.randn(8, 2, 4, 3, 2, 2) * 3
    torch.manual_seed(rank)  # noise of its own
    offered = []
    for step in features:
        quantizer(step[rank])
        offered.append(quantizer.embedding.clone())
    torch.save({"state": quantizer.state_dict(), "first": offered[0]}, f"{out}/{rank}.pt")
    distributed.barrier()
    distributed.destroy_process_group()  # left to the exit, its threads abort the process at times
"""


def two_processes(tmp_path: Path, script: str) -> list[dict]:
    """What each of two processes saved."""
    file = tmp_path / "ranks.py"
    file.write_text(textwrap.dedent(script))
    ranks = [
        subprocess.Popen([sys.executable, file, tmp_path, str(rank)], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    told = [process.communicate(timeout=120)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], told
    return [torch.load(tmp_path / f"{rank}.pt", weights_only=True)["state"] for rank in range(2)]


def test_processes_keep_one_codebook_of_what_all_of_them_saw(tmp_path: Path) -> None:
    one, two = two_processes(tmp_path, SCRIPT)
    for name, value in one.items():
        assert torch.equal(value, two[name]), name
    # with all counts at 1 and both batches counted, 32 places, the sum moves by 1 % towards 32
    assert one["count"].sum() > 6


def test_processes_move_the_codes_as_one_process_does_with_all_features(tmp_path: Path) -> None:
    two, _ = two_processes(tmp_path, SCRIPT.replace("revive_after=2", "revive_after=None"))
    torch.manual_seed(7)
    quantizer = EMAQuantizer(revive_after=None, num_codes=6, code_dim=3)
    features = torch.randn(8, 2, 4, 3, 2, 2) * 3
    chosen = []
    for rank in range(2):  # where each process puts codes at the first batch
        torch.manual_seed(rank)
        flat = features[0, rank].movedim(1, -1).flatten(0, -2)
        chosen.append(flat[torch.randint(len(flat), (6,))])
    start = torch.where(torch.arange(6)[:, None] % 2 == 0, *chosen)
    quantizer.embedding.copy_(start)
    quantizer.total.copy_(start)
    quantizer.idle.zero_()
    for step in features:
        quantizer(step.flatten(0, 1))
    for name, value in quantizer.state_dict().items():
        assert_close(two[name], value, msg=name)
