"""The model's mathematics, held to formulas written down a second time."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor

from model_export.modelling.model import ENCODERS, Model
from model_export.modelling.transformer import attention, blocked, time_buckets
from model_export.settings import TrainSettings
from model_export.training.coding import coded
from services.shared.model_input import GAP_BUCKETS, TARGETS

PRODUCTS, LENGTH, FEATURES, TEXT = 20, 6, 4, 3
SETTINGS = TrainSettings(
    dimensions=8, layers=2, max_length=LENGTH, dropout=0.0, id_dropout=0.0, recall=True
)
PURCHASE_ONLY = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
KINDS = pytest.mark.parametrize("kind", list(ENCODERS))


def a_model(kind: str = "causal", *, content: bool = False, id_dropout: float = 0.0) -> Model:
    """Two layers with parameters that are all alive.

    Behind the products is a query; the last product has no id of its own.
    """
    torch.manual_seed(5)
    settings = msgspec.structs.replace(SETTINGS, architecture=kind, id_dropout=id_dropout)
    rows = torch.arange(PRODUCTS + 2)
    text = torch.randn(len(rows), TEXT) if content else torch.zeros(len(rows), 0)
    text[0] = 0
    features = rows.unsqueeze(1) % (FEATURES + 1) if content else torch.zeros(len(rows), 0)
    shape = settings.shape(
        products=PRODUCTS, features=FEATURES if content else 0, text=TEXT if content else 0
    )
    model = Model(shape, (rows > 0) & (rows < PRODUCTS), features, text)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        model.get_parameter("items.ids.weight")[0] = 0
        if model.items.tower is not None:
            model.items.tower.features.weight[0] = 0
    return model.eval()


def history(*items: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One row [1, L], padded on the left: items, actions, gaps, segments."""
    padding = [0] * (LENGTH - len(items))
    row = torch.tensor([[*padding, *items]])
    gaps = torch.where(row > 0, row * 2 % GAP_BUCKETS, 0)
    gaps[0, : len(padding) + 1] = 0
    return row, torch.where(row > 0, row % 4 + 1, 0), gaps, torch.where(row > 0, 0, -1)


