"""The model's mathematics, held to formulas written down a second time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from model_export.modelling.transformer import Transformer, attention, blocked_positions
from model_export.settings import Architecture
from model_export.training.sampled_softmax import Negatives, Sampler, sampled_softmax
from services.shared.model_input import ACTIONS, GAP_BUCKETS

SHAPE = Architecture(products=20, dimensions=8, layers=2, heads=2, max_length=6, dropout=0.0)


@pytest.fixture
def model() -> Transformer:
    """Two layers with parameters that are all alive."""
    torch.manual_seed(5)
    return Transformer(SHAPE).eval()


def history(*items: int) -> tuple[Tensor, Tensor, Tensor]:
    """One sequence [1, L], padded on the left: items, actions, gaps."""
    padding = [0] * (SHAPE.max_length - len(items))
    row = torch.tensor([[*padding, *items]])
    return row, torch.where(row > 0, row % (len(ACTIONS) - 1) + 1, 0), row % GAP_BUCKETS


def queries(model: Transformer, items: Tensor, actions: Tensor, gaps: Tensor) -> Tensor:
    """The queries at all positions, [1, L, d]."""
    everywhere = torch.arange(SHAPE.max_length).unsqueeze(0)
    with torch.no_grad():
        answer: Tensor = model(model.items(items), actions, gaps, everywhere)
    return answer


def test_attention_is_the_formula_of_the_paper() -> None:
    """softmax(QKᵀ/√d_k)V, computed once more in NumPy, one query at a time."""
    random = np.random.default_rng(1)
    q, k, v = (random.normal(size=(2, 3, 5, 4)) for _ in range(3))
    may_look = np.tril(np.ones((5, 5), bool))
    expected = np.zeros_like(q)
    for b, h, i in np.ndindex(2, 3, 5):
        scores = np.array([q[b, h, i] @ k[b, h, j] / math.sqrt(4) for j in range(i + 1)])
        weights = np.exp(scores) / np.exp(scores).sum()
        expected[b, h, i] = sum(w * v[b, h, j] for j, w in enumerate(weights))
    blocked = torch.from_numpy(~may_look).expand(2, 1, 5, 5)
    found = attention(torch.from_numpy(q), torch.from_numpy(k), torch.from_numpy(v), blocked)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_attention_agrees_with_torchs_own() -> None:
    """The same inputs through torch.nn.functional.scaled_dot_product_attention."""
    torch.manual_seed(2)
    q, k, v = (torch.randn(2, 3, 5, 4) for _ in range(3))
    blocked = torch.ones(5, 5, dtype=torch.bool).triu(1).expand(2, 1, 5, 5)
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=~blocked)
    torch.testing.assert_close(attention(q, k, v, blocked), theirs)


def test_no_position_sees_what_comes_later(model: Transformer) -> None:
    """Changing the newest interaction changes the newest query, and no earlier one."""
    one = queries(model, *history(3, 1, 4, 1, 5))
    other = queries(model, *history(3, 1, 4, 1, 9))
    assert torch.equal(one[:, :-1], other[:, :-1])
    assert not torch.equal(one[:, -1], other[:, -1])


def test_every_earlier_interaction_counts(model: Transformer) -> None:
    """Changing any interaction of the history changes the newest query."""
    base = queries(model, *history(3, 1, 4, 1, 5))[:, -1]
    for place in range(5):
        changed = [3, 1, 4, 1, 5]
        changed[place] = 9
        assert not torch.allclose(queries(model, *history(*changed))[:, -1], base)


def test_padding_is_not_seen(model: Transformer) -> None:
    """Whatever vectors stand where there is padding, the query is the same."""
    items, actions, gaps = history(3, 1, 4)
    vectors = model.items(items).detach()
    littered = vectors.clone()
    littered[:, :3] = 1e3
    last = torch.full((1, 1), SHAPE.max_length - 1)
    with torch.no_grad():
        assert torch.equal(
            model(vectors, actions, gaps, last), model(littered, actions, gaps, last)
        )


def test_an_empty_history_has_a_query(model: Transformer) -> None:
    """A softmax over nothing would be no number."""
    assert torch.isfinite(queries(model, *history())).all()


def test_one_asked_position_has_the_query_it_has_among_all(model: Transformer) -> None:
    """Asking for the last position alone, as a server does, computes the same and less."""
    items, actions, gaps = history(3, 1, 4, 1, 5)
    last = torch.full((1, 1), SHAPE.max_length - 1)
    with torch.no_grad():
        alone = model(model.items(items), actions, gaps, last)
    torch.testing.assert_close(alone[:, 0], queries(model, items, actions, gaps)[:, -1])


def test_action_and_gap_count(model: Transformer) -> None:
    """The same products, put into the cart instead of bought, or a year apart, mean another."""
    items, actions, gaps = history(3, 1, 4)
    base = queries(model, items, actions, gaps)[:, -1]
    assert not torch.allclose(queries(model, items, actions.clamp(max=1), gaps)[:, -1], base)
    assert not torch.allclose(queries(model, items, actions, gaps * 0)[:, -1], base)


def test_blocked_positions() -> None:
    """Later ones and padding are blocked; each may look at itself."""
    blocked = blocked_positions(torch.tensor([[0, 2, 3]]))[0]
    assert blocked.tolist() == [[False, True, True], [True, False, True], [True, False, False]]


def test_every_product_drawn_once_is_the_full_softmax() -> None:
    """The estimate with all products as negatives is the exact cross-entropy."""
    torch.manual_seed(3)
    query, table = torch.randn(4, 8), torch.randn(11, 8)
    table[0] = 0
    asked, targets = torch.tensor([0, 1, 2, 3, 3]), torch.tensor([1, 5, 10, 2, 7])
    everything = Negatives(torch.arange(1, 11), torch.zeros(10))
    loss = sampled_softmax(query, table, asked, targets, everything)
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
    loss = sampled_softmax(query, table, asked, targets, drawn)
    exact = torch.nn.functional.cross_entropy(query @ table[1:].T, targets - 1, reduction="none")
    torch.testing.assert_close(loss, exact, atol=0.02, rtol=0)


def test_the_sampler_draws_half_evenly_and_half_by_popularity() -> None:
    """Each product is drawn as often as it says it expects to be; padding never."""
    number = 100_000
    drawn = Sampler(np.array([99, 8, 1, 1, 0])).draw(number, np.random.default_rng(1))
    times = np.bincount(drawn.items.numpy(), minlength=5)
    chances = np.array([0, 0.125 + 0.4, 0.125 + 0.05, 0.125 + 0.05, 0.125])
    np.testing.assert_allclose(times / number, chances, atol=0.005)
    expected = np.exp(drawn.log_expected.numpy())
    np.testing.assert_allclose(expected, number * chances[drawn.items.numpy()], rtol=1e-5)
