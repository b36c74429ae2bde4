"""How the trial of a retrained bundle goes on: what is next, and why.

::

    shadow ──► long enough, enough compared ──► canary ──► long enough, enough answers ──► promote
       └── it differs too much ──┐                └── a guard has fallen, or chances to ──┐
                                 └────────────────────── stop ◄──────────────────────────┘

Nothing is remembered between two looks: the document says what is on trial, and its history who put
it there, when, and beside which served bundle. So looking twice, or two who look at the same time,
come to the same step, which the second of them finds done.

A trial is led by whoever changed it last. Retraining goes on with its own only: a bundle that a
person has put into the shadow, a canary whose share or guards a person has changed, are theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from services.recommendations.domain.comparison import Tally
from services.recommendations.domain.durations import above, percentile
from services.recommendations.domain.guards import SLOWEST, Clicks, fallen_clicks, is_shown
from services.recommendations.domain.serving import (
    MOST_SHARE,
    Change,
    Guards,
    Role,
    Serving,
    Share,
)
from services.recommendations.domain.transitions import (
    Transition,
    canary,
    promote,
    stop_canary,
    stop_shadow,
)

RETRAINING: Final = "retraining"
"""Who, in the history, of all that no person has said."""
HOUR: Final = 3_600_000_000
"""Microseconds."""

Outcome = Literal["on trial", "nothing new", "published", "waiting", "gate again", "shadow"]
Hours = Annotated[float, Meta(ge=0, le=8_784)]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """When a trial may go on; what each means stands beside it, for ``--help``, too."""

    shadow_hours: Annotated[
        Hours, Meta(description="so long a bundle stays in the shadow, at least")
    ] = 24.0
    compared: Annotated[
        int, Meta(ge=0, description="so many of its answers must have been compared by then")
    ] = 1000
    overlap: Annotated[
        Share,
        Meta(description="of the ten first products, it must share so many with the served one"),
    ] = 0.1
    share: Annotated[
        float, Meta(gt=0, le=MOST_SHARE, description="of the shoppers, the canary answers so many")
    ] = 0.05
    canary_hours: Annotated[Hours, Meta(description="so long it stays canary, at least")] = 48.0
    patience_hours: Annotated[
        Hours, Meta(description="after so long with too few answers, the trial ends")
    ] = 336.0


class Trial(NamedTuple):
    """A bundle that shows what it can do."""

    version: str
    role: Role
    since: int
    """Microseconds since 1970: when it became what it is."""
    lead: str
    """Who has said so."""
    against: str | None
    """What was served then."""


class Counted(NamedTuple):
    """What came of the answers of a canary and of the served bundle, as attribution counts."""

    canary: Clicks
    served: Clicks
    answers: int
    """Of the canary."""


class Seen(NamedTuple):
    """What is known of a trial beside the document."""

    compared: Tally = Tally()
    """Over all scenarios; of a shadow."""
    counted: Counted | None = None
    """None where nobody counts; of a canary."""


class Step(NamedTuple):
    """What is next."""

    what: str
    """Such as ``canary tea-7, 0.05``; nothing where all stays as it is."""
    why: str
    transition: Transition
    """For the document that was looked at."""


def open_trial(changes: Iterable[Change]) -> Trial | None:
    """The trial of a shop with this history, newest first; no more of it is read than it takes.

    Where a canary and a shadow run beside each other, it is the canary's.
    """
    earlier = iter(changes)
    newest = next(earlier, None)
    role = None if newest is None else _role_of(newest.serving)
    if newest is None or role is None:
        return None
    began = newest
    for change in earlier:
        if _part(change.serving, role) != _part(newest.serving, role):
            break
        began = change
    version = newest.serving.roles()[role]
    return Trial(version, role, began.at, began.who, began.serving.served)


def was_tried(changes: Iterable[Change], version: str) -> bool:
    """Whether a bundle has had a part in anything since it was published."""
    for change in changes:
        serving = change.serving
        if serving.of(version) is None:
            return False
        stopped = serving.canary.version if serving.canary else None
        if version in (*serving.roles().values(), serving.former, serving.withdrawn, stopped):
            return True
    return False


class Entry(NamedTuple):
    """Whether a bundle that the gate has let through comes on trial now."""

    outcome: Outcome
    says: str


def entry(
    serving: Serving, trial: Trial | None, *, version: str, against: str | None, tried: bool
) -> Entry:
    """What becomes of a published bundle that was held to ``against``, and ``tried`` before or not.

    Nobody's trial is displaced, and nothing is tried twice: what a guard or a person has stopped,
    or a rollback has taken away, stays so unless a person brings it back.
    """
    if version == serving.served:
        return Entry("nothing new", f"{version} is served already")
    if trial is not None and trial.version == version:
        return Entry("on trial", f"{version} is on trial, led by {trial.lead}")
    if tried:
        return Entry("nothing new", f"{version} was tried before; a person may try it again")
    if serving.served is None:
        return Entry("published", f"nothing is served yet; 'models promote {version}' changes that")
    if trial is not None:
        return Entry("waiting", f"the trial of {trial.version}, led by {trial.lead}, goes first")
    if serving.served != against:
        return Entry("gate again", f"{serving.served} is served now")
    return Entry("shadow", f"not worse than {against} on the held-out days")


def next_step(serving: Serving, trial: Trial | None, seen: Seen, terms: Terms, now: int) -> Step:
    """What is next ``now``, in microseconds since 1970."""
    if trial is None:
        return _stay("nothing is on trial")
    version, against = trial.version, trial.against
    if trial.lead != RETRAINING:
        return _stay(f"the trial of {version} is led by {trial.lead}")
    if serving.served != against:
        return _stop(trial, f"{serving.served} is served now, and it was held to {against}")
    hours = max(now - trial.since, 0) / HOUR  # clocks differ
    if trial.role is Role.SHADOW:
        return _after_shadow(trial, seen.compared, serving.guards, terms, hours)
    return _after_canary(trial, seen.counted, serving.guards, terms, hours)


def _after_shadow(trial: Trial, tally: Tally, guards: Guards, terms: Terms, hours: float) -> Step:
    if alarm := _alarm(tally, guards, terms):
        return _stop(trial, alarm)
    told = f"in the shadow for {hours:.1f} h, {tally.compared} answers compared"
    if hours < terms.shadow_hours:
        return _stay(f"{trial.version} is {told}; {terms.shadow_hours:g} h are asked for")
    if tally.compared < terms.compared:
        return _too_few(trial, f"{told}; {terms.compared} are asked for", terms, hours)
    return Step(
        f"canary {trial.version}, {terms.share:g}",
        told,
        lambda serving: canary(serving, trial.version, terms.share),
    )


def _alarm(tally: Tally, guards: Guards, terms: Terms) -> str:
    """What speaks against showing a bundle's answers to anybody; nothing where nothing does."""
    n = tally.answers
    if n < guards.minimum:
        return ""
    if is_shown(tally.failed, n, guards.error_share):
        return f"{tally.failed / n:.1%} of {n} answers failed in the shadow"
    made, other = n - tally.failed, tally.differing_fallbacks
    if is_shown(other, made, guards.fallback_share):
        return f"of {other / made:.1%} of {made} answers only one of the two was personal"
    p99 = percentile(tally.served_took, 0.99)
    if is_shown(above(tally.shadow_took, p99 * guards.latency_ratio), n, SLOWEST):
        ours = percentile(tally.shadow_took, 0.99)
        return f"99 % of {n} answers took {ours * 1e3:.3g} ms, of those given {p99 * 1e3:.3g}"
    alike = tally.overlap / tally.compared if tally.compared else 1.0
    if tally.compared >= max(terms.compared, 1) and alike < terms.overlap:
        return f"{alike:.1%} of the ten first products are the served bundle's, too"
    return ""


