"""The worker's rules: age and trends."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

import pytest

from services.profiles.domain.draft import Draft, Visit
from services.profiles.domain.fold import addition
from services.profiles.domain.refusals import AT_LEAST, LOOKED_AT, RefusalLimit
from services.profiles.domain.trend import Placed, fold
from services.shared.errors import EventRefused
from services.shared.event_age import AgeRule
from services.shared.event_codec import decode_event
from tests.profile_events import NOON, Event, event, key_of, view

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
MICROS = int(NOON.timestamp()) * 1_000_000
NOON_HOUR = int(NOON.timestamp()) // 3600


def seconds(amount: float) -> int:
    return MICROS + int(amount * 1_000_000)


@pytest.mark.parametrize("age", [-300, -1, 0, 7 * 86400])
def test_age_within_limits(age: float) -> None:
    """Five minutes ahead and a week behind are just inside."""
    AgeRule(WEEK).check(MICROS, seconds(age))


@pytest.mark.parametrize(
    ("age", "code"), [(-300.000001, "EVENT_FROM_FUTURE"), (7 * 86400 + 0.000001, "EVENT_TOO_OLD")]
)
def test_age_beyond_limits(age: float, code: str) -> None:
    """A microsecond more is refused, and the sentence says by how much."""
    with pytest.raises(EventRefused, match=r"\d+ s") as caught:
        AgeRule(WEEK).check(MICROS, seconds(age))
    assert caught.value.code == code


def placed(one: Event, offset: int, *, appended: int = MICROS) -> tuple[str, Placed]:
    made = addition(decode_event(key_of(one), json.dumps(one).encode(), ()))
    return one["userId"], Placed(offset, appended, made)


def increments(
    before: dict[str, bytes], some: list[tuple[str, Placed]], *, fence: int
) -> Counter[Visit]:
    """What all the subjects' events count."""
    counts: Counter[Visit] = Counter()
    for user in dict.fromkeys(user for user, _ in some):
        theirs = [event for whose, event in some if whose == user]
        fold(Draft(before.get(user, b"")), theirs, counts, fence)
    return counts


def profile_of(*some: tuple[str, Placed]) -> bytes:
    draft = Draft(b"")
    fold(draft, [event for _, event in some])
    return draft.value()


def test_trend_counts_a_subject_once_for_product_and_hour() -> None:
    """Three views of a mug in an hour are one; in the next hour one more; of others their own."""
    some = [
        placed(view(1), 10),
        placed(view(2), 11),
        placed(event(3, click={"productId": "mug"}), 12),
        placed(view(4, at=NOON - HOUR), 13),
        placed(view(5, user="bob"), 14),
        placed(event(6, addToCart={"productId": "lamp", "quantity": 2}), 15),
    ]
    assert increments({}, some, fence=0) == {
        (NOON_HOUR, "mug"): 2,
        (NOON_HOUR - 1, "mug"): 1,
        (NOON_HOUR, "lamp"): 1,
    }


def test_trend_passes_over_what_the_profile_knows() -> None:
    """Who was counted by an earlier batch is not counted again; what was taken out is no visit."""
    cart = {"productId": "pen", "quantity": 1}
    ana = profile_of(placed(view(1), 1), placed(event(2, removeFromCart=cart), 2))
    assert increments({"ana": ana}, [placed(view(3), 10)], fence=0) == {}
    assert increments({"ana": ana}, [placed(view(3, "pen"), 10)], fence=0) == {
        (NOON_HOUR, "pen"): 1
    }
    assert increments({"bob": ana}, [placed(view(2), 10)], fence=0) == {(NOON_HOUR, "mug"): 1}
    later = [placed(view(3, at=NOON + HOUR), 10)]
    assert increments({"ana": ana}, later, fence=0) == {(NOON_HOUR + 1, "mug"): 1}


def test_trend_counts_nothing_below_the_fence() -> None:
    """Events that are counted already count nothing, but say who was there."""
    some = [placed(view(1), 10), placed(view(2, "lamp"), 11), placed(view(3), 12)]
    assert increments({}, some, fence=11) == {(NOON_HOUR, "lamp"): 1}
    assert increments({}, some, fence=13) == {}


def test_trend_counts_what_is_turned_to() -> None:
    """Searches, impressions, ratings and what is taken out of a cart are no visits."""
    some = [
        placed(event(1, search={"query": "mug"}), 1),
        placed(event(2, impression={"productIds": ["mug"]}), 2),
        placed(event(3, removeFromCart={"productId": "mug", "quantity": 1}), 3),
        placed(event(4, rating={"productId": "mug", "stars": 5}), 4),
    ]
    assert increments({}, some, fence=0) == {}


def test_trend_of_a_week() -> None:
    """An event that took longer than a week to arrive counts nothing."""
    week = 7 * 86400
    assert increments({}, [placed(view(1), 1, appended=seconds(week))], fence=0)
    assert not increments({}, [placed(view(1), 1, appended=seconds(week + 1))], fence=0)


def test_a_limit_stops_before_a_topic_is_drained() -> None:
    """Nothing is judged by a few events; a batch that stops is judged alike when it comes again."""
    limit = RefusalLimit(0.5)
    assert not limit.stops(AT_LEAST - 1, AT_LEAST - 1)
    assert limit.stops(1, 1)
    assert limit.stops(1, 1)
    assert not limit.stops(AT_LEAST, 0)
    assert not RefusalLimit(1.0).stops(10**6, 10**6)


def test_a_limit_forgets_old_events() -> None:
    """Long good years do not buy a bad hour."""
    limit = RefusalLimit(0.5)
    for _ in range(100):
        assert not limit.stops(LOOKED_AT // 10, 0)
    bad = [limit.stops(LOOKED_AT // 10, LOOKED_AT // 10) for _ in range(10)]
    assert bad.index(True) <= 6
