"""A personal list: scores, masks, searches, and one honest reason for each product."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from services.recommendations.domain.catalog import Catalog, Terms
from services.recommendations.domain.fallback import Pick
from services.recommendations.domain.personal import (
    personal_picks,
    personal_scores,
    searched_scores,
)
from services.recommendations.domain.ranking import HIDDEN
from services.recommendations.domain.reasons import NOTHING_READ, History, Kind
from services.recommendations.domain.search_terms import SearchBonus, search_bonus
from services.shared.model_input import CART, CLICK, PURCHASE, VIEW
from services.shared.profile import Search
from tests.recommendation_parts import catalog_of, history_of, items_of, listing

NOW = 1_800_000_000_000_000
VECTORS = {
    "tea": (1.0, 0.0, 0.0),
    "pot": (0.9, 0.1, 0.0),
    "mug": (0.7, 0.6, 0.0),
    "sock": (0.0, 1.0, 0.1),
    "shoe": (0.0, 0.9, 0.3),
    "saw": (0.0, 0.0, 1.0),
}
ITEMS = items_of(list(VECTORS.values()), popularity=[5, 4, 3, 2, 1, 0])


def shop() -> Catalog:
    """Six products the model knows and one it does not."""
    learned = {name: listing(f"The {name}", name) for name in VECTORS}
    return catalog_of(learned, {"novel": listing("The novel", "books")})


def searching(catalog: Catalog, query: str) -> SearchBonus | None:
    """The bonus of a search made now."""
    search = Search(NOW, 115, 0, query)
    return search_bonus((search,), catalog.index, rows=catalog.rows, listed=catalog.listed, now=NOW)


def picks(
    catalog: Catalog,
    query: tuple[float, ...],
    *events: tuple[int, str, int],
    bonus: SearchBonus | None = None,
    excluded: tuple[int, ...] = (),
    limit: int = 10,
) -> dict[str, Pick]:
    """Product → its place in the list, in order."""
    history = history_of(catalog, ITEMS, *events)
    by_model = ITEMS.vectors.scores(np.array(query, np.float32))
    scores = personal_scores(by_model, catalog, bonus, excluded)
    found = personal_picks(scores, ITEMS, catalog, history, bonus, limit=limit)
    return {catalog.product_id(pick.row): pick for pick in found}


def test_scores_are_query_times_vector_over_the_whole_catalogue() -> None:
    """Without searches, every product that the model knows has exactly the model's score."""
    catalog, query = shop(), (1.0, 0.2, 0.05)
    naive = {name: float(np.dot(query, vector)) for name, vector in VECTORS.items()}
    by_model = ITEMS.vectors.scores(np.array(query, np.float32))
    scores = personal_scores(by_model, catalog, None, ())
    shown = {catalog.product_id(int(row)): row for row in np.flatnonzero(scores.total > HIDDEN)}
    assert set(shown) == set(naive)
    assert all(abs(scores.total[shown[name]] - naive[name]) < 1e-6 for name in naive)


def shown(limit: int, products: Mapping[str, tuple[float, float, float]], *soups: str) -> list[str]:
    """The list for who wants the first number of the vectors; soups are of one category."""
    learned = {name: listing(name, "soup" if name in soups else name) for name in products}
    catalog, items = catalog_of(learned), items_of(list(products.values()))
    by_model = items.vectors.scores(np.array((1.0, 0, 0), np.float32))
    scores = personal_scores(by_model, catalog, None, ())
    history = history_of(catalog, items, (1, next(iter(products)), VIEW))
    found = personal_picks(scores, items, catalog, history, None, limit=limit)
    return [catalog.product_id(pick.row) for pick in found]


def test_products_alike_make_room_for_others() -> None:
    """What is unlike the best comes before more of the same that fits little better."""
    teas = {f"tea {n}": (1 - n / 100, 0.0, 0.0) for n in range(6)}
    others = {"pot": (0.9, 5.0, 0.0), "mug": (0.85, 0.0, 5.0), "saw": (0.0, 1.0, 1.0)}
    assert shown(3, teas | others) == ["tea 0", "pot", "mug"]


def test_no_category_fills_a_list() -> None:
    """Two of five may be soups, while there is anything else."""
    products = {f"can {n}": (1 - n / 100, 0.0, 0.0) for n in range(12)}
    soups = [f"can {n}" for n in range(8)]
    assert shown(5, products, *soups) == ["can 0", "can 1", "can 8", "can 9", "can 10"]


def test_what_is_unavailable_or_excluded_is_never_shown() -> None:
    """Sold out, excluded and removed products are not in the list, however well they fit."""
    catalog = shop()
    catalog.put_offer("tea", Terms(None, available=False))
    catalog.remove_product("pot")
    excluded = (catalog.row("mug") or 0,)
    found = picks(catalog, (1.0, 0.2, 0.1), (1, "tea", VIEW), excluded=excluded)
    assert set(found) == {"sock", "shoe", "saw"}


