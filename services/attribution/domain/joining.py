"""Adds facts to a shopper's trail, and lets go of what nothing can follow from any more.

Adding is a union of sets, so order and repetition change nothing. What is told of a list that has
not come yet waits in the trail. What is *too late* is left out: a cart, purchase or cancel that
happened over :data:`LATE` before the newest thing known of the shopper, as by then the ones of that
time are no longer told apart.

Two things are bounded by time and by number, times measured from the newest fact of the trail: the
number is there for programs that pass as shoppers, and no person comes near it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from msgspec.structs import replace

from services.attribution.domain.credit import settled
from services.attribution.domain.facts import Fact
from services.shared.trail import DAY, HOUR, Act, Cancel, Exposure, Shown, Touch, Trail

LATE: Final = 7 * DAY
"""After its time an act may still be credited anew, or taken back."""
HELD: Final = 2 * DAY
"""So long a touch waits for its list."""
REMEMBERED: Final = 92 * DAY
"""Purchases stay so long, for what shoppers spent before and within an experiment's window, and
exposures as long after the shopper's last answer in the experiment."""

LISTS: Final = 200
TOUCHES: Final = 200
ACTS: Final = 200
LINES: Final = 1_000
"""Of all acts that may still be credited anew, together."""
EXPOSURES: Final = 64


def joined(
    trail: Trail,
    facts: Iterable[Fact],
    experiments: Collection[str],
    heard: Iterable[Act | Cancel] = (),
) -> Trail:
    """The trail with the facts, nothing left out of it yet.

    Exposures count of those ``experiments`` that are known, by name. What was ``heard`` of another
    trail takes the place of what was heard before.
    """
    sets = _Sets(trail)
    for fact in facts:
        if not isinstance(fact, Exposure) or fact.experiment in experiments:
            sets.add(fact)
    for fact in heard:
        sets.hear(fact)
    return sets.trail()


class _Sets:
    """A trail's facts by what names them."""

    def __init__(self, trail: Trail) -> None:
        self._shop_id = trail.shop_id
        self._horizon = trail.horizon
        self._oldest = trail.horizon - LATE
        self._shown = {each.token: each for each in trail.shown}
        self._acts = {each.event: each for each in trail.acts}
        self._cancels = {each.event: each for each in trail.cancels}
        self._exposures = {each.experiment: each for each in trail.exposures}
        self._touches = set(trail.touches)

    def add(self, fact: Fact) -> None:
        """Unite; of two with one name the least stays, so that order does not matter."""
        self._horizon = max(self._horizon, fact.at)
        match fact:
            case Shown():
                self._shown.setdefault(fact.token, fact)
            case Touch():
                self._touches.add(fact)
            case Exposure():
                known = self._exposures.get(fact.experiment)
                self._exposures[fact.experiment] = _exposed(known, fact)
            case Act() if fact.at >= self._oldest:
                self._acts[fact.event] = min(self._acts.get(fact.event, fact), fact)
            case Cancel() if fact.at >= self._oldest:
                self._cancels[fact.event] = min(self._cancels.get(fact.event, fact), fact)

    def hear(self, fact: Act | Cancel) -> None:
        """Put in place of what was heard before, unless that has become sums."""
        self._horizon = max(self._horizon, fact.at)
        if isinstance(fact, Cancel):
            self._cancels[fact.event] = fact
        elif fact.at >= self._oldest and self._acts.get(fact.event, fact).lines:
            self._acts[fact.event] = fact

    def trail(self) -> Trail:
        """All of it, in order; touches are in their lists, as far as those have come."""
        loose = _placed(self._shown, self._touches)
        return Trail(
            self._shop_id,
            self._horizon,
            tuple(sorted(self._shown.values(), key=_by_time)),
            tuple(sorted(loose)),
            tuple(sorted(self._acts.values())),
            tuple(sorted(self._cancels.values())),
            tuple(sorted(self._exposures.values())),
        )


