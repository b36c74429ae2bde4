"""Events for tests: by hand, and made up by hypothesis."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from services.profiles.domain.draft import Draft
from services.profiles.domain.fold import addition
from services.shared.event import Event as Read
from services.shared.event_codec import decode_event
from services.shared.profile import EMPTY, Profile
from services.shared.profile_codec import decode, encode

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

Event = dict[str, Any]


def text_of(moment: datetime) -> str:
    """A moment as JSON has it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def event(number: int | str, *, at: datetime = NOON, user: str = "ana", **more: Any) -> Event:
    """An event of ``user``; the action and other fields are given as in JSON."""
    head = {"eventId": f"e{number}", "shopId": "demo", "userId": user, "occurredAt": text_of(at)}
    return {**head, **more}


def view(number: int | str, product: str = "mug", **more: Any) -> Event:
    """A view of a product."""
    return event(number, view={"productId": product}, **more)


def key_of(one: Event) -> bytes:
    """The key of an event's record."""
    subject = "u:" + one["userId"] if one.get("userId") else "v:" + one["visitorId"]
    return f"{one['shopId']}/{subject}".encode()


class FakeRecord(NamedTuple):
    """A Kafka record."""

    key: bytes | None
    value: bytes | None
    offset: int = 0
    timestamp: int = int(NOON.timestamp() * 1000)
    headers: tuple[tuple[str, bytes | None], ...] = ()


def record(one: Event, offset: int = 0, *, appended: datetime = NOON) -> FakeRecord:
    """The record of an event, appended at a moment."""
    milliseconds = int(appended.timestamp() * 1000)
    return FakeRecord(key_of(one), json.dumps(one).encode(), offset, milliseconds)


def entries(event: Read) -> Profile:
    """The profile of a shopper who did this and nothing else."""
    return fold(EMPTY, [event])


def fold(onto: Profile, events: Iterable[Read]) -> Profile:
    """``onto`` with what ``events`` add to it, as the worker adds it."""
    draft = Draft(b"" if onto == EMPTY else encode(onto))
    for one in events:
        draft.add(addition(one))
    return decode(draft.value())


def folded(some: Iterable[Event], onto: Profile = EMPTY) -> Profile:
    """``onto`` with events as producers send them folded in."""
    return fold(onto, [decode_event(key_of(one), json.dumps(one).encode(), ()) for one in some])


def plain(profile: Profile) -> dict[str, Any]:
    """A profile as the oracle writes it."""
    fields = Profile.__struct_fields__
    made: dict[str, Any] = {}
    for name in fields:
        value = getattr(profile, name)
        if isinstance(value, tuple):
            value = [msgspec.structs.astuple(entry) for entry in value]
        made[name] = value
    return made


_ids = st.sampled_from(["mug", "lamp", "pen", "cup", "hat"])
_quantities = st.integers(1, 3)
_moments = st.integers(0, 40).map(lambda s: NOON - timedelta(seconds=s))
_money = st.fixed_dictionaries(
    {"currencyCode": st.sampled_from(["USD", "EUR"]), "units": st.integers(0, 9).map(str)},
    optional={"nanos": st.sampled_from([500_000_000, 999])},
)
_lines = st.lists(
    st.fixed_dictionaries(
        {"productId": _ids, "quantity": _quantities}, optional={"unitPrice": _money}
    ),
    min_size=1,
    max_size=4,
)
_orders = st.sampled_from(["o1", "o2", "o3"])
_product = st.fixed_dictionaries({"productId": _ids})
_cart = st.fixed_dictionaries({"productId": _ids, "quantity": _quantities})

ACTIONS: dict[str, st.SearchStrategy[Any]] = {
    "search": st.fixed_dictionaries({"query": st.text(min_size=1, max_size=5)}),
    "view": _product,
    "click": _product,
    "notInterested": _product,
    "addToCart": _cart,
    "removeFromCart": _cart,
    "rating": st.fixed_dictionaries({"productId": _ids, "stars": st.integers(1, 5)}),
    "impression": st.fixed_dictionaries({"productIds": st.lists(_ids, min_size=1, max_size=3)}),
    "purchase": st.fixed_dictionaries({"orderId": _orders, "lines": _lines}),
    "cancel": st.fixed_dictionaries({"orderId": _orders}, optional={"lines": _lines}),
    "identify": st.just({}),
    "logout": st.just({}),
}


@st.composite
def events(draw: st.DrawFn, names: int = 30, only: str = "") -> Event:
    """Any event of one shopper.

    Few ids and moments, so that they meet: the same id with another content, the same moment
    with another id.
    """
    action = only or draw(st.sampled_from(sorted(ACTIONS)))
    number = draw(st.integers(0, names))
    more = {action: draw(ACTIONS[action]), "visitorId": draw(st.sampled_from(["v1", "v2"]))}
    return event(number, at=draw(_moments), **more)


LINE = {"productId": "mug", "quantity": 1}
PRICED = {**LINE, "unitPrice": {"currencyCode": "USD", "units": "3", "nanos": 500_000_000}}
WHOLE = {**LINE, "unitPrice": {"currencyCode": "USD", "units": "3", "nanos": 0}}
FREE = {**LINE, "unitPrice": {"currencyCode": "USD", "units": "0", "nanos": 0}}
USUAL: list[Event] = [
    event(1, view={"productId": "mug"}, sessionId="s", attributionToken="t"),
    event(2, click={"productId": "mug"}),
    event(3, search={"query": "mug", "filters": {"brand": "Acme"}, "resultCount": 3}),
    event(4, addToCart={"productId": "mug", "quantity": 2}),
    event(5, removeFromCart={"productId": "mug", "quantity": 1}),
    event(6, purchase={"orderId": "o", "lines": [LINE, PRICED]}),
    event(7, cancel={"orderId": "o", "lines": [PRICED]}),
    event(8, impression={"productIds": ["mug", "cup"]}),
    event(9, rating={"productId": "mug", "stars": 5}),
    event(10, notInterested={"productId": "mug"}),
    event(11, identify={}, visitorId="v"),
    event(12, logout={}, visitorId="v"),
    event(13, purchase={"orderId": "o", "lines": [FREE, WHOLE]}, sessionId="", visitorId=""),
    event(14, search={"query": "mug", "filters": {}, "resultCount": 0}, attributionToken=""),
]
"""An event of each kind as producers usually write them."""


def shopping(count: int) -> list[Event]:
    """Views by three shoppers of five products over three hours, some of them twice."""
    chance = random.Random(7)
    made: list[Event] = [
        view(
            i,
            chance.choice("abcde"),
            user=chance.choice(["ana", "bob", "eve"]),
            at=NOON - timedelta(minutes=chance.randrange(180)),
        )
        for i in range(count)
    ]
    return made + chance.choices(made, k=count // 3)


def said(event: Read) -> tuple[Any, ...]:
    """What an event comes to, whichever way it was read."""
    seen = msgspec.structs.replace(event, what=None)
    return (*msgspec.structs.astuple(seen), plain(entries(event)))
