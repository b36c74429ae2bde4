"""Masks that are kept follow the catalogue, and are what they would be if made anew."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.recommendations.domain import changes, kept_masks
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.filters.expression import compile_expression
from services.recommendations.domain.kept_masks import KEPT_PREDICATES, KeptMasks, States
from services.recommendations.domain.shopper import STRANGER, Shopper
from services.shared.model_input import Vocabulary
from tests.filter_expressions import OFFERED
from tests.filter_parts import DAY, LEARNED, MINUTE, NOW, Offered, catalog_of, priced, shown
from tests.recommendation_parts import listing

ASKED = [
    compile_expression(text)
    for text in (
        "product.price < 10 || product.brand == 'ab'",
        "!(product.attributes.colour == 'a') && product.title != ''",
        "product.id in ['a', 'n1', 'n2'] && 'a' in product.categories",
        "product.age_days < 1 && product.merchant.startsWith('a')",
        "shopper.known && (product.currency == 'EUR' || product.attributes.size == 'b')",
        "has(product.attributes.size) ? product.available : product.brand > product.category",
    )
]
KNOWN = Shopper(known=True)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "remove", "forget", "ask", "wait"]),
        st.sampled_from([*LEARNED, "n1", "n2", "n3"]),
        OFFERED,
    ),
    max_size=30,
)


def applied(catalog: Catalog, step: str, product_id: str, offered: Offered) -> None:
    """One change of a catalogue."""
    if step == "remove":
        catalog.remove_product(product_id)
    elif step == "forget":
        catalog.remove_offer(product_id)
    elif step == "put":
        if offered.listing is not None:
            catalog.put_product(product_id, offered.listing)
        if offered.terms is not None:
            catalog.put_offer(product_id, offered.terms)


def masks(catalog: Catalog, now: int) -> list[list[bool]]:
    """What each expression says of each row."""
    return [asked.mask(catalog, KNOWN, now).tolist() for asked in ASKED]


@given(STEPS)
def test_a_kept_mask_is_what_a_new_one_would_be(steps: Sequence[tuple[str, str, Offered]]) -> None:
    """Whatever is added, changed, removed and used again, and whenever it is asked."""
    kept, now = Catalog(Vocabulary(LEARNED)), NOW
    for number, (step, product_id, offered) in enumerate(steps):
        applied(kept, step, product_id, offered)
        now += 40_000_000 if step == "wait" else 0
        if step == "ask":
            fresh = Catalog(Vocabulary(LEARNED))
            for each in steps[: number + 1]:
                applied(fresh, *each)
            assert masks(kept, now) == masks(fresh, now)


def test_a_mask_asked_for_seldom_is_right_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more has changed than the catalogue remembers, all rows are computed anew."""
    monkeypatch.setattr(changes, "KEPT_CHANGES", 8)
    catalog, cheap = catalog_of({"a": Offered(listing("Mug"))}), "product.price < 10"
    for number in range(6):
        catalog.put_offer("a", priced("5" if number % 2 else "50"))
        for other in range(8 * number):
            catalog.put_offer("b", priced(str(other)))
        assert shown(cheap, catalog) == ({"a"} if number % 2 else set())


