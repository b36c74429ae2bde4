"""A model in the rows of a catalogue that began with another one: the same answers, no others."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.recommendations.adapters.model import Model, Proven, model_in_rows, model_of, prove
from services.recommendations.domain.answer import Cause
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.budget import Budget, Costs
from services.recommendations.domain.candidates import Rules
from services.recommendations.domain.catalog import Catalog, Terms
from services.recommendations.domain.lists import made
from services.recommendations.domain.placed import Placed
from services.recommendations.domain.rerank import Caps
from services.recommendations.domain.scenario import Scenario, SourceName
from services.shared.model_input import (
    PURCHASE,
    SEARCH,
    TARGET_NAMES,
    VIEW,
    Interaction,
    Vocabulary,
)
from services.shared.profile import Profile, Search, Touch
from services.shared.repeat import DAY, numbers
from tests.recommendation_parts import listing
from tests.tiny_bundle import TEXT_ENCODER, add_neighbours, make_bundle, seal, write_json

NOW = 100 * DAY
COUNT = 24
IDS = [f"p{number:02}" for number in range(COUNT)]
VECTORS = {
    each: tuple(np.random.default_rng(place).integers(-8, 9, 4) / 4)
    for place, each in enumerate(IDS)
}


@pytest.fixture(scope="module", params=["vectors", "codes"])
def proven(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """A bundle with everything that a score is made of."""
    folder = tmp_path_factory.mktemp("bundle")
    blend = {"neighbours": 1.0, "repeat": 2.0}
    counts = {each: place * 7 % 11 for place, each in enumerate(IDS)}
    make_bundle(folder, VECTORS, popularity=counts, coded=request.param == "codes", blend=blend)
    add_neighbours(folder, {1: {4: 0.5, 7: 0.25}, 9: {2: 1.0}, 24: {1: 0.5}}, rows=COUNT + 1)
    worth = numbers(np.linspace(-1, 1, COUNT + 1))
    table = {"counts": [], "recency_days": [7], "score": [[1.0, 0.25]]}
    write_json(folder / "repeat.json", {**table, "again": worth, "first": worth[::-1]})
    seal(folder)
    return prove(folder)


def begun_with(*product_ids: str) -> Catalog:
    return Catalog(Vocabulary(list(product_ids)))


def taken(catalog: Catalog, proven: Proven) -> tuple[Model, list[int]]:
    """The bundle's model in the catalogue's rows, and which it took."""
    rows = catalog.take_rows(proven.bundle.vocabulary)
    whole = np.array([0, *rows])
    return model_in_rows(proven, whole, catalog.known_row, int(whole.max()) + 1), rows


DID = [
    Interaction(NOW - 9 * DAY, "p00", PURCHASE),
    Interaction(NOW - DAY, "nobody-knows", VIEW),
    Interaction(NOW - DAY, "p08", VIEW),
    Interaction(NOW, "p23", PURCHASE),
]


@settings(max_examples=40)
@given(order=st.permutations([*IDS[:18], "x", "y", "z"]), listed=st.sets(st.sampled_from(IDS)))
def test_scores_are_those_of_the_bundles_own_rows(
    proven: Proven, order: list[str], listed: set[str]
) -> None:
    """Whatever the catalogue began with and has listed since, and however rows are spread."""
    plain = begun_with(*IDS)
    usual = model_of(proven, plain.vocabulary).read(DID, NOW)
    catalog = begun_with(*order)
    for product_id in sorted(listed | {"u", "v"}):
        catalog.put_product(product_id, listing(product_id))
    model, rows = taken(catalog, proven)
    reading = model.read(DID, NOW)
    assert usual is not None
    assert reading is not None
    assert np.allclose(reading.scores[rows], usual.scores[1:], atol=1e-5)
    assert not reading.scores[model.learned.gaps].any()
    assert [catalog.product_id(row) for row in rows] == IDS
    assert sorted([*rows, *model.learned.gaps.tolist()]) == list(
        range(1, model.learned.vectors.size)
    )
    assert np.allclose(reading.history.directions, usual.history.directions, atol=1e-6)
    assert all(model.learned.has(row) for row in rows)
    assert not any(model.learned.has(int(row)) for row in model.learned.gaps)
    every = np.arange(catalog.rows + 3)
    unlearned = [row for row in every.tolist() if row and not model.learned.has(row)]
    assert model.learned.unlearned(every).tolist() == unlearned


def asked(catalog: Catalog, model: Model, source: SourceName, words: str, anchor: str) -> Ask:
    """What a shopper asks who has searched for ``words``, or looks at a product."""
    searches = (Search(NOW - 1, 1, 0, words),) if words else ()
    touches = tuple(Touch(one.at, place, 0, one.product_id) for place, one in enumerate(DID))
    return Ask(
        catalog=catalog,
        model=model,
        placed=Placed(catalog, model.learned),
        scenario=Scenario(sources=(source,)),
        rules=Rules(catalog.available[: catalog.rows], (), 0.0, Caps()),
        profile=Profile(NOW, NOW, searches=searches, views=touches),
        cause=Cause.UNKNOWN_SHOPPER,
        limit=12,
        now=NOW,
        budget=Budget(Costs(), 60.0, lambda: 0.0),
        anchors=[catalog.row(anchor) or 0] if anchor else (),
    )


def lists(catalog: Catalog, model: Model) -> list[object]:
    """What a shopper is shown, with a search and without, and what is like two products."""
    found: list[object] = []
    for source, words, anchor in (
        ("personal", "", ""),
        ("personal", "new thing", ""),
        ("personal", "p03", ""),
        ("similar", "", "p05"),
        ("similar", "", "new"),
        ("bought-together", "", "p08"),
        ("popular", "", ""),
    ):
        answer = made(asked(catalog, model, cast("SourceName", source), words, anchor))
        found += [
            (catalog.product_id(pick.row), round(pick.score, 4), pick.reason, answer.source)
            for pick in answer.picks
        ]
    return found


def test_lists_are_those_of_a_catalogue_that_began_with_the_bundle(proven: Proven) -> None:
    """Products that it has not learned, behind its own ones or among them, change nothing."""
    plain, other = begun_with(*IDS), begun_with("gone-1", "new", *IDS[20:3:-1], "gone-2")
    models = [model_of(proven, plain.vocabulary), taken(other, proven)[0]]
    for catalog in (plain, other):
        for product_id in [*IDS, "new"]:
            catalog.put_product(product_id, listing(f"{product_id} thing", product_id[:2]))
        catalog.put_product("new", listing("a new thing"))
        catalog.put_offer("p02", Terms(None, available=False))
    assert lists(plain, models[0]) == lists(other, models[1])


def test_rows_stay_their_products_while_a_model_is_loaded(proven: Proven) -> None:
    """A product that is delisted keeps its row, until the model that has learned it is gone."""
    catalog = begun_with("a")
    catalog.put_product("p05", listing("five"))
    _, rows = taken(catalog, proven)
    _, again = taken(catalog, proven)
    assert rows == again
    catalog.remove_product("p05")
    catalog.put_product("new", listing("new"))
    assert catalog.row("new") not in rows
    catalog.give_back_rows(rows)
    catalog.put_product("newer", listing("newer"))
    assert catalog.row("newer") not in rows
    size = catalog.rows
    catalog.put_product("p07", listing("seven"))
    catalog.give_back_rows(rows)
    for number in range(COUNT - 1):
        catalog.put_product(f"other-{number}", listing("other"))
    assert catalog.rows == size
    assert catalog.row("p07") == rows[7]
    catalog.remove_product("p07")
    catalog.put_product("last", listing("last"))
    assert catalog.row("last") == rows[7]


@pytest.mark.parametrize("coded", [False, True])
def test_a_model_is_gone_with_its_last_holder(tmp_path: Path, coded: bool) -> None:
    """Without waiting for a search of garbage: no part of it holds the whole in a circle."""
    folder = make_bundle(
        tmp_path / "bundle",
        VECTORS,
        coded=coded,
        tower=True,
        reads=[*TARGET_NAMES, "search"],
        text_encoder=TEXT_ENCODER,
    )
    gc.disable()
    try:
        proven = prove(folder, lambda _: lambda texts: np.ones((len(texts), 4), np.float32))
        model = model_of(proven, proven.bundle.vocabulary)
        assert model.read([*DID, Interaction(NOW, "", SEARCH, "tea")], NOW)
        left = [weakref.ref(each) for each in (model, proven.encoder, proven.search_vectors)]
        del model, proven
        assert [each() for each in left] == [None] * len(left)
    finally:
        gc.enable()
