"""The fast way of reading catalogue records never differs from Protobuf's own."""

from __future__ import annotations

import json
import random
from typing import Any

import protovalidate
import pytest
from attune.catalog.v1 import catalog_pb2
from google.protobuf import json_format

from services.recommendations.adapters.catalog_record import (
    VALUE_LIMIT,
    RecordRefused,
    decode_offer,
    decode_product,
)
from services.recommendations.domain.catalog import Listing, Price, Terms
from services.shared.media_type import JSON, PROTOBUF

VALIDATOR = protovalidate.Validator()
PRODUCT: dict[str, Any] = {
    "shopId": "demo",
    "productId": "p1",
    "merchantId": "m1",
    "title": "Mug",
    "description": 'A "mug": blue',
    "categoryPath": ["home", "mugs"],
    "brand": "Acme",
    "attributes": {"size": "0.3 l", "colour": "blue"},
    "imageUri": "https://example.com/mug.png",
    "listedAt": "2026-01-02T03:04:05Z",
}
OFFER: dict[str, Any] = {
    "shopId": "demo",
    "productId": "p1",
    "price": {"currencyCode": "USD", "units": "3", "nanos": 990000000},
    "stock": "12",
    "status": "OFFER_STATUS_ACTIVE",
}
NAN, INFINITY = float("nan"), float("inf")
"""Written without quotation marks, as no JSON is."""
VALUES: list[Any] = [
    None, True, 0, 1, -1, 1.0, 1.5, 2**31, 2**63 - 1, 2**63, 10**30, "0", "1", "-1", "01", "1.0",
    "1e3", " 1", "", " ", "demo", "demo\n", "Demo", "p1", "p2", "é", "\ud800", "\x00", "a" * 63,
    "a" * 64, "a" * 65, "a" * 128, "a" * 129, "a" * 512, "a" * 513, "a" * 2049, "😀" * 128,
    "😀" * 129, "a" * 20_001, [], ["a"], ["a", ""], [1], [None], ["a"] * 8, ["a"] * 9, {},
    {"a": "b"}, {"": "b"}, {"a": 1}, {"a": None}, {str(n): "" for n in range(65)},
    {"currencyCode": "EUR"}, {"units": 5}, {"units": "x"}, {"nanos": 2**31}, {"unit": 5},
    {"currencyCode": "EUR", "units": 10**9, "nanos": 999999999},
    {"currencyCode": "EUR", "units": "1000000000"}, {"currencyCode": "EUR", "units": "1000000001"},
    {"currencyCode": "EUR", "units": "-1"}, {"currencyCode": "EUR", "nanos": 10**9},
    {"currencyCode": "EUR", "units": "007"}, {"currencyCode": "eur"}, {"currencyCode": "EUR\n"},
    "OFFER_STATUS_PAUSED", "OFFER_STATUS_UNSPECIFIED", "OFFER_STATUS_X", 2, 3,
    "2026-13-01T00:00:00Z",
    "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00+01:00", "2026-01-01T00:00:60Z",
    "2026-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-01-01T24:00:00Z",
    "9999-12-31T23:59:59Z", "2026-01-01t00:00:00z", "2026-01-01",
    "Infinity", INFINITY, "NaN", NAN, {"currencyCode": "EUR", "units": "NaN"},
    {"currencyCode": "EUR", "units": NAN}, {"currencyCode": "EUR", "units": "3", "nanos": NAN},
]  # fmt: skip
NAMES = [
    *PRODUCT, *OFFER, "shop_id", "product_id", "title_", "Title", "category_path", "extra",
    "currencyCode", "units", "nanos", "image_uri",
]  # fmt: skip


def oracle_product(value: bytes) -> Listing | None:
    """What Protobuf's JSON and the proto's limits make of a product; None if they refuse."""
    message = catalog_pb2.Product()
    if not accepted(message, value):
        return None
    return Listing(
        title=message.title,
        category_path=tuple(message.category_path),
        merchant_id=message.merchant_id,
        brand=message.brand,
        attributes=dict(message.attributes),
        listed_at=message.listed_at.ToMicroseconds() if message.HasField("listed_at") else None,
    )


def oracle_offer(value: bytes) -> Terms | None:
    """The same for an offer."""
    message = catalog_pb2.Offer()
    if not accepted(message, value):
        return None
    price = Price(message.price.currency_code, message.price.units, message.price.nanos)
    in_stock = message.stock > 0 if message.HasField("stock") else True
    return Terms(
        price if message.HasField("price") else None,
        available=in_stock and message.status == catalog_pb2.OFFER_STATUS_ACTIVE,
    )


def accepted(message: catalog_pb2.Product | catalog_pb2.Offer, value: bytes) -> bool:
    """Whether ``value`` is JSON of ``message``, within its limits, and of the key demo/p1."""
    try:
        json_format.Parse(value, message)
    except (json_format.ParseError, ValueError, TypeError, RecursionError):
        return False
    key = (message.shop_id, message.product_id)
    return key == ("demo", "p1") and not VALIDATOR.collect_violations(message)


def mutated(start: dict[str, Any], source: random.Random) -> bytes:
    """A record with a few fields changed, dropped or added, and now and then broken bytes."""
    record = dict(start)
    for _ in range(source.randint(0, 3)):
        name = source.choice(NAMES)
        if source.random() < 0.3:
            record.pop(name, None)
        else:
            record[name] = source.choice(VALUES)
    spaces = source.choice([None, (",", ":"), (", ", " : "), (",\n", ":\t")])
    text = json.dumps(record, ensure_ascii=source.random() < 0.5, separators=spaces)
    if source.random() < 0.15:
        name = source.choice(list(record) or ["title"])
        value_again = source.choice([record.get(name), source.choice(VALUES)])
        again = json.dumps({name: value_again}, separators=(",", source.choice([":", " : "])))[1:-1]
        text = text[:-1] + ("," if record else "") + again + "}"
    value = bytearray(text.encode(errors="surrogatepass"))
    if source.random() < 0.1 and value:
        value[source.randrange(len(value))] = source.randrange(256)
    return bytes(value)


