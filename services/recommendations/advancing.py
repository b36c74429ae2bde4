"""Looks at the trial of a retrained bundle, and takes its next step where it is time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from services.recommendations.adapters.registry import TRIES, Registry, pair_of
from services.recommendations.domain.comparison import Compared, Tally
from services.recommendations.domain.next_step import (
    RETRAINING,
    Counted,
    Seen,
    Step,
    Terms,
    Trial,
    next_step,
    open_trial,
)
from services.recommendations.domain.serving import Role
from services.shared.errors import StorageUnavailable

Count = Callable[[int, str, str], Counted | None]
"""Since when, the canary, the served bundle → what was counted of them; None: nobody counts."""

_log = structlog.get_logger()


def advance(
    registry: Registry, shop_id: str, terms: Terms, *, count: Count, now: Callable[[], int]
) -> Step:
    """Take the next step of a shop's trial, and answer it; ``now`` in microseconds since 1970.

    Where the document is changed meanwhile, by a person, a guard or a second one of this, what was
    decided is forgotten and looked at again. Raises ServingRefused, Unavailable.
    """
    for _ in range(TRIES):
        serving = registry.serving(shop_id)
        trial = open_trial(registry.history(shop_id))
        seen = _seen(registry, shop_id, trial, count)
        step = next_step(serving, trial, seen, terms, now())
        after = registry.change_from(
            serving, shop_id, step.transition, who=RETRAINING, what=step.what, why=step.why
        )
        if after is not None:
            _log.info("trial_looked_at", shop_id=shop_id, step=step.what or "none", why=step.why)
            return step
    raise StorageUnavailable(f"{shop_id}: {TRIES} times another change was quicker")


def tallies(registry: Registry, shop_id: str, served: str, version: str) -> dict[str, Tally]:
    """What all servers have compared of two bundles, by scenario."""
    found: dict[str, Tally] = {}
    for note in registry.notes(shop_id, pair_of(served, version)):
        for name, tally in msgspec.json.decode(note, type=Compared).scenarios.items():
            found[name] = found.get(name, Tally()) + tally
    return found


def _seen(registry: Registry, shop_id: str, trial: Trial | None, count: Count) -> Seen:
    """What next_step wants to know of a trial of ours."""
    if trial is None or trial.against is None or trial.lead != RETRAINING:
        return Seen()
    if trial.role is Role.CANARY:
        return Seen(counted=count(trial.since, trial.version, trial.against))
    scenarios = tallies(registry, shop_id, trial.against, trial.version).values()
    return Seen(compared=sum(scenarios, Tally()))