def _after_canary(
    trial: Trial, counted: Counted | None, guards: Guards, terms: Terms, hours: float
) -> Step:
    told = f"canary for {hours:.1f} h"
    if counted is not None:
        found = fallen_clicks(counted.canary, counted.served, guards)
        if found is not None:
            return _stop(trial, found.why)
        told += f", {counted.answers} answers counted"
    if hours < terms.canary_hours:
        return _stay(f"{trial.version} is {told}; {terms.canary_hours:g} h are asked for")
    if counted is not None and counted.answers < guards.minimum:
        return _too_few(trial, f"{told}; {guards.minimum} are asked for", terms, hours)
    return Step(
        f"promote {trial.version}",
        f"{told}, no guard fell",
        lambda serving: promote(serving, trial.version),
    )


def _too_few(trial: Trial, told: str, terms: Terms, hours: float) -> Step:
    if hours < terms.patience_hours:
        return _stay(f"{trial.version} is {told}")
    return _stop(trial, f"{told}, and {terms.patience_hours:g} h are over")


def _stay(why: str) -> Step:
    return Step("", why, lambda serving: serving)


def _stop(trial: Trial, why: str) -> Step:
    what = f"stop {trial.role.value} {trial.version}"
    if trial.role is Role.SHADOW:
        return Step(what, why, stop_shadow)
    return Step(what, why, lambda serving: stop_canary(serving, why, trial.version))


def _role_of(serving: Serving) -> Role | None:
    roles = serving.roles()
    return next((role for role in (Role.CANARY, Role.SHADOW) if role in roles), None)


def _part(serving: Serving, role: Role) -> object:
    """What of a document a trial is: whoever changes it leads the trial from then on."""
    return serving.shadow if role is Role.SHADOW else (serving.canary, serving.guards)
