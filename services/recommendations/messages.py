"""From what the domain decides to the messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attune.recommendations.v1 import recommendation_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.fallback import Cause, Pick, Source
from services.recommendations.domain.reasons import Kind, Reason

KINDS: Final = {kind: pb.Reason.Kind.Value(f"KIND_{kind.name}") for kind in Kind}
SOURCES: Final = {source: pb.Source.Value(f"SOURCE_{source.name}") for source in Source}
CAUSES: Final = {cause: pb.FallbackCause.Value(f"FALLBACK_CAUSE_{cause.name}") for cause in Cause}


def ranked_products(picks: Sequence[Pick], catalog: Catalog) -> list[pb.RankedProduct]:
    """The products of an answer."""
    return [_product(pick, catalog) for pick in picks]


def _product(pick: Pick, catalog: Catalog) -> pb.RankedProduct:
    listing = catalog.listing(pick.row)
    price = catalog.price(pick.row)
    return pb.RankedProduct(
        product_id=catalog.product_id(pick.row),
        score=pick.score,
        title=listing.title,
        category_path=listing.category_path,
        merchant_id=listing.merchant_id,
        price=Money(currency_code=price.currency, units=price.units, nanos=price.nanos)
        if price
        else None,
        reason=_reason(pick.reason),
    )


def _reason(reason: Reason) -> pb.Reason:
    return pb.Reason(
        kind=KINDS[reason.kind],
        product_id=reason.product_id,
        query=reason.query,
        occurred_at=timestamp(reason.at) if reason.at else None,
        sentence=reason.sentence,
    )


def timestamp(at: int) -> Timestamp:
    """Microseconds since 1970 as a message."""
    return Timestamp(seconds=at // 1_000_000, nanos=at % 1_000_000 * 1_000)