def states(model: Model, row: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """The states at all places, [1, L, d]."""
    items, actions, gaps, segments = row
    everywhere = torch.arange(items.shape[1]).unsqueeze(0)
    with torch.no_grad():
        return model.states(model.items(items), actions, gaps, segments, everywhere)


def test_attention_is_the_formula_of_the_paper() -> None:
    """softmax(QKᵀ/√d_k)V, computed once more in NumPy, one query at a time."""
    random = np.random.default_rng(1)
    q, k, v = (random.normal(size=(2, 3, 5, 4)) for _ in range(3))
    expected = np.zeros_like(q)
    for b, h, i in np.ndindex(2, 3, 5):
        scores = np.array([q[b, h, i] @ k[b, h, j] / math.sqrt(4) for j in range(i + 1)])
        weights = np.exp(scores) / np.exp(scores).sum()
        expected[b, h, i] = sum(w * v[b, h, j] for j, w in enumerate(weights))
    bias = torch.full((5, 5), -torch.inf, dtype=torch.float64).triu(1).expand(2, 1, 5, 5)
    found = attention(torch.from_numpy(q), torch.from_numpy(k), torch.from_numpy(v), bias)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_attention_agrees_with_torchs_own() -> None:
    """The same inputs through torch.nn.functional.scaled_dot_product_attention."""
    torch.manual_seed(2)
    q, k, v = (torch.randn(2, 3, 5, 4) for _ in range(3))
    bias = torch.randn(2, 3, 5, 5) + torch.full((5, 5), -torch.inf).triu(1)
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    torch.testing.assert_close(attention(q, k, v, bias), theirs)


@KINDS
def test_no_position_sees_what_comes_later(kind: str) -> None:
    """Changing the newest interaction changes the newest state, and no earlier one."""
    model = a_model(kind)
    one, other = states(model, history(3, 1, 4, 1, 5)), states(model, history(3, 1, 4, 1, 9))
    torch.testing.assert_close(one[:, :-1], other[:, :-1])
    assert not torch.allclose(one[:, -1], other[:, -1])


@KINDS
def test_every_earlier_interaction_counts(kind: str) -> None:
    """Changing any interaction of the history changes the newest state."""
    model = a_model(kind)
    base = states(model, history(3, 1, 4, 1, 5))[:, -1]
    for place in range(5):
        changed = [3, 1, 4, 1, 5]
        changed[place] = 9
        assert not torch.allclose(states(model, history(*changed))[:, -1], base)


@KINDS
def test_padding_is_not_seen(kind: str) -> None:
    """Whatever vectors stand where there is padding, the state is the same."""
    model = a_model(kind)
    items, actions, gaps, segments = history(3, 1, 4)
    vectors = model.items(items).detach()
    littered = vectors.clone()
    littered[:, :3] = 1e3
    last = torch.full((1, 1), LENGTH - 1)
    with torch.no_grad():
        clean = model.states(vectors, actions, gaps, segments, last)
        torch.testing.assert_close(model.states(littered, actions, gaps, segments, last), clean)


@KINDS
def test_who_shares_a_row_is_not_seen(kind: str) -> None:
    """A history has the same states alone, on the right, and packed behind another one."""
    model = a_model(kind)
    alone = states(model, history(4, 1, 5))[:, 3:]
    items, actions, gaps, segments = (
        torch.cat([a[:, 3:], b[:, 3:]], dim=1)
        for a, b in zip(history(3, 1, 9), history(4, 1, 5), strict=True)
    )
    segments = torch.tensor([[0, 0, 0, 1, 1, 1]])
    packed = states(model, (items, actions, gaps, segments))
    torch.testing.assert_close(packed[:, 3:], alone)


@KINDS
def test_an_empty_history_has_a_state(kind: str) -> None:
    """A softmax over nothing would be no number."""
    assert torch.isfinite(states(a_model(kind), history())).all()


@KINDS
def test_one_asked_place_has_the_state_it_has_among_all(kind: str) -> None:
    """Asking for the last place alone, as a server does, computes the same and less."""
    model = a_model(kind)
    row = history(3, 1, 4, 1, 5)
    last = torch.full((1, 1), LENGTH - 1)
    with torch.no_grad():
        alone = model.states(model.items(row[0]), *row[1:], last)
    torch.testing.assert_close(alone[:, 0], states(model, row)[:, -1])


@KINDS
def test_action_and_gap_count(kind: str) -> None:
    """The same products, put into the cart instead of bought, or a year apart, mean another."""
    model = a_model(kind)
    items, actions, gaps, segments = history(3, 1, 4)
    base = states(model, (items, actions, gaps, segments))[:, -1]
    seen = states(model, (items, actions.clamp(max=1), gaps, segments))[:, -1]
    at_once = states(model, (items, actions, gaps * 0, segments))[:, -1]
    assert not torch.allclose(seen, base)
    assert not torch.allclose(at_once, base)


def test_blocked_places() -> None:
    """Later ones, another's and padding are blocked; each may look at itself."""
    bias = blocked(torch.tensor([[-1, 0, 0, 1]]), torch.arange(4).unsqueeze(0))[0, 0]
    assert (bias == 0).tolist() == [
        [True, False, False, False],
        [False, True, False, False],
        [False, True, True, False],
        [False, False, False, True],
    ]


def test_time_between_two_places_is_the_sum_of_the_gaps() -> None:
    """In buckets that double, each gap counted as the middle of its own."""
    gaps = torch.tensor([[0, 1, 3, 30]])  # 1.5, 6 and 805,306,368 seconds
    found = time_buckets(gaps, torch.tensor([[2, 3]]))
    assert found.tolist() == [[[3, 3, 0, 0], [30, 30, 30, 0]]]


def test_a_query_is_a_direction_for_each_action() -> None:
    """Of length 1/temperature; weights of several actions add up the queries."""
    model = a_model()
    items, actions, gaps, _ = history(3, 1, 4)
    vectors = model.items(items).detach()

    def query(*wanted: float) -> Tensor:
        with torch.no_grad():
            found: Tensor = model(vectors, actions, gaps, torch.tensor([wanted]))
        return found[0]

    each = [query(*row) for row in torch.eye(len(TARGETS)).tolist()]
    for one in each:
        assert one.norm().item() == pytest.approx(1 / SETTINGS.temperature, rel=1e-4)
    assert not torch.allclose(each[0], each[3])
    torch.testing.assert_close(query(0.25, 0, 0, 0.75), 0.25 * each[0] + 0.75 * each[3])


def test_items_have_unit_vectors_and_padding_none() -> None:
    """So a score is a cosine over the temperature."""
    lengths = a_model(content=True).items.vectors().norm(dim=1)
    assert lengths[0] == 0
    torch.testing.assert_close(lengths[1:], torch.ones(PRODUCTS), atol=1e-3, rtol=0)


def test_a_product_without_id_stands_where_its_content_says() -> None:
    """What random number its id began with must not show."""
    model = a_model(content=True)
    before = model.items.vectors()[PRODUCTS]
    with torch.no_grad():
        model.get_parameter("items.ids.weight")[PRODUCTS] += 5
    assert torch.equal(model.items.vectors()[PRODUCTS], before)
    known = model.items.content(torch.tensor(PRODUCTS))
    torch.testing.assert_close(before, known / known.norm(), atol=1e-5, rtol=1e-5)


def test_id_dropout_shows_content_alone_now_and_then() -> None:
    """In training a product is either whole or as if it were new; never in between."""
    model = a_model(content=True, id_dropout=0.5).train()
    row = torch.full((200,), 7)
    whole = a_model(content=True).items(torch.tensor([7]))[0]
    new = model.items.content(torch.tensor(7))
    found = model.items(row)
    is_whole = (found - whole).abs().amax(1) < 1e-5
    is_new = (found - new / new.norm()).abs().amax(1) < 1e-5
    assert (is_whole ^ is_new).all()
    assert 60 < is_new.sum() < 140


def test_a_search_has_a_place_among_the_products() -> None:
    """Its words go through the projection that titles go through."""
    model = a_model(content=True)
    words = model.items.text[PRODUCTS + 1]
    assert model.items.tower is not None
    assert model.items.tower.text is not None
    expected = model.items.tower.text(words) + model.items.tower.features.weight[1]
    found = model.items(torch.tensor(PRODUCTS + 1))
    torch.testing.assert_close(found, expected / expected.norm(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("content", [False, True])
def test_codes_stand_for_directions_of_sums(content: bool) -> None:
    """A product is what its centroids sum to; padding is nothing; a search is its words."""
    whole = a_model(content=content)
    model = coded(whole, np.arange(PRODUCTS), seed=1)
    items = model.items
    codes, books = items.get_buffer("codes"), items.get_parameter("books")
    sums = torch.stack([books[part][codes[:, part].long()] for part in range(len(books))]).sum(0)
    expected = torch.nn.functional.normalize(sums)
    found = model.eval().items.vectors()
    torch.testing.assert_close(found[1:], expected[1:], atol=1e-5, rtol=1e-5)
    assert not found[0].any()
    torch.testing.assert_close(found, whole.eval().items.vectors(), atol=1e-3, rtol=0)
    if content:
        search = torch.tensor([PRODUCTS + 1])
        torch.testing.assert_close(items(search), whole.items(search))
        model.items.id_dropout = 0.5
        model.train()
        alone = items.content(torch.tensor(7))
        rows = items(torch.full((200,), 7))
        is_new = (rows - alone / alone.norm()).abs().amax(1) < 1e-5
        assert 60 < is_new.sum() < 140
