"""A personal list: scores, masks, searches, and one honest reason for each product."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.recommendations.adapters.model import Model
from services.recommendations.domain.learned import Reading
from services.recommendations.domain.scenario import Variety
from services.shared.model_input import Interaction
from services.shared.profile import Cart, Touch
from services.shared.repeat import DAY
from tests.storefront import (
    GONE,
    NOW,
    VECTORS,
    Kind,
    Storefront,
    bought,
    by_id,
    ids,
    model_of,
    number,
    searched,
    shop_of,
    viewed,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
def shop(model: Model) -> Storefront:
    """Six products the model knows and one it does not, in the order of their scores."""
    shop = shop_of(model, "novel")
    shop.scenario(sources=("personal",), variety=Variety(strength=0.0, category=1.0))
    return shop


async def test_scores_are_query_times_vector_over_the_whole_catalogue(shop: Storefront) -> None:
    """Without searches, order and scores are exactly those of a naive ranking."""
    await shop.know("ana", viewed("tea", "mug", "saw"))
    query = np.sum([VECTORS[name] for name in ("tea", "mug", "saw")], axis=0)
    naive = {name: float(np.dot(query, vector)) for name, vector in VECTORS.items()}
    answer = await shop.recommend()
    assert ids(answer.products) == sorted(naive, key=lambda name: -naive[name])
    assert {each.product_id: each.score for each in answer.products} == naive
    assert (answer.source, answer.fallback_cause) == (pb.SOURCE_PERSONAL, 0)
    assert answer.model_version == shop.model.version


async def test_what_is_unavailable_or_unwanted_is_never_shown(shop: Storefront) -> None:
    """Sold out, removed, excluded and refused products are not there, however well they fit."""
    shop.catalog.put_offer("tea", GONE)
    shop.catalog.remove_product("pot")
    refused = (Touch(NOW, number("no"), 0, "sock"),)
    await shop.know("ana", viewed("tea", "sock", "saw", not_interested=refused))
    answer = await shop.recommend(exclude_product_ids=["mug", "not in the catalogue"])
    assert ids(answer.products) == ["shoe", "saw"]


async def test_each_reason_is_the_event_with_the_most_similar_product(shop: Storefront) -> None:
    """A product follows from the event whose product is most like it, with its action's kind."""
    carts = (Cart(NOW - DAY, number("c"), 0, "shoe", 1),)
    clicks = (Touch(NOW - DAY, number("k"), 0, "saw"),)
    await shop.know("ana", bought(("tea", 3), carts=carts, clicks=clicks))
    found = by_id((await shop.recommend()).products)
    pot, sock, saw = (found[name].reason for name in ("pot", "sock", "saw"))
    assert (pot.kind, pot.product_id) == (Kind.KIND_BOUGHT, "tea")
    assert pot.occurred_at.seconds == (NOW - 3 * DAY) // 10**6
    assert pot.sentence == "Because you bought The tea"
    assert (sock.kind, sock.product_id) == (Kind.KIND_IN_CART, "shoe")
    assert sock.sentence == "Because you put The shoe in your cart"
    assert (saw.kind, saw.sentence) == (Kind.KIND_CLICKED, "Because you chose it")


async def test_a_product_bought_before_says_so_with_its_last_purchase(shop: Storefront) -> None:
    """An earlier purchase of the same product is the reason, the newest one."""
    views = viewed("tea").views
    await shop.know("ana", bought(("tea", 9), ("tea", 5), views=views))
    reason = by_id((await shop.recommend()).products)["tea"].reason
    assert (reason.kind, reason.product_id) == (Kind.KIND_BOUGHT_BEFORE, "tea")
    assert reason.occurred_at.seconds == (NOW - 5 * DAY) // 10**6
    assert reason.sentence == "You bought it before"


async def test_an_event_about_an_unlisted_product_is_named_by_its_id(shop: Storefront) -> None:
    """A product that left the catalogue still explains others."""
    shop.catalog.remove_product("tea")
    await shop.know("ana", bought(("tea", 1)))
    found = by_id((await shop.recommend()).products)
    assert found["pot"].reason.sentence == "Because you bought tea"


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("", "Because you looked at The tea"),
        ("en-GB", "Because you looked at The tea"),
        ("fr", "Because you looked at The tea"),
        ("zh", "因为您看过The tea"),
        ("ZH_hant-TW", "因为您看过The tea"),
    ],
)
async def test_reasons_are_in_the_callers_language(
    shop: Storefront, language: str, sentence: str
) -> None:
    """English and Chinese; English for whoever asks for another."""
    await shop.know("ana", viewed("tea"))
    answer = await shop.recommend(context=pb.Context(language=language))
    assert by_id(answer.products)["pot"].reason.sentence == sentence


