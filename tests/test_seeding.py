import pytest
import torch

from genlab.seeding import seeded


def test_equal_seeds_give_equal_numbers():
    with seeded(7):
        first = torch.randn(4)
    with seeded(7):
        second = torch.randn(4)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_different_seeds_give_different_numbers():
    with seeded(7):
        first = torch.randn(4)
    with seeded(8):
        second = torch.randn(4)
    assert not torch.equal(first, second)


def test_a_seed_is_the_one_of_manual_seed():
    with seeded(7):
        drawn = torch.randn(4)
    torch.testing.assert_close(drawn, torch.randn(4, generator=torch.Generator().manual_seed(7)))


def test_the_global_state_is_as_it_was_after_a_seeded_block():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with seeded(7, torch.device("cpu")):
        torch.randn(4)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_state_is_as_it_was_after_an_error_in_the_block():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with pytest.raises(KeyError), seeded(7):
        torch.randn(4)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_the_block_draws_from_the_global_state():
    torch.manual_seed(3)
    expected = torch.randn(2)
    torch.manual_seed(3)
    with seeded(None):
        first = torch.randn(1)
    torch.testing.assert_close(torch.cat([first, torch.randn(1)]), expected, rtol=0, atol=0)


@pytest.mark.gpu
def test_a_cuda_device_is_seeded_and_restored_too():
    torch.cuda.manual_seed(1)
    before = torch.cuda.get_rng_state()
    with seeded(7, "cuda"):
        first = torch.randn(4, device="cuda")
    assert torch.equal(torch.cuda.get_rng_state(), before)
    with seeded(7, torch.device("cuda", 0)):
        second = torch.randn(4, device="cuda")
    torch.testing.assert_close(first, second, rtol=0, atol=0)
