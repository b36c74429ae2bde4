"""Which of a shop's bundles answers, and which are on trial: one document, and a line of history.

A bundle that is published has no part in anything yet. In the *shadow* it computes answers that
nobody sees, which are compared with those that were given. As *canary* it answers a share of the
shoppers, watched by guards. The *served* one answers all others, and what it took over from is the
*former* one. :mod:`services.recommendations.domain.transitions` says what may follow what.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final, Literal

import msgspec
import xxhash
from msgspec import Meta

BUCKETS: Final = 10_000
"""Of shoppers: a hundredth of a per cent is the least share."""
MOST_SHARE: Final = 0.5
"""Of a canary: beyond half there is too little left to compare it with."""

Version = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
"""As a manifest has it; also the name of a folder."""
Share = Annotated[float, Meta(ge=0, le=1)]


class Role(Enum):
    """What a bundle is there for."""

    SERVED = "served"
    CANARY = "canary"
    SHADOW = "shadow"


class Published(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundle that is in the registry, proven when it was put there."""

    version: Version
    manifest_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    """Of the manifest, which has those of all other files."""


class Shadow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundle whose answers nobody sees."""

    version: Version
    sample: Annotated[float, Meta(gt=0, le=1)]
    """Of the answers that are given, so many are asked of it, too."""


class Canary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundle that answers some shoppers."""

    version: Version
    share: Annotated[float, Meta(ge=0, le=MOST_SHARE)]
    """Of the shoppers; 0 after it was stopped."""
    stopped: str = ""
    """Why, where it was."""


class Guards(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a canary goes back by itself: see :mod:`services.recommendations.domain.guards`."""

    window_seconds: Annotated[int, Meta(ge=10, le=86_400)] = 600
    """Answers of so long ago are forgotten."""
    minimum: Annotated[int, Meta(ge=20, le=1_000_000)] = 200
    """Answers that each side must have given before anything is judged."""
    error_share: Share = 0.01
    """By so much its share of errors may be above that of the served one."""
    fallback_share: Share = 0.05
    """By so much its share of lists that are not personal may be above."""
    latency_ratio: Annotated[float, Meta(ge=1, le=100)] = 1.5
    """So many times the served one's 99th percentile its own may be."""
    clicks_loss: Share = 0.2
    """So large a part of the served one's clicks per answer it may lack."""


class Serving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document of one shop."""

    number: Annotated[int, Meta(ge=0)] = 0
    """How many changes have led to it."""
    served: Version | None = None
    former: Version | None = None
    """What a rollback would serve again."""
    withdrawn: Version | None = None
    """What the last rollback took away, until another is promoted."""
    shadow: Shadow | None = None
    canary: Canary | None = None
    guards: Guards = Guards()
    published: tuple[Published, ...] = ()
    """Newest last."""
    schema: Literal[1] = 1

    def of(self, version: str) -> Published | None:
        """What was published under a version."""
        return next((each for each in self.published if each.version == version), None)

    def roles(self) -> dict[Role, str]:
        """The versions that have something to do, in the order in which they matter."""
        found: dict[Role, str] = {}
        if self.served is not None:
            found[Role.SERVED] = self.served
        if self.canary is not None and self.canary.share > 0:
            found[Role.CANARY] = self.canary.version
        if self.shadow is not None:
            found[Role.SHADOW] = self.shadow.version
        return found


NOTHING: Final = Serving()
"""Of a shop that has published nothing yet."""


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a shop's history."""

    at: int
    """Microseconds since 1970."""
    who: str
    what: str
    """Such as ``promote tea-7``."""
    why: str
    serving: Serving
    """What it led to."""


def bucket_of(salt: str, unit: str) -> int:
    """The bucket of a shopper, from 0; another salt makes other buckets."""
    return (xxhash.xxh3_64_intdigest(f"{salt}/{unit}".encode()) * BUCKETS) >> 64


def is_canarys(canary: Canary, shop_id: str, subject: str) -> bool:
    """Whether a shopper is answered by the canary: the same one always, also after a restart.

    Salted with the version: each canary has other shoppers, so that the same ones are not always
    the first. A greater share takes further shoppers and lets go of none.
    """
    return bucket_of(canary.version, f"{shop_id}/{subject}") < canary.share * BUCKETS