async def test_a_search_changes_the_list_at_once_and_is_the_reason(shop: Storefront) -> None:
    """A product that a search lifted leads and names the search; others keep their reasons."""
    await shop.know("ana", bought(("tea", 1)))
    await shop.know("bo", bought(("tea", 1), searches=searched("mug").searches))
    before, after = await shop.recommend("ana"), await shop.recommend("bo")
    assert ids(before.products)[0] == "tea"
    assert ids(after.products)[0] == "mug"
    mug = by_id(after.products)["mug"].reason
    assert (mug.kind, mug.query, mug.occurred_at.seconds) == (
        Kind.KIND_SEARCHED,
        "mug",
        NOW // 10**6,
    )
    assert mug.sentence == "Because you searched for “mug”"
    assert by_id(after.products)["pot"].reason == by_id(before.products)["pot"].reason


async def test_words_alone_do_not_outrun_a_strong_habit(shop: Storefront) -> None:
    """A full match of the least fitting product stays below the best fitting one."""
    await shop.know("ana", bought(("tea", 2), ("tea", 1), searches=searched("saw").searches))
    assert ids((await shop.recommend()).products)[0] == "tea"


async def test_a_search_stands_among_what_is_bought_week_by_week(tmp_path: Path) -> None:
    """A full match of an average product comes behind the strongest habit, before the others."""
    scores = {"tea": 38, "pot": 34, "mug": 33, "sock": 0, "shoe": 0, "saw": 18, "habit": 1}
    vectors = {product_id: (float(score),) for product_id, score in scores.items()}
    shop = shop_of(model_of(tmp_path / "bundle", vectors))
    await shop.know("ana", viewed("habit", searches=searched("saw").searches))
    answer = await shop.recommend(exclude_product_ids=["habit"])
    assert ids(answer.products)[:4] == ["tea", "saw", "pot", "mug"]


async def test_a_product_the_model_has_not_learned_is_found_by_its_words(shop: Storefront) -> None:
    """Without a vector a product comes up through a search, and only then."""
    await shop.know("ana", viewed("tea"))
    await shop.know("bo", viewed("tea", searches=searched("novel").searches))
    assert "novel" not in ids((await shop.recommend("ana")).products)
    found = by_id((await shop.recommend("bo")).products)
    assert found["novel"].reason.kind == Kind.KIND_SEARCHED


async def test_a_shopper_who_only_searched_gets_what_was_searched_for(shop: Storefront) -> None:
    """With nothing for the model to read, matches come by bonus and popularity, nothing else."""
    await shop.know("ana", searched("mug novel"))
    answer = await shop.recommend()
    assert ids(answer.products) == ["mug", "novel"]
    assert {product.reason.kind for product in answer.products} == {Kind.KIND_SEARCHED}
    assert answer.source == pb.SOURCE_PERSONAL


async def test_a_short_personal_list_is_filled_and_scores_never_rise(shop: Storefront) -> None:
    """What the model has not learned comes behind, below the last score, with its own reason."""
    shop.scenario(sources=("personal", "trending", "popular"))
    shop.trends.leaders = [("novel", 900.0), ("tea", 800.0)]
    await shop.know("ana", viewed("saw"))
    answer = await shop.recommend(limit=7)
    assert ids(answer.products)[-1] == "novel"
    assert answer.products[-1].reason.kind == Kind.KIND_TRENDING
    assert len({*ids(answer.products)}) == 7
    scores = [product.score for product in answer.products]
    assert scores == sorted(scores, reverse=True)
    assert answer.source == pb.SOURCE_PERSONAL


async def test_the_same_input_gives_the_same_list(shop: Storefront) -> None:
    """Ranking has no luck in it."""
    shop.scenario()
    await shop.know("ana", bought(("tea", 1), views=viewed("sock").views))
    answers = [await shop.recommend() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]


async def test_what_the_model_foretells_is_said_by_the_scenario(
    shop: Storefront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of actions reach the model; without any it goes by its own."""
    asked: list[object] = []
    read = shop.model.read

    def reading(did: list[Interaction], now: int, wanted: Mapping[str, float]) -> Reading | None:
        asked.append(wanted)
        return read(did, now, wanted)

    monkeypatch.setattr(shop.model, "read", reading)
    await shop.know("ana", viewed("tea"))
    await shop.recommend()
    shop.scenario(actions={"click": 0.25, "purchase": 1.0})
    await shop.recommend()
    assert asked == [{}, {"click": 0.25, "purchase": 1.0}]