def test_each_reason_is_the_event_with_the_most_similar_product() -> None:
    """A product follows from the event whose product is most like it, with its action's kind."""
    events = ((1, "tea", PURCHASE), (2, "shoe", CART), (3, "saw", CLICK))
    found = picks(shop(), (1.0, 0.9, 0.8), *events)
    pot, sock = found["pot"].reason, found["sock"].reason
    assert (pot.kind, pot.product_id, pot.at) == (Kind.BOUGHT, "tea", 1)
    assert pot.sentence == "Because you bought The tea"
    assert (sock.kind, sock.product_id, sock.at) == (Kind.IN_CART, "shoe", 2)
    assert sock.sentence == "Because you put The shoe in your cart"


def test_a_product_bought_before_says_so_with_its_last_purchase() -> None:
    """An earlier purchase of the same product is the reason, the newest one."""
    found = picks(shop(), (1.0, 0, 0), (1, "tea", PURCHASE), (5, "tea", PURCHASE), (7, "tea", VIEW))
    reason = found["tea"].reason
    assert (reason.kind, reason.product_id, reason.at) == (Kind.BOUGHT_BEFORE, "tea", 5)


def test_a_product_that_was_only_looked_at_names_itself_as_it() -> None:
    """The newest event with a product explains that product, without repeating its title."""
    found = picks(shop(), (1.0, 0, 0), (1, "tea", CLICK), (5, "tea", VIEW))
    reason = found["tea"].reason
    assert (reason.kind, reason.at, reason.sentence) == (
        Kind.VIEWED,
        5,
        "Because you looked at it",
    )


def test_an_event_about_an_unlisted_product_is_named_by_its_id() -> None:
    """A product that left the catalogue still explains others."""
    catalog = shop()
    catalog.remove_product("tea")
    history = History(
        history_of(shop(), ITEMS, (1, "tea", PURCHASE)).interactions,
        ITEMS.vectors.directions(np.array([1])),
    )
    by_model = ITEMS.vectors.scores(np.array((1.0, 0, 0), np.float32))
    scores = personal_scores(by_model, catalog, None, ())
    (first, *_) = personal_picks(scores, ITEMS, catalog, history, None, limit=3)
    assert first.reason.sentence == "Because you bought tea"


def test_a_search_changes_the_list_at_once_and_is_the_reason() -> None:
    """A product that a search lifted leads and names the search; others keep their reasons."""
    catalog = shop()
    events = ((1, "tea", PURCHASE),)
    before = picks(catalog, (1.0, 0.2, 0.1), *events)
    after = picks(catalog, (1.0, 0.2, 0.1), *events, bonus=searching(catalog, "mug"))
    assert next(iter(before)) == "tea"
    assert next(iter(after)) == "mug"
    mug = after["mug"].reason
    assert (mug.kind, mug.query, mug.at) == (Kind.SEARCHED, "mug", NOW)
    assert after["pot"].reason == before["pot"].reason


def test_words_alone_do_not_outrun_a_strong_habit() -> None:
    """A full match of the least fitting product stays below the best fitting one."""
    catalog = shop()
    found = picks(catalog, (1.0, 0.2, -0.5), (1, "tea", PURCHASE), bonus=searching(catalog, "saw"))
    assert next(iter(found)) == "tea"


def test_a_search_stands_among_what_is_bought_week_by_week() -> None:
    """A full match of an average product comes behind the strongest habit, before the others."""
    catalog = shop()
    by_model = np.array([0, 38, 34, 33, 0, 0, 21], np.float32)  # the saw is as good as the mean
    scores = personal_scores(by_model, catalog, searching(catalog, "saw"), ())
    order = [catalog.product_id(int(row)) for row in np.argsort(-scores.total)[:4]]
    assert order == ["tea", "saw", "pot", "mug"]


def test_a_product_the_model_has_not_learned_is_found_by_its_words() -> None:
    """Without a vector a product comes up through a search, and only then."""
    catalog = shop()
    assert "novel" not in picks(catalog, (1.0, 0.2, 0.1), (1, "tea", VIEW))
    found = picks(catalog, (1.0, 0.2, 0.1), (1, "tea", VIEW), bonus=searching(catalog, "novel"))
    assert found["novel"].reason.kind is Kind.SEARCHED


def test_a_shopper_who_only_searched_gets_what_was_searched_for() -> None:
    """With nothing for the model to read, matches come by bonus and popularity, nothing else."""
    catalog = shop()
    bonus = searching(catalog, "mug novel")
    assert bonus is not None
    scores = searched_scores(ITEMS, catalog, bonus, ())
    found = personal_picks(scores, ITEMS, catalog, NOTHING_READ, bonus, limit=5)
    assert [catalog.product_id(pick.row) for pick in found] == ["mug", "novel"]
    assert {pick.reason.kind for pick in found} == {Kind.SEARCHED}


def test_the_same_input_gives_the_same_list() -> None:
    """Ranking has no luck in it."""
    catalog = shop()
    events = ((1, "tea", PURCHASE), (2, "sock", VIEW))
    lists = [
        picks(catalog, (1.0, 0.9, 0.1), *events, bonus=searching(catalog, "the")) for _ in range(3)
    ]
    assert lists[0] == lists[1] == lists[2]
