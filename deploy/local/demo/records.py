"""The records that the demo sends: catalogue, offers and events, as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, TypeAlias

import msgspec

from deploy.local.demo.complete_journey import Basket, CatalogProduct
from services.shared.subject import event_key, product_key, subject_of

CURRENCY: Final = "USD"
Record: TypeAlias = tuple[bytes, bytes]
"""Key and value."""

_encode = msgspec.json.Encoder().encode


def product_record(shop_id: str, product: CatalogProduct) -> Record:
    """The value of ``catalog``."""
    value = {
        "shopId": shop_id,
        "productId": product.product_id,
        "merchantId": product.merchant_id,
        "title": product.title,
        "categoryPath": product.category_path,
        "attributes": product.attributes,
    }
    return product_key(shop_id, product.product_id), _encode(value)


def offer_record(shop_id: str, product: CatalogProduct) -> Record:
    """The value of ``offers``: for sale, unless it is nothing that can be delivered."""
    status = "OFFER_STATUS_ACTIVE" if product.deliverable else "OFFER_STATUS_PAUSED"
    value: dict[str, object] = {
        "shopId": shop_id,
        "productId": product.product_id,
        "status": status,
    }
    if product.price:
        value["price"] = money(product.price)
    return product_key(shop_id, product.product_id), _encode(value)


def purchase_record(shop_id: str, basket: Basket, *, shift: int) -> Record:
    """An order as a ``ShopperEvent``, ``shift`` microseconds later than the data say."""
    lines = [
        {"productId": line.product_id, "quantity": line.quantity}
        | ({"unitPrice": money(line.unit_price)} if line.unit_price > 0 else {})
        for line in basket.lines
    ]
    return event_record(
        shop_id,
        basket.household_id,
        f"order-{basket.order_id}",
        at=basket.at + shift,
        action={"purchase": {"orderId": basket.order_id, "lines": lines}},
    )


def event_record(
    shop_id: str, user_id: str, event_id: str, *, at: int, action: dict[str, object]
) -> Record:
    """A ``ShopperEvent`` of a user; ``at`` is in microseconds since 1970."""
    value = {
        "eventId": event_id,
        "shopId": shop_id,
        "userId": user_id,
        "occurredAt": timestamp(at),
        **action,
    }
    return event_key(shop_id, subject_of(user_id, "")), _encode(value)


def money(cents: int) -> dict[str, object]:
    """``google.type.Money`` in JSON, where 64-bit integers are strings."""
    return {
        "currencyCode": CURRENCY,
        "units": str(cents // 100),
        "nanos": cents % 100 * 10_000_000,
    }


def timestamp(at: int) -> str:
    """Microseconds since 1970 in RFC 3339."""
    seconds, micros = divmod(at, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{micros:06}Z"
