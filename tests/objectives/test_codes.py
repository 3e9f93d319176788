"""The terms of a vector-quantised autoencoder, by hand."""

import math

import torch
from torch.testing import assert_close

from genlab.objectives.codes import code_nll, commitment, perplexity, straight_through, usage


def test_the_gradient_passes_the_quantisation_as_if_it_were_not_there():
    features = torch.tensor([1.0, -2.0, 0.5, 0.0]).view(1, 2, 1, 2).requires_grad_()
    vectors = torch.tensor([3.0, 1.0, -1.0, 2.0]).view(1, 2, 1, 2).requires_grad_()
    passed = straight_through(features, vectors)
    assert_close(passed, vectors)
    (passed**3).sum().backward()
    # d(v^3) = 3 v^2 at the vectors 3, 1, -1, 2, handed to the features
    assert features.grad is not None and features.grad.flatten().tolist() == [27.0, 3.0, 3.0, 12.0]
    assert vectors.grad is None


def test_commitment_is_a_squared_distance_that_pulls_the_features_alone():
    features = torch.tensor([[1.0, 2.0], [0.0, -1.0]]).view(2, 2, 1, 1).requires_grad_()
    vectors = torch.tensor([[0.0, 4.0], [0.0, 2.0]]).view(2, 2, 1, 1).requires_grad_()
    distance = commitment(features, vectors)
    assert distance.tolist() == [1 + 4, 0 + 9]
    distance.sum().backward()
    assert features.grad is not None and features.grad.flatten().tolist() == [2.0, -4.0, 0.0, -6.0]
    assert vectors.grad is None


def test_the_nll_of_a_grid_is_the_sum_over_its_places():
    logits = torch.log(torch.tensor([[0.5, 0.1], [0.25, 0.1], [0.25, 0.8]])).view(1, 3, 1, 2)  # [B, N, h, w]
    codes = torch.tensor([[[1, 2]], [[0, 0]]])
    expected = torch.tensor([-math.log(0.25 * 0.8), -math.log(0.5 * 0.1)])
    assert_close(code_nll(logits.expand(2, -1, -1, -1), codes), expected)


def test_usage_counts_and_perplexity_is_the_number_of_codes_taken_alike():
    counts = usage(torch.tensor([[[0, 3], [3, 0]]]), 5)
    assert counts.tolist() == [2.0, 0.0, 0.0, 2.0, 0.0]
    assert_close(perplexity(counts), torch.tensor(2.0))
    assert_close(perplexity(torch.ones(7)), torch.tensor(7.0))
    # entropy of 3/4, 1/4: 3/4 log 4/3 + 1/4 log 4
    uneven = math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    assert_close(perplexity(torch.tensor([3.0, 1.0])), torch.tensor(uneven))
