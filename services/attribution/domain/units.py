"""Shoppers as units of experiments: who came to which arm, and what each did within the window.

What the first answer was is known at once; guards that watch it see it at once. What a shopper did
is taken in when the window has closed, once, and is final: :func:`due_at` says when, by the time
that the partition's records have reached, so that a worker that was away closes no window early.

What a shopper did before is what was bought in as long a time before the first exposure, as far as
it is remembered.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec.structs import asdict, replace

from services.attribution.domain import sums
from services.attribution.domain.counts import NO_DAY, Counts, Row
from services.attribution.domain.credit import settled
from services.attribution.domain.sums import HUNDREDTHS, Harms, Sums
from services.attribution.domain.tally import Tally
from services.shared.experiments import Experiment, Harm, Metric
from services.shared.trail import DAY, HOUR, Exposure, Trail

GRACE: Final = HOUR
"""So long after a window has closed events of it may still arrive."""

MILLIONTHS: Final = 1_000_000 // HUNDREDTHS
"""Of a hundredth: amounts are millionths, outcomes hundredths."""

EXPOSED: Final = "exposed"
HARMED: Final = " harmed"
SEEN: Final = " seen"
"""After a harm: shoppers whom its guard has judged."""

Known = Mapping[str, Experiment]
"""The experiments of one shop, by name."""


class Bought(NamedTuple):
    """One purchase, without what was taken back; amounts by currency."""

    at: int
    spent: Mapping[str, int]
    credited: Mapping[str, int]


def exposures(trail: Trail, known: Known) -> Counts:
    """Who came, and what the first answers were."""
    found: defaultdict[Row, Counter[str]] = defaultdict(Counter)
    for exposure in trail.exposures:
        experiment = known.get(exposure.experiment)
        if experiment is None:
            continue
        measures = found[_row(trail, exposure)]
        measures[EXPOSED] += 1
        for guard in experiment.guards:
            if guard.harm != "no_purchase":
                is_late = exposure.took > guard.limit_ms * 1_000
                harmed = exposure.is_fallback if guard.harm == "fallback" else is_late
                _watch(measures, guard.harm, harmed)
    return found


def due_at(trail: Trail, known: Known) -> int | None:
    """When the next window of a shopper can be closed; None where none is open."""
    dues = [
        due
        for exposure in trail.exposures
        if (experiment := known.get(exposure.experiment)) is not None
        for due in (_outcome_due(exposure, experiment), _watch_due(exposure, experiment))
        if due is not None
    ]
    return min(dues, default=None)


def closed(trail: Trail, known: Known, now: int) -> tuple[Trail, Counts]:
    """The trail with all windows closed that can be by ``now``, and what that adds."""
    found: defaultdict[Row, Counter[str]] = defaultdict(Counter)
    bought = _bought(trail)
    after = []
    for exposure in trail.exposures:
        experiment = known.get(exposure.experiment)
        if experiment is not None:
            exposure = _close(trail, exposure, experiment, bought, now, found)
        after.append(exposure)
    return replace(trail, exposures=tuple(after)), found


def tally_of(measures: Mapping[str, int]) -> Tally:
    """The measures of an arm's row as the statistics take them."""
    harms: dict[Harm, Harms] = {}
    for harm in ("fallback", "late", "no_purchase"):
        if seen := measures.get(harm + SEEN, 0):
            harms[harm] = Harms(seen, measures.get(harm + HARMED, 0))
    fields = {name: measures.get(name, 0) for name in Sums.__struct_fields__}
    return Tally(exposed=measures.get(EXPOSED, 0), sums=Sums(**fields), harms=harms)


def _close(
    trail: Trail,
    exposure: Exposure,
    experiment: Experiment,
    bought: Sequence[Bought],
    now: int,
    found: defaultdict[Row, Counter[str]],
) -> Exposure:
    measures = found[_row(trail, exposure)]
    due = _outcome_due(exposure, experiment)
    if due is not None and due <= now:
        window = experiment.window_days * DAY
        outcome = _outcome(experiment.metric, bought, exposure.at, exposure.at + window)
        before = _outcome(experiment.metric, bought, exposure.at - window, exposure.at)
        measures.update(asdict(sums.shopper(experiment.metric, outcome, before)))
        exposure = replace(exposure, has_outcome=True)
    due = _watch_due(exposure, experiment)
    if due is not None and due <= now:
        until = exposure.at + _watched_days(experiment) * DAY
        _watch(measures, "no_purchase", not _within(bought, exposure.at, until))
        exposure = replace(exposure, is_watched=True)
    return exposure


def _outcome_due(exposure: Exposure, experiment: Experiment) -> int | None:
    if exposure.has_outcome:
        return None
    return exposure.at + experiment.window_days * DAY + GRACE


def _watch_due(exposure: Exposure, experiment: Experiment) -> int | None:
    days = _watched_days(experiment)
    return None if exposure.is_watched or not days else exposure.at + days * DAY + GRACE


def _watched_days(experiment: Experiment) -> int:
    """The window of the guard against shoppers who buy nothing; 0 where there is none."""
    return sum(each.window_days for each in experiment.guards if each.harm == "no_purchase")


def _outcome(metric: Metric, bought: Sequence[Bought], start: int, end: int) -> int:
    """Hundredths of the currency; of a conversion 0 or 1."""
    some = _within(bought, start, end)
    if metric.outcome == "conversion":
        return int(bool(some))
    amounts = [each.spent if metric.outcome == "spend" else each.credited for each in some]
    total = sum(amount.get(metric.currency, 0) for amount in amounts)
    return (total + MILLIONTHS // 2) // MILLIONTHS


def _within(bought: Sequence[Bought], start: int, end: int) -> list[Bought]:
    return [each for each in bought if start <= each.at < end]


def _bought(trail: Trail) -> list[Bought]:
    acts = [act for act in trail.acts if act.kind == "purchase"]
    final = [settled(trail, act) if act.lines else act for act in acts]
    return [Bought(act.at, act.spent, act.credited) for act in final if act is not None]


def _watch(measures: Counter[str], harm: Harm, harmed: bool) -> None:
    measures[harm + SEEN] += 1
    measures[harm + HARMED] += int(harmed)


def _row(trail: Trail, exposure: Exposure) -> Row:
    return Row(trail.shop_id, NO_DAY, (exposure.experiment, exposure.arm))