class Computing:
    """A predicate that notes of which rows it is asked; it is true of even ones."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.asked: list[list[int] | None] = []

    def __call__(self, rows: NDArray[np.intp] | None) -> States:
        self.asked.append(None if rows is None else rows.tolist())
        every = np.arange(self.catalog.rows) if rows is None else rows
        return np.array(every % 2 == 0, dtype=np.uint8)

    def states(self, kept: KeptMasks, key: str = "even", minute: int = 0) -> list[int]:
        """What is kept of it."""
        changes, rows = self.catalog.changes, self.catalog.rows
        return list(kept.states(key, self, changes=changes, rows=rows, minute=minute))


def test_only_rows_that_changed_are_computed_again() -> None:
    """Each once, however often it changed; and none where none did."""
    catalog, kept = catalog_of({}), KeptMasks()
    even = Computing(catalog)
    even.states(kept)
    even.states(kept)
    for product_id in ("c", "a", "c", "n1"):
        catalog.put_product(product_id, listing(product_id))
    assert even.states(kept) == [1, 0, 1, 0, 1]
    even.states(kept)
    assert even.asked == [None, [1, 3, 4]]


def test_what_hangs_on_the_time_is_computed_anew_each_minute() -> None:
    """Within a minute it is kept like the rest."""
    catalog, kept = catalog_of({}), KeptMasks()
    even = Computing(catalog)
    for minute in (5, 5, 6, 6):
        even.states(kept, minute=minute)
    assert even.asked == [None, None]


def test_a_product_grows_old_by_itself() -> None:
    """A mask that asks for the age changes with the time alone, by whole minutes."""
    catalog = catalog_of({"a": Offered(listing("Mug")._replace(listed_at=NOW - DAY))})
    young = compile_expression("product.age_days <= 1")
    for later, found in ((0, 1), (MINUTE - 1, 1), (MINUTE, 0)):
        assert young.mask(catalog, STRANGER, NOW + later).sum() == found


def test_what_is_kept_is_bounded() -> None:
    """By bytes and by number; what has not been asked for longest goes first."""
    catalog, kept = catalog_of({}), KeptMasks(limit=3 * 4)
    even = Computing(catalog)
    for key in ("one", "two", "three", "one", "four"):
        even.states(kept, key)
    assert (len(kept), kept.size) == (3, 12)
    assert even.asked == [None] * 4
    even.states(kept, "one")
    assert even.asked == [None] * 4
    even.states(kept, "two")
    assert even.asked == [None] * 5

    small = KeptMasks()
    for number in range(KEPT_PREDICATES + 10):
        even.states(small, str(number))
    assert len(small) == KEPT_PREDICATES


def test_expressions_that_ask_the_same_share_what_is_kept() -> None:
    """However they are spaced, and also as a part beside the shopper's."""
    catalog = catalog_of({"a": Offered(listing("Mug"), priced("3"))})
    for text in (
        "product.price<10&&product.title=='Mug'",
        '( product.price < 10 ) && product.title == "Mug"',
    ):
        assert shown(text, catalog) == {"a"}
    assert len(catalog.kept) == 1
    for text in (
        "shopper.known || product.price < 10 && product.title == 'Mug'",
        "(product.price < 10 && product.title == 'Mug') || shopper.signed_in",
    ):
        assert shown(text, catalog) == {"a"}
    assert len(catalog.kept) == 2


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("shopper.known && product.brand == 'Acme'", 1),
        ("product.brand == 'Acme' && shopper.known && product.price < 10", 1),
        ("shopper.known ? product.brand == 'Acme' : product.price < 10", 1),
        ("!shopper.known || product.age_days < 9 && product.brand == 'Acme'", 2),
        ("product.brand in shopper.brands || !(product.brand == 'Acme')", 1),
        ("product.available && shopper.known", 0),
        ("product.brand in shopper.brands", 0),
    ],
)
def test_what_asks_products_alone_is_kept_beside_the_shopper(text: str, kept: int) -> None:
    """As few parts as can be; what the shopper is asked with is computed at each call."""
    catalog = catalog_of({"a": Offered(listing("Mug"), priced("3"))})
    compile_expression(text).mask(catalog, KNOWN, NOW)
    assert len(catalog.kept) == kept


def test_what_takes_long_is_prepared_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the catalogue changes; then a call finds it there, up to date."""
    monkeypatch.setattr(kept_masks, "SLICE_ROWS", 2)
    catalog = catalog_of({each: Offered(listing("Red mug")) for each in (*LEARNED, "n1", "n2")})
    text = "product.title.matches('(?i)red') && shopper.known"
    asked = compile_expression(text)
    pauses = 0
    for _ in asked.prepare(catalog):
        pauses += 1
        catalog.put_product("a", listing("Blue mug"))
        catalog.put_product("n3", listing("Red lamp"))
    assert pauses == 3
    assert list(asked.prepare(catalog)) == []
    assert asked.is_ready(catalog)
    assert shown(text, catalog, KNOWN) == {"b", "c", "n1", "n2", "n3"}
    assert list(compile_expression("product.brand == 'a'").prepare(catalog)) == []


def test_what_has_changed_much_since_is_prepared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the rows that changed; all where more did than is remembered. It is kept once."""
    monkeypatch.setattr(kept_masks, "SLICE_ROWS", 2)
    catalog = catalog_of({each: Offered(listing("Red mug")) for each in (*LEARNED, "n1", "n2")})
    text = "product.title.matches('(?i)red')"
    asked = compile_expression(text)
    assert len(list(asked.prepare(catalog))) == 3
    for product_id in ("a", "n3", "n4"):
        catalog.put_product(product_id, listing("Blue mug"))
    assert len(list(asked.prepare(catalog))) == 2
    assert shown(text, catalog) == {"b", "c", "n1", "n2"}
    monkeypatch.setattr(changes, "KEPT_CHANGES", 4)
    for number in range(20):
        catalog.put_product("b", listing(f"Blue mug {number}"))
    assert len(list(asked.prepare(catalog))) == 4
    assert shown(text, catalog) == {"c", "n1", "n2"}
    assert (len(catalog.kept), catalog.kept.size) == (1, catalog.rows)


def test_two_who_prepare_the_same_keep_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warm-up and a call may meet; what is kept is bounded by its true size."""
    monkeypatch.setattr(kept_masks, "SLICE_ROWS", 2)
    catalog = catalog_of({"a": Offered(listing("Red mug"))})
    asked = compile_expression("product.title.matches('(?i)red')")
    for _ in zip_longest(asked.prepare(catalog), asked.prepare(catalog)):
        assert not asked.is_ready(catalog)
    assert catalog.kept.size == catalog.rows


def test_a_small_catalogue_needs_no_preparation() -> None:
    """One slice holds all of it, so a call computes it itself."""
    catalog = catalog_of({"a": Offered(listing("Red mug"))})
    asked = compile_expression("product.title.matches('(?i)red')")
    assert asked.is_ready(catalog)
    assert list(asked.prepare(catalog)) == []
