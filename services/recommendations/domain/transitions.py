"""How the document that says which bundle answers may change.

::

    publish ──► shadow ──► canary ──► promote          rollback: the former one again
                   └── stop ──┘

A document never changes: a transition makes the next one, numbered one higher, or answers the
same one where there is nothing to do. So whoever repeats a transition, or is second of two with the
same thought, does no harm. What may not be is refused with a sentence (ServingRefused).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from services.recommendations.domain.serving import (
    MOST_SHARE,
    Canary,
    Guards,
    Published,
    Serving,
    Shadow,
)
from services.shared.errors import ServingRefused

PUBLISHED: Final = 200
"""So many bundles a document names; beyond them the oldest without a role is forgotten."""

T = TypeVar("T", Shadow, Canary)

Transition = Callable[[Serving], Serving]
"""Answers the next document, or the same one. Raises ServingRefused."""


def publish(serving: Serving, bundle: Published) -> Serving:
    """Take a bundle among those that may be named."""
    known = serving.of(bundle.version)
    if known is not None:
        if known != bundle:
            raise ServingRefused(
                f"another bundle is published as {bundle.version} already; a version stands for "
                "one bundle for ever, so export this one anew"
            )
        return serving
    return _next(serving, published=_bounded(serving, bundle))


def shadow(serving: Serving, version: str, sample: float) -> Serving:
    """Have a bundle compute answers that nobody sees."""
    _check_published(serving, version)
    _check_not_served(serving, version)
    canary = serving.canary
    if canary is not None and canary.version == version:
        if canary.share > 0:
            raise ServingRefused(f"{version} is the canary; stop it first")
        canary = None
    try:
        wanted = msgspec.convert({"version": version, "sample": sample}, Shadow)
    except msgspec.ValidationError as error:
        raise ServingRefused(f"sample {sample:g}: a shadow needs one above 0, at most 1") from error
    if wanted == serving.shadow:
        return serving
    return _next(serving, shadow=wanted, canary=canary)


def canary(serving: Serving, version: str, share: float, guards: Guards | None = None) -> Serving:
    """Have a bundle answer a share of the shoppers; ``guards`` instead of those of before."""
    _check_published(serving, version)
    _check_not_served(serving, version)
    if serving.served is None:
        raise ServingRefused("nothing is served that a canary could be compared with; promote one")
    if not 0 < share <= MOST_SHARE:
        raise ServingRefused(f"share {share:g}: a canary has more than 0, at most {MOST_SHARE:g}")
    wanted = Canary(version=version, share=share)
    told = serving.guards if guards is None else guards
    if (wanted, told) == (serving.canary, serving.guards):
        return serving
    return _next(serving, canary=wanted, guards=told, shadow=_unless(serving.shadow, version))


def next_to_serve(serving: Serving) -> str | None:
    """What is promoted where nobody names a version: the canary, or a shop's first bundle."""
    if serving.canary is not None and serving.canary.share > 0:
        return serving.canary.version
    if serving.served is None and len(serving.published) == 1:
        return serving.published[0].version
    return None


def promote(serving: Serving, version: str | None = None) -> Serving:
    """Have a bundle answer everybody; where none is named see :func:`next_to_serve`."""
    version = version or next_to_serve(serving)
    if version is None:
        raise ServingRefused("there is no canary to promote; name a version")
    _check_published(serving, version)
    if version == serving.served:
        return serving
    return _next(
        serving,
        served=version,
        former=serving.served,
        withdrawn=None,
        canary=_unless(serving.canary, version),
        shadow=_unless(serving.shadow, version),
    )


def rollback(serving: Serving, why: str) -> Serving:
    """Serve the former one again, and stop the canary; nothing to do where that was just done."""
    if serving.former is None:
        if serving.withdrawn is None:
            raise ServingRefused("there is no former bundle to go back to")
        return serving
    return _next(
        serving,
        served=serving.former,
        former=None,
        withdrawn=serving.served,
        canary=_stopped(_unless(serving.canary, serving.former), why),
        shadow=_unless(serving.shadow, serving.former),
    )


def stop_canary(serving: Serving, why: str, version: str | None = None) -> Serving:
    """Have no shopper answered by the canary any more, if it is ``version`` or none is named."""
    running = serving.canary
    if running is None or running.share == 0 or version not in (None, running.version):
        return serving
    return _next(serving, canary=_stopped(running, why))


def stop_shadow(serving: Serving) -> Serving:
    """Have nothing computed that nobody sees."""
    return serving if serving.shadow is None else _next(serving, shadow=None)


def _next(serving: Serving, **changed: Any) -> Serving:
    return replace(serving, number=serving.number + 1, **changed)


def _bounded(serving: Serving, bundle: Published) -> tuple[Published, ...]:
    found = [*serving.published, bundle]
    named = {*serving.roles().values(), serving.former, serving.withdrawn, bundle.version}
    while len(found) > PUBLISHED:
        oldest = next(each for each in found if each.version not in named)
        found.remove(oldest)
    return tuple(found)


def _check_published(serving: Serving, version: str) -> None:
    if serving.of(version) is None:
        raise ServingRefused(f"no bundle is published as {version}; 'models list' shows which are")


def _check_not_served(serving: Serving, version: str) -> None:
    if version == serving.served:
        raise ServingRefused(f"{version} is served to everybody already")


def _unless(running: T | None, version: str | None) -> T | None:
    """None where ``version`` itself is what runs: a bundle has one role."""
    return None if running is None or running.version == version else running


def _stopped(running: Canary | None, why: str) -> Canary | None:
    if running is None or running.share == 0:
        return running
    return Canary(version=running.version, share=0, stopped=why)
