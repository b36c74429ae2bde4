"""From the bytes of a ``catalog`` or ``offers`` record to what the catalogue keeps of it.

The usual form of JSON is read by msgspec, in a few microseconds. Whatever that does not
take, for any reason, goes to Protobuf's own reader and checks, which alone say what is
refused and why: so the fast way must never take what they would refuse, and a test holds
the two equal on thousands of mutated records.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, TypeVar

import msgspec
import protovalidate
from attune.catalog.v1 import catalog_pb2
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from msgspec import UNSET, Meta, Struct, UnsetType

from services.recommendations.domain.listing import NO_ATTRIBUTES, Listing, Price, Terms
from services.shared.errors import BadInput
from services.shared.json_keys import each_key_once
from services.shared.media_type import JSON, PROTOBUF
from services.shared.violations import path_of

VALUE_LIMIT: Final = 1_048_576
"""Bytes; a larger record is refused unread."""

_ID = Annotated[str, Meta(min_length=1, max_length=128)]
_Shop = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
_Time = Annotated[str, Meta(pattern=r"^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z\Z")]
_Units = Annotated[int, Meta(ge=0, le=1_000_000_000)]
_UnitsText = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,8})\Z")]
_Stock = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_StockText = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,17})\Z")]
_Attributes = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=64)],
        Annotated[str, Meta(max_length=512)],
    ],
    Meta(max_length=64),
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

M = TypeVar("M", catalog_pb2.Product, catalog_pb2.Offer)


class RecordRefused(BadInput):
    """A record cannot be read or breaks a limit; the reason is one of a closed set."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Json(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """What all share: Protobuf's JSON names, nothing unknown."""


class _MoneyJson(_Json):
    currency_code: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    units: _Units | _UnitsText | UnsetType = UNSET
    nanos: Annotated[int, Meta(ge=0, le=999_999_999)] | UnsetType = UNSET


class _ProductJson(_Json):
    shop_id: _Shop
    product_id: _ID
    merchant_id: _ID
    title: Annotated[str, Meta(min_length=1, max_length=512)]
    description: Annotated[str, Meta(max_length=20_000)] | UnsetType = UNSET
    category_path: (
        Annotated[
            tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=8)
        ]
        | UnsetType
    ) = UNSET
    brand: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET
    attributes: _Attributes | UnsetType = UNSET
    image_uri: Annotated[str, Meta(max_length=2048)] | UnsetType = UNSET
    listed_at: _Time | UnsetType = UNSET


class _OfferJson(_Json):
    shop_id: _Shop
    product_id: _ID
    status: Literal["OFFER_STATUS_ACTIVE", "OFFER_STATUS_PAUSED"]
    price: _MoneyJson | UnsetType = UNSET
    stock: _Stock | _StockText | UnsetType = UNSET


_read_product = msgspec.json.Decoder(_ProductJson).decode
_read_offer = msgspec.json.Decoder(_OfferJson).decode
_write = msgspec.json.Encoder().encode
_violations = protovalidate.Validator().collect_violations


def decode_product(
    shop_id: str, product_id: str, value: bytes, content_type: str = JSON
) -> Listing:
    """What a ``catalog`` record says of the product its key names. Raises RecordRefused."""
    _check_size(value)
    if content_type == JSON:
        fast = _fast_product(value)
        if fast and (fast.shop_id, fast.product_id) == (shop_id, product_id):
            return Listing(
                title=fast.title,
                category_path=fast.category_path or (),
                merchant_id=fast.merchant_id,
                brand=fast.brand or "",
                attributes=fast.attributes or NO_ATTRIBUTES,
                listed_at=_micros(fast.listed_at) if fast.listed_at else None,
            )
    product = _checked(catalog_pb2.Product(), shop_id, product_id, value, content_type)
    return Listing(
        title=product.title,
        category_path=tuple(product.category_path),
        merchant_id=product.merchant_id,
        brand=product.brand,
        attributes=dict(product.attributes),
        listed_at=product.listed_at.ToMicroseconds() if product.HasField("listed_at") else None,
    )


def decode_offer(shop_id: str, product_id: str, value: bytes, content_type: str = JSON) -> Terms:
    """What an ``offers`` record says of the product its key names. Raises RecordRefused."""
    _check_size(value)
    if content_type == JSON:
        fast = _fast_offer(value)
        if fast and (fast.shop_id, fast.product_id) == (shop_id, product_id):
            in_stock = fast.stock is UNSET or int(fast.stock) > 0
            active = fast.status == "OFFER_STATUS_ACTIVE"
            return Terms(_price(fast.price), available=active and in_stock)
    offer = _checked(catalog_pb2.Offer(), shop_id, product_id, value, content_type)
    price = Price(offer.price.currency_code, offer.price.units, offer.price.nanos)
    in_stock = not offer.HasField("stock") or offer.stock > 0
    active = offer.status == catalog_pb2.OFFER_STATUS_ACTIVE
    return Terms(price if offer.HasField("price") else None, available=active and in_stock)


def _check_size(value: bytes) -> None:
    if len(value) > VALUE_LIMIT:
        raise RecordRefused("RECORD_TOO_LARGE", f"{len(value)} bytes, at most {VALUE_LIMIT}")


def _price(money: _MoneyJson | UnsetType) -> Price | None:
    if isinstance(money, UnsetType):
        return None
    return Price(money.currency_code, int(money.units or 0), money.nanos or 0)


def _micros(time: str) -> int:
    """Microseconds since 1970 of a time of whole seconds. Raises ValueError."""
    return (datetime.fromisoformat(time) - _EPOCH) // timedelta(microseconds=1)


def _fast_product(value: bytes) -> _ProductJson | None:
    try:
        product = _read_product(value)
        if product.listed_at:
            _micros(product.listed_at)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return None
    return product if each_key_once(value, _write(product)) else None


def _fast_offer(value: bytes) -> _OfferJson | None:
    try:
        offer = _read_offer(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return offer if each_key_once(value, _write(offer)) else None


def _checked(message: M, shop_id: str, product_id: str, value: bytes, content_type: str) -> M:
    """Read and check by Protobuf's own rules. Raises RecordRefused."""
    _parse(message, value, content_type)
    for violation in _violations(message):
        raise RecordRefused("RECORD_INVALID", f"{path_of(violation)}: {violation.proto.message}")
    if (message.shop_id, message.product_id) != (shop_id, product_id):
        raise RecordRefused("RECORD_KEY_MISMATCH", "shop_id/product_id is not the record's key")
    return message


def _parse(message: M, value: bytes, content_type: str) -> None:
    if content_type == PROTOBUF:
        try:
            message.ParseFromString(value)
        except DecodeError as error:
            raise RecordRefused("RECORD_NOT_PROTOBUF", str(error)) from error
    elif content_type == JSON:
        try:
            json_format.Parse(value, message)
        except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
            raise RecordRefused("RECORD_NOT_JSON", str(error)[:200]) from error
    else:
        raise RecordRefused("CONTENT_TYPE_UNKNOWN", f"content-type is {content_type[:64]!r}")
