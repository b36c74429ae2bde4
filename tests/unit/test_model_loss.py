"""The training loss, held to the softmax that it estimates."""

from __future__ import annotations

import numpy as np
import torch

from model_export.training.sampled_softmax import Negatives, Sampler, sampled_softmax


def test_every_product_drawn_once_is_the_full_softmax() -> None:
    """The estimate with all products as negatives is the exact cross-entropy."""
    torch.manual_seed(3)
    query, table = torch.randn(4, 8), torch.randn(11, 8)
    table[0] = 0
    asked, targets = torch.tensor([0, 1, 2, 3, 3]), torch.tensor([1, 5, 10, 2, 7])
    everything = Negatives(torch.arange(1, 11), torch.zeros(10))
    loss = sampled_softmax(query, table[1:], table[targets], asked, targets, everything)
    scores = query @ table[1:].T
    exact = torch.nn.functional.cross_entropy(scores[asked], targets - 1, reduction="none")
    torch.testing.assert_close(loss, exact)


def test_many_draws_come_near_the_full_softmax() -> None:
    """What is drawn ten times as often counts a tenth each time: the estimate is not skewed."""
    torch.manual_seed(4)
    query, table = torch.randn(3, 8), torch.randn(31, 8)
    asked, targets = torch.arange(3), torch.tensor([1, 2, 30])
    counts = np.arange(31) ** 3
    drawn = Sampler(counts).draw(200_000, np.random.default_rng(1))
    vectors = table[drawn.items], table[targets]
    loss = sampled_softmax(query, *vectors, asked, targets, drawn)
    exact = torch.nn.functional.cross_entropy(query @ table[1:].T, targets - 1, reduction="none")
    torch.testing.assert_close(loss, exact, atol=0.02, rtol=0)


def test_a_small_catalogue_is_taken_whole() -> None:
    """Where no more products are there than wanted, chance adds nothing but noise."""
    drawn = Sampler(np.array([0, 5, 1, 1])).negatives(3, np.random.default_rng(1))
    assert drawn.items.tolist() == [1, 2, 3]
    assert not drawn.log_expected.any()


def test_the_sampler_draws_half_evenly_and_half_by_popularity() -> None:
    """Each product is drawn as often as it says it expects to be; padding never."""
    number = 100_000
    drawn = Sampler(np.array([99, 8, 1, 1, 0])).draw(number, np.random.default_rng(1))
    times = np.bincount(drawn.items.numpy(), minlength=5)
    chances = np.array([0, 0.125 + 0.4, 0.125 + 0.05, 0.125 + 0.05, 0.125])
    np.testing.assert_allclose(times / number, chances, atol=0.005)
    expected = np.exp(drawn.log_expected.numpy())
    np.testing.assert_allclose(expected, number * chances[drawn.items.numpy()], rtol=1e-5)
