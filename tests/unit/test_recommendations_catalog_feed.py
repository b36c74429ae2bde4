"""Records of the catalogue's topics are applied, refused, and never end the server."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from services.recommendations.adapters.catalog_feed import (
    BATCH_RECORDS,
    REFUSED,
    CatalogFeed,
    rest_after,
)
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.listing import Price
from services.shared.model_input import Vocabulary
from tests.waiting import turns_during


class Record(NamedTuple):
    """What a consumer hands over."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int = 0
    offset: int = 0


def product(product_id: str, title: str = "Mug", shop: str = "demo") -> Record:
    """A record of ``catalog``."""
    value = {"shopId": shop, "productId": product_id, "merchantId": "m", "title": title}
    return Record(f"{shop}/{product_id}".encode(), json.dumps(value).encode())


def offer(product_id: str, units: str | float) -> Record:
    """A record of ``offers``."""
    price = {"currencyCode": "EUR", "units": units}
    value = {"shopId": "demo", "productId": product_id, "status": "OFFER_STATUS_ACTIVE"}
    return Record(f"demo/{product_id}".encode(), json.dumps({**value, "price": price}).encode())


def feed_of(catalogs: Catalogs) -> CatalogFeed:
    """A feed that is given records by hand."""

    async def nothing() -> None: ...

    return CatalogFeed("nowhere", topic_prefix="", catalogs=catalogs, when_caught_up=nothing)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Record(None, b"{}"), "RECORD_KEY_INVALID"),
        (Record(b"no-slash", b"{}"), "RECORD_KEY_INVALID"),
        (Record(b"\xff/\xff", b"{}"), "RECORD_KEY_INVALID"),
        (Record(b"", None), "RECORD_KEY_INVALID"),
        (Record(b"demo/p", b"{"), "RECORD_NOT_JSON"),
        (Record(b"demo/p", b"{}", (("content-type", b"text/xml"),)), "CONTENT_TYPE_UNKNOWN"),
        (Record(b"demo/p", b"\xff", (("Content-Type", b"application/protobuf"),)),
         "RECORD_NOT_PROTOBUF"),
        (Record(b"demo/p", 17, ()), "UNEXPECTED"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
async def test_a_bad_record_is_counted_and_the_next_is_applied(record: Record, reason: str) -> None:
    """Nothing that a record holds stops those behind it, or makes a shop of its own."""
    catalogs = Catalogs(Vocabulary(["p"]))
    before = REFUSED.labels("catalog", reason)._value.get()
    await feed_of(catalogs).apply("catalog", [record, product("good")])
    assert REFUSED.labels("catalog", reason)._value.get() == before + 1
    assert catalogs.shops == ("demo",)
    assert catalogs.of("demo").listed == 1


@pytest.mark.parametrize("units", ["NaN", float("nan")])
async def test_a_price_that_is_no_number_changes_nothing(units: str | float) -> None:
    """With and without quotation marks: it is refused and counted, and the former price stays."""
    catalogs = Catalogs(Vocabulary(["p"]))
    feed, before = feed_of(catalogs), REFUSED.labels("offers", "RECORD_NOT_JSON")._value.get()
    await feed.apply("catalog", [product("p")])
    await feed.apply("offers", [offer("p", "3")])
    await feed.apply("offers", [offer("p", units)])
    assert REFUSED.labels("offers", "RECORD_NOT_JSON")._value.get() == before + 1
    row = catalogs.of("demo").row("p")
    assert row is not None
    assert catalogs.of("demo").price(row) == Price("EUR", 3, 0)


async def test_removing_what_nobody_listed_makes_no_shop() -> None:
    """A null for an unknown shop or product changes nothing."""
    catalogs = Catalogs(Vocabulary(["p"]))
    await feed_of(catalogs).apply("catalog", [Record(b"ghost/p", None)])
    await feed_of(catalogs).apply("offers", [Record(b"ghost/p", None)])
    assert catalogs.shops == ()


async def test_content_type_may_carry_parameters() -> None:
    """``application/json; charset=utf-8`` is JSON."""
    catalogs = Catalogs(Vocabulary(["p"]))
    record = product("p")._replace(headers=(("content-type", b"Application/JSON; charset=utf-8"),))
    await feed_of(catalogs).apply("catalog", [record])
    assert catalogs.of("demo").listed == 1


async def test_calls_have_their_turn_while_a_catalogue_loads() -> None:
    """Applying many records lets other work run many times in between."""
    catalogs = Catalogs(Vocabulary(["p"]))
    records = [product(f"p{n}", f"Mug {n}") for n in range(5_000)]
    turns = await turns_during(feed_of(catalogs).apply("catalog", records))
    assert catalogs.of("demo").listed == 5_000
    assert turns >= 5


def test_a_flood_of_records_is_not_held_up() -> None:
    """What trickles in is collected; while a whole catalogue comes, nobody rests."""
    assert rest_after(BATCH_RECORDS) == 0
    assert rest_after(10) > 0
