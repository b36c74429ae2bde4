"""The heart: what a profile is does not depend on order, repetition or split."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.shared.profile import BOUNDS, EMPTY, merge, merge_all
from tests.profile_events import NOON, Event, event, events, folded, plain, view
from tests.profile_oracle import KEPT, recompute

MANY = st.lists(events(), max_size=60) | st.lists(
    events(names=50, only="search"), min_size=30, max_size=60
)
"""Of all kinds, or so many of one that a profile cannot hold them."""


def overflowing(kind: str) -> list[Event]:
    """More events of a kind than a profile keeps, the newest first."""
    action: dict[str, Callable[[int], dict[str, Any]]] = {
        "searches": lambda i: {"search": {"query": f"q{i}"}},
        "views": lambda i: {"view": {"productId": f"p{i}"}},
        "carts": lambda i: {"addToCart": {"productId": f"p{i}", "quantity": 1}},
        "purchases": lambda i: {
            "purchase": {"orderId": f"o{i}", "lines": [{"productId": "p", "quantity": 1}]}
        },
        "cancels": lambda i: {"cancel": {"orderId": f"o{i}"}},
        "impressions": lambda i: {"impression": {"productIds": [f"p{i}"]}},
        "clicks": lambda i: {"click": {"productId": f"p{i}"}},
        "ratings": lambda i: {"rating": {"productId": f"p{i}", "stars": 3}},
        "not_interested": lambda i: {"notInterested": {"productId": f"p{i}"}},
        "links": lambda i: {"identify": {}, "visitorId": f"v{i}"},
    }
    return [
        event(i, at=NOON - timedelta(seconds=i), **action[kind](i))
        for i in range(BOUNDS[kind] + 30)
    ]


@given(MANY)
@settings(max_examples=200, deadline=None)
def test_fold_is_what_the_oracle_says(some: list[Event]) -> None:
    """All events at once give the profile that writing down, sorting and cutting gives."""
    assert plain(folded(some)) == recompute(some)


@given(MANY, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_fold_of_any_order_repetition_and_split(some: list[Event], chance: random.Random) -> None:
    """Shuffled, repeated and cut into batches that are folded apart and merged: the same."""
    shuffled = some + chance.choices(some, k=len(some)) if some else []
    chance.shuffle(shuffled)
    profiles = [EMPTY]
    while shuffled:
        size = chance.randint(1, 10)
        batch, shuffled = shuffled[:size], shuffled[size:]
        onto = chance.randrange(len(profiles))
        profiles.append(folded(batch, profiles[onto]))
    chance.shuffle(profiles)
    assert plain(merge_all(profiles)) == recompute(some)


@given(MANY, MANY, MANY)
@settings(max_examples=100, deadline=None)
def test_merge_is_a_join(one: list[Event], other: list[Event], third: list[Event]) -> None:
    """Merging is commutative, associative and idempotent, with the empty profile as its zero."""
    a, b, c = folded(one), folded(other), folded(third)
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c)) == merge_all((a, b, c))
    assert merge(a, a) == a
    assert merge(a, EMPTY) == a == merge(EMPTY, a)


def test_fold_cuts_every_kind_to_its_bound() -> None:
    """Of each kind exactly its bound is kept, the newest, whichever came first."""
    assert dict(BOUNDS) == KEPT
    for kind, bound in KEPT.items():
        some = overflowing(kind)
        one_by_one = EMPTY
        for one in some:
            one_by_one = folded([one], one_by_one)
        assert len(getattr(one_by_one, kind)) == bound
        assert plain(one_by_one) == plain(folded(some[::-1])) == recompute(some)


def test_fold_of_an_order_beyond_the_bound() -> None:
    """An order of 500 lines leaves its last 100, also on its own."""
    lines = [{"productId": f"p{i}", "quantity": 1} for i in range(500)]
    one = event(1, purchase={"orderId": "o", "lines": lines})
    assert plain(folded([one])) == recompute([one])
    assert len(folded([one]).purchases) == 100


def test_an_event_id_with_two_contents() -> None:
    """A producer's mistake ends in the same profile whichever came first: the greater stays."""
    early, late = view(1, "mug"), view(1, "lamp", at=NOON + timedelta(seconds=1))
    assert folded([early, late]) == folded([late, early]) == folded([late, early, late])
    assert [touch.product_id for touch in folded([early, late]).views] == ["lamp"]


def test_entries_of_a_shopper_who_only_was_there() -> None:
    """An event of a kind that leaves no entry of its own still says when the shopper was seen."""
    made = folded([view(1)])
    assert made.first_seen == made.last_seen == int(NOON.timestamp()) * 1_000_000