def pruned(trail: Trail) -> Trail:
    """The trail without what is too old, or too much: the oldest leave first."""
    now = trail.horizon
    acts = [
        settled(trail, act) if act.lines and act.at < now - LATE else act
        for act in trail.acts
        if act.at >= now - (REMEMBERED if act.kind == "purchase" else LATE)
    ]
    return replace(
        trail,
        shown=tuple(each for each in trail.shown if _live_until(each) >= now)[-LISTS:],
        touches=tuple(each for each in trail.touches if each.at >= now - HELD)[-TOUCHES:],
        acts=_few_lines([act for act in acts if act is not None][-ACTS:]),
        cancels=tuple(each for each in trail.cancels if each.at >= now - LATE)[-ACTS:],
        exposures=_newest(each for each in trail.exposures if each.last >= now - REMEMBERED),
    )


def is_empty(trail: Trail) -> bool:
    """Whether there is nothing in it."""
    return not (trail.shown or trail.touches or trail.acts or trail.cancels or trail.exposures)


def expires_at(trail: Trail) -> int:
    """When nothing in it can be needed any more."""
    return max(
        [
            trail.horizon + HELD,
            *(_live_until(each) for each in trail.shown),
            *(act.at + (REMEMBERED if act.kind == "purchase" else LATE) for act in trail.acts),
            *(each.at + LATE for each in trail.cancels),
            *(each.last + REMEMBERED for each in trail.exposures),
        ]
    )


def _live_until(shown: Shown) -> int:
    """Until then a purchase may come, or come to be known, that the list has credit for."""
    return shown.at + shown.window_hours * HOUR + LATE


def _by_time(shown: Shown) -> tuple[int, int]:
    return shown.at, shown.token


def _exposed(known: Exposure | None, new: Exposure) -> Exposure:
    """The earlier of two, unless the outcome of the known one is final already."""
    if known is None:
        return new
    last = max(known.last, new.last)
    is_first = (known.at, known.took, known.is_fallback) <= (new.at, new.took, new.is_fallback)
    if known.has_outcome or known.is_watched or is_first:
        return known if known.last == last else replace(known, last=last)
    return replace(new, last=last)


def _placed(shown: dict[int, Shown], touches: Iterable[Touch]) -> list[Touch]:
    """Put touches into their lists; answers those whose list has not come."""
    loose = []
    for touch in touches:
        each = shown.get(touch.token)
        if each is None:
            loose.append(touch)
        elif touch.product in each.products:
            shown[touch.token] = _touched(each, touch)
    return loose


def _touched(shown: Shown, touch: Touch) -> Shown:
    """The list with what happened to one of its products, unless that was after the window."""
    age = max(0, touch.at - shown.at)
    if age > shown.window_hours * HOUR:
        return shown
    place, after = shown.products.index(touch.product), age // 1_000
    if touch.kind == "seen":
        return replace(shown, seen=_first(shown.seen, place, after))
    chosen = _first(shown.chosen, place, after)
    if touch.kind == "carted":
        return replace(shown, chosen=chosen)
    return replace(shown, chosen=chosen, clicked=shown.clicked | {place})


def _first(times: dict[int, int], place: int, after: int) -> dict[int, int]:
    return {**times, place: min(times.get(place, after), after)}


def _newest(exposures: Iterable[Exposure]) -> tuple[Exposure, ...]:
    """At most :data:`EXPOSURES`, by when the shopper was last seen in them."""
    return tuple(sorted(sorted(exposures, key=lambda each: each.last)[-EXPOSURES:]))


def _few_lines(acts: list[Act]) -> tuple[Act, ...]:
    """The newest acts with at most :data:`LINES` lines together, and those without lines."""
    room, kept = LINES, []
    for act in reversed(acts):
        room -= len(act.lines)
        if room >= 0 or not act.lines:
            kept.append(act)
    return tuple(reversed(kept))
