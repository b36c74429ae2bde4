"""What the model sees of a shopper, as training and serving both make it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.model_input import (
    ACTIONS,
    CART,
    CLICK,
    GAP_BUCKETS,
    IMPRESSION,
    PURCHASE,
    SEARCH,
    TARGET_NAMES,
    TARGETS,
    VIEW,
    Interaction,
    ModelInput,
    Vocabulary,
    encode,
    encode_known,
    gap_buckets,
    interactions,
    known,
)
from services.shared.profile import Cancel, Cart, Profile, Purchase, Search, Shown, Touch

SECOND = 1_000_000
PRODUCTS = Vocabulary(["mug", "cup", "lamp"])


def test_padding_is_on_the_left_and_the_newest_comes_last() -> None:
    """Two interactions in five places."""
    found = [Interaction(0, "mug", VIEW), Interaction(3 * SECOND, "lamp", CART)]
    items, actions, gaps = encode(found, PRODUCTS, max_length=5)
    assert items.tolist() == [0, 0, 0, 1, 3]
    assert actions.tolist() == [0, 0, 0, VIEW, CART]
    assert gaps.tolist() == [0, 0, 0, 0, 2]


def test_unknown_products_leave_no_hole() -> None:
    """They are passed over before the newest are taken, and the gap spans them."""
    found = [
        Interaction(0, "mug", VIEW),
        Interaction(4 * SECOND, "unheard-of", VIEW),
        Interaction(8 * SECOND, "cup", VIEW),
    ]
    items, _, gaps = encode(found, PRODUCTS, max_length=2)
    assert items.tolist() == [1, 2]
    assert gaps.tolist() == [0, 4]


def test_nothing_known_is_empty() -> None:
    """All padding, and it says so."""
    assert encode([Interaction(0, "unheard-of", VIEW)], PRODUCTS, max_length=3).is_empty
    assert not encode([Interaction(0, "mug", VIEW)], PRODUCTS, max_length=3).is_empty


def test_what_lies_beyond_the_length_is_not_seen() -> None:
    """The first that is kept has no gap, whatever was before it."""
    long = [Interaction(n * 1000 * SECOND, "mug", VIEW) for n in range(9)]
    short = long[-3:]
    one, other = (encode(found, PRODUCTS, max_length=3) for found in (long, short))
    for name in ModelInput._fields:
        assert np.array_equal(getattr(one, name), getattr(other, name))


def test_more_than_fits_is_a_mistake() -> None:
    """Whoever cuts must have cut."""
    many = np.ones(4, np.int64)
    with pytest.raises(ValueError, match="4 interactions do not fit into 3"):
        encode_known(many, many, many, max_length=3)


@given(st.lists(st.integers(0, 10**16), min_size=1, max_size=20))
def test_gap_buckets_are_their_definition(moments: list[int]) -> None:
    """Bucket b holds 2^(b-1) to 2^b seconds, 0 what is below one, the last all above."""
    at = sorted(moments)
    found = gap_buckets(np.array(at, np.int64)).tolist()
    assert found[0] == 0
    for before, after, bucket in zip(at, at[1:], found[1:], strict=False):
        seconds = (after - before) // SECOND
        assert bucket == min(seconds.bit_length(), GAP_BUCKETS - 1)


def test_a_profile_in_the_order_in_which_it_happened() -> None:
    """Views, clicks, carts and purchases by time; what was taken out or cancelled is left out."""
    profile = Profile(
        views=(Touch(4, 118, 0, "mug"),),
        clicks=(Touch(3, 99, 0, "cup"),),
        carts=(Cart(1, 215, 0, "lamp", 1), Cart(2, 344, 0, "lamp", -1)),
        purchases=(
            Purchase(5, 112, 0, "mug", "kept", 1, 0, ""),
            Purchase(6, 113, 0, "cup", "sent-back", 1, 0, ""),
        ),
        cancels=(Cancel(7, 120, 0, "cup", "sent-back", 1),),
    )
    assert [(each.product_id, each.action) for each in interactions(profile)] == [
        ("lamp", CART),
        ("cup", CLICK),
        ("mug", VIEW),
        ("mug", PURCHASE),
    ]


def test_known_interactions_and_searches_in_their_order() -> None:
    """Unknown products are passed over; searches count on behind the vocabulary."""
    found = known(
        [
            Interaction(1, "mug", VIEW),
            Interaction(2, "", SEARCH, "red lamp"),
            Interaction(3, "unheard-of", VIEW),
            Interaction(4, "", SEARCH, "blue lamp"),
            Interaction(5, "lamp", PURCHASE),
        ],
        PRODUCTS,
    )
    assert found.items.tolist() == [1, 4, 5, 3]
    assert found.actions.tolist() == [VIEW, SEARCH, SEARCH, PURCHASE]
    assert found.newest(2).at.tolist() == [4, 5]


def test_what_a_model_reads_decides_what_it_is_given() -> None:
    """Searches and products that were shown come only to a model that reads them."""
    profile = Profile(
        searches=(Search(1, 11, 0, "red lamp"),),
        impressions=(Shown(2, 12, 0, ("mug", "lamp", "mug")), Shown(6, 16, 0, ("cup",))),
        clicks=(Touch(3, 13, 0, "lamp"),),
        views=(Touch(4, 14, 0, "cup"),),
    )
    every = interactions(profile, ["search", "impression", "click", "view"])
    assert [(each.product_id or each.query, each.action) for each in every] == [
        ("red lamp", SEARCH),
        ("lamp", IMPRESSION),
        ("mug", IMPRESSION),
        ("lamp", CLICK),
        ("cup", VIEW),
        ("cup", IMPRESSION),
    ]
    assert [each.action for each in interactions(profile)] == [CLICK, VIEW]
    assert [each.action for each in interactions(profile, ["view"])] == [VIEW]


def test_vocabulary_goes_both_ways() -> None:
    """Index 0 is padding: what is unknown, and what has no product."""
    assert len(PRODUCTS) == 3
    assert [PRODUCTS.index(each) for each in ("mug", "lamp", "unheard-of")] == [1, 3, 0]
    assert PRODUCTS.product_id(2) == "cup"
    assert "cup" in PRODUCTS
    with pytest.raises(IndexError, match="padding"):
        PRODUCTS.product_id(0)
    with pytest.raises(ValueError, match="stands twice"):
        Vocabulary(["mug", "mug"])


def test_actions_are_numbered_for_good() -> None:
    """A bundle repeats the table: another numbering would be another model."""
    numbered = enumerate(["pad", "view", "click", "cart", "purchase", "search", "impression"])
    assert {name: number for number, name in numbered} == ACTIONS
    assert TARGETS == (VIEW, CLICK, CART, PURCHASE)
    assert TARGET_NAMES == ("view", "click", "cart", "purchase")
