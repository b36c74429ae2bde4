"""From what the domain decides to the messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attune.recommendations.v1 import recommendation_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from services.recommendations.domain.answer import Cause, Pick, Source
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.reasons import Kind, Reason
from services.recommendations.domain.sentences import ENGLISH, sentence
from services.shared.experiments import Assignment
from services.shared.logged_answer import LoggedProduct

KINDS: Final = {kind: pb.Reason.Kind.Value(f"KIND_{kind.name}") for kind in Kind}
SOURCES: Final = {source: pb.Source.Value(f"SOURCE_{source.name}") for source in Source}
CAUSES: Final = {cause: pb.FallbackCause.Value(f"FALLBACK_CAUSE_{cause.name}") for cause in Cause}


def ranked_products(
    picks: Sequence[Pick], catalog: Catalog, language: str = ENGLISH
) -> list[pb.RankedProduct]:
    """The products of an answer, with reasons in that language."""
    return [_product(pick, catalog, language) for pick in picks]


def _product(pick: Pick, catalog: Catalog, language: str) -> pb.RankedProduct:
    product_id, products = catalog.product_id(pick.row), catalog.products
    price = catalog.price(pick.row)
    return pb.RankedProduct(
        product_id=product_id,
        score=pick.score,
        title=products.titles[pick.row],
        category_path=products.paths[pick.row],
        merchant_id=products.merchants[pick.row],
        price=Money(currency_code=price.currency, units=price.units, nanos=price.nanos)
        if price
        else None,
        reason=_reason(pick.reason, product_id, catalog, language) if pick.reason else None,
        further_reasons=[_reason(each, product_id, catalog, language) for each in pick.further],
    )


def _reason(reason: Reason, product_id: str, catalog: Catalog, language: str) -> pb.Reason:
    return pb.Reason(
        kind=KINDS[reason.kind],
        product_id=reason.product_id,
        query=reason.query,
        occurred_at=timestamp(reason.at) if reason.at else None,
        sentence=sentence(reason, product_id, catalog.title_or_id, language),
    )


def logged_products(picks: Sequence[Pick], catalog: Catalog) -> tuple[LoggedProduct, ...]:
    """The products of an answer, as the log keeps them."""
    merchants = catalog.products.merchants
    return tuple(
        LoggedProduct(
            catalog.product_id(pick.row),
            merchants[pick.row],
            pick.score,
            KINDS[pick.reason.kind] if pick.reason else 0,
        )
        for pick in picks
    )


def arms_of(arms: Sequence[Assignment]) -> list[pb.ExperimentArm]:
    """Where the shopper is in the scenario's experiments."""
    return [pb.ExperimentArm(experiment=each.experiment, arm=each.arm) for each in arms]


def timestamp(at: int) -> Timestamp:
    """Microseconds since 1970 as a message."""
    return Timestamp(seconds=at // 1_000_000, nanos=at % 1_000_000 * 1_000)
