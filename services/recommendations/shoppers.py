"""Whom a call is for, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from attune.events.v1 import event_service_pb2

from services.recommendations.adapters.position_reader import PositionReader
from services.recommendations.adapters.profiles import ProfileReader
from services.recommendations.domain.answer import Cause
from services.shared.errors import RedisUnavailable
from services.shared.folded import Position
from services.shared.profile import EMPTY, Profile
from services.shared.subject import event_key, subject_of


class Who(NamedTuple):
    """Whom a call is for, as far as it says."""

    shop_id: str
    user_id: str
    visitor_id: str

    @property
    def subject(self) -> str:
        """The shopper's name within the shop; empty where the call names nobody."""
        named = self.user_id or self.visitor_id
        return subject_of(self.user_id, self.visitor_id) if named else ""

    @property
    def unit(self) -> str:
        """The shopper's name in experiments; empty where the call names nobody."""
        return event_key(self.shop_id, self.subject).decode() if self.subject else ""


class Known(NamedTuple):
    """What is known of a shopper."""

    profile: Profile
    cause: Cause
    """Why nothing is, where nothing is."""
    reached: bool | None = None
    """Whether the profile has the event that it must have; None where it need have none."""


NOBODY: Final = Known(EMPTY, Cause.UNKNOWN_SHOPPER)
"""Of a call that names nobody."""
UNREAD: Final = Known(EMPTY, Cause.OUT_OF_TIME)
"""Of a shopper whose profile there is no time to read."""


@dataclass(frozen=True, slots=True)
class Shoppers:
    """Reads what is known; lives as long as the server."""

    profiles: ProfileReader
    positions: PositionReader

    async def known(
        self,
        who: Who,
        seconds_left: float,
        must_have: event_service_pb2.Position | None = None,
    ) -> Known:
        """What is known, within the caller's time; nothing, with its cause, if Redis is away.

        ``must_have`` is the position of an event that is waited for.
        """
        if not who.unit:
            return NOBODY
        try:
            profile, reached = await self._read(who, seconds_left, must_have)
        except RedisUnavailable:
            return Known(EMPTY, Cause.PROFILE_UNAVAILABLE, None if must_have is None else False)
        cause = Cause.UNKNOWN_SHOPPER if profile == EMPTY else Cause.EMPTY_PROFILE
        return Known(profile, cause, reached)

    async def _read(
        self, who: Who, seconds_left: float, must_have: event_service_pb2.Position | None
    ) -> tuple[Profile, bool | None]:
        if must_have is None:
            return await self.profiles.read(*who, seconds_left=seconds_left), None
        position = Position(must_have.topic_id, must_have.partition, must_have.offset)
        return await self.positions.read(*who, position, seconds_left=seconds_left)
