"""``ProfileService``: a profile as its shopper's newest events, newest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from attune.profiles.v1 import profile_service_pb2 as pb
from google.type.money_pb2 import Money

from services.recommendations.adapters.profiles import ProfileReader
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.messages import timestamp
from services.shared.errors import ShopperUnknown
from services.shared.grpc_server import Call
from services.shared.profile import (
    EMPTY,
    Cart,
    Profile,
    Purchase,
    Rating,
    Touch,
    bought,
    is_automated,
)

SHOWN: Final = 500
"""Products of impressions in an answer: fifty impressions may hold ten thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileApi:
    """Answers the service's methods."""

    catalogs: Catalogs
    profiles: ProfileReader

    async def get_profile(self, request: pb.GetProfileRequest, call: Call) -> pb.GetProfileResponse:
        """See the contract."""
        profile = await self.profiles.read(
            call.shop_id, request.user_id, request.visitor_id, seconds_left=call.seconds_left
        )
        if profile == EMPTY:
            raise ShopperUnknown("nothing is known of this shopper")
        return pb.GetProfileResponse(
            profile=profile_message(profile, self.catalogs.of(call.shop_id))
        )


def profile_message(profile: Profile, catalog: Catalog) -> pb.Profile:
    """A profile as callers see it, with the titles that the catalogue has."""

    def products(entries: Iterable[Touch | Cart | Purchase | Rating]) -> list[pb.ProfileProduct]:
        return [_product(entry, catalog) for entry in reversed(tuple(entries))]

    return pb.Profile(
        first_seen=timestamp(profile.first_seen),
        last_seen=timestamp(profile.last_seen),
        searches=[
            pb.ProfileSearch(query=search.query, occurred_at=timestamp(search.at))
            for search in reversed(profile.searches)
        ],
        views=products(profile.views),
        carts=products(profile.carts),
        purchases=products(bought(profile)),
        clicks=products(profile.clicks),
        ratings=products(profile.ratings),
        not_interested=products(profile.not_interested),
        impressions=products(_shown(profile)),
        automated=is_automated(profile),
    )


def _shown(profile: Profile) -> list[Touch]:
    """The products of the newest impressions, at most :data:`SHOWN`, oldest first."""
    touches = (
        Touch(shown.at, shown.event, line, product_id)
        for shown in reversed(profile.impressions)
        for line, product_id in enumerate(shown.product_ids)
    )
    return list(islice(touches, SHOWN))[::-1]


def _product(entry: Touch | Cart | Purchase | Rating, catalog: Catalog) -> pb.ProfileProduct:
    row = catalog.row(entry.product_id)
    message = pb.ProfileProduct(
        product_id=entry.product_id,
        occurred_at=timestamp(entry.at),
        title="" if row is None else catalog.listing(row).title,
    )
    if isinstance(entry, Cart | Purchase):
        message.quantity = entry.quantity
    if isinstance(entry, Purchase) and entry.currency:
        message.unit_price.CopyFrom(_money(entry.unit_price, entry.currency))
    if isinstance(entry, Rating):
        message.stars = entry.stars
    return message


def _money(millionths: int, currency: str) -> Money:
    sign = -1 if millionths < 0 else 1
    units, rest = divmod(abs(millionths), 1_000_000)
    return Money(currency_code=currency, units=sign * units, nanos=sign * rest * 1_000)