def verdict(read: Any, value: bytes, content_type: str = JSON) -> Any:
    """What our reader makes of a record of the key demo/p1; None if it refuses."""
    try:
        return read("demo", "p1", value, content_type)
    except RecordRefused:
        return None


@pytest.mark.parametrize(
    ("read", "oracle", "start"),
    [(decode_product, oracle_product, PRODUCT), (decode_offer, oracle_offer, OFFER)],
    ids=["product", "offer"],
)
def test_verdicts_are_those_of_protobuf(read: Any, oracle: Any, start: dict[str, Any]) -> None:
    """On 20,000 mutated records of each kind, both readers agree on verdict and content."""
    source = random.Random(7)
    taken = 0
    for _ in range(20_000):
        value = mutated(start, source)
        expected = oracle(value)
        assert verdict(read, value) == expected, value
        taken += expected is not None
    assert 2_000 < taken < 18_000


def test_single_changes_are_judged_alike() -> None:
    """Every field with every odd value gets Protobuf's verdict."""
    for start, read, oracle in (
        (PRODUCT, decode_product, oracle_product),
        (OFFER, decode_offer, oracle_offer),
    ):
        for name in NAMES:
            for odd in VALUES:
                value = json.dumps({**start, name: odd}).encode()
                assert verdict(read, value) == oracle(value), value


@pytest.mark.parametrize("odd", ["NaN", NAN, "Infinity", INFINITY])
@pytest.mark.parametrize("field", ["price", "units", "nanos"])
def test_a_price_that_is_no_number_is_refused(field: str, odd: Any) -> None:
    """With and without quotation marks; filters never meet it."""
    price = {**OFFER["price"], field: odd} if field != "price" else odd
    assert verdict(decode_offer, json.dumps(OFFER).encode()) is not None
    assert verdict(decode_offer, json.dumps({**OFFER, "price": price}).encode()) is None


@pytest.mark.parametrize(("read", "start"), [(decode_product, PRODUCT), (decode_offer, OFFER)])
def test_a_record_too_large_is_refused_unread(read: Any, start: dict[str, Any]) -> None:
    """Also where the fast way could read it: space counts."""
    value = json.dumps(start).encode()
    read("demo", "p1", value + b" " * (VALUE_LIMIT - len(value)))
    with pytest.raises(RecordRefused) as caught:
        read("demo", "p1", value + b" " * (VALUE_LIMIT - len(value) + 1))
    assert caught.value.code == "RECORD_TOO_LARGE"


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_attributes_and_the_day_of_listing_are_read(content_type: str) -> None:
    """A filter may ask for them; a product may also have neither."""
    told = verdict(decode_product, written(PRODUCT, content_type), content_type)
    assert told.attributes == {"size": "0.3 l", "colour": "blue"}
    assert told.listed_at == 1_767_323_045_000_000
    bare = {
        name: value for name, value in PRODUCT.items() if name not in ("attributes", "listedAt")
    }
    told = verdict(decode_product, written(bare, content_type), content_type)
    assert told.attributes == {}
    assert told.listed_at is None


def written(record: dict[str, Any], content_type: str) -> bytes:
    """A product's bytes in either form."""
    text = json.dumps(record)
    if content_type == JSON:
        return text.encode()
    return json_format.Parse(text, catalog_pb2.Product()).SerializeToString()


def test_binary_records_are_read_as_well() -> None:
    """Binary Protobuf says the same as JSON, and is checked by the same limits."""
    product = json_format.Parse(json.dumps(PRODUCT), catalog_pb2.Product())
    offer = json_format.Parse(json.dumps(OFFER), catalog_pb2.Offer())
    assert verdict(decode_product, product.SerializeToString(), PROTOBUF) == verdict(
        decode_product, json.dumps(PRODUCT).encode()
    )
    assert verdict(decode_offer, offer.SerializeToString(), PROTOBUF) == verdict(
        decode_offer, json.dumps(OFFER).encode()
    )
    product.title = ""
    with pytest.raises(RecordRefused, match="title"):
        decode_product("demo", "p1", product.SerializeToString(), PROTOBUF)


@pytest.mark.parametrize(
    ("value", "content_type", "code"),
    [
        (b"{", JSON, "RECORD_NOT_JSON"),
        (b"", JSON, "RECORD_NOT_JSON"),
        (b"\xff", JSON, "RECORD_NOT_JSON"),
        (b"[" * 100_000, JSON, "RECORD_NOT_JSON"),
        (b"null", JSON, "RECORD_NOT_JSON"),
        (b"\xff\xff\xff", PROTOBUF, "RECORD_NOT_PROTOBUF"),
        (b"{}", "text/plain", "CONTENT_TYPE_UNKNOWN"),
        (b"{}", JSON, "RECORD_INVALID"),
        (json.dumps({**PRODUCT, "productId": "p2"}).encode(), JSON, "RECORD_KEY_MISMATCH"),
        (b" " * (VALUE_LIMIT + 1), JSON, "RECORD_TOO_LARGE"),
    ],
)
def test_each_refusal_has_its_code(value: bytes, content_type: str, code: str) -> None:
    """What is wrong with a record is told by a code of a closed set."""
    with pytest.raises(RecordRefused) as refusal:
        decode_product("demo", "p1", value, content_type)
    assert refusal.value.code == code
