"""From figures to rows: medians, spreads, and what they are held to."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.bench.report import Row
from tests.bench.stream.contenders import OURS, QUIX
from tests.bench.stream.legs import Leg, Limits
from tests.bench.stream.measuring import Figures

AGAINST_QUIX: Final = Limits(1.3, 2.5)
SHARED: Final = Limits(1.10, 1.05)
PROFILES: Final = Limits(2.0, 1.0)
MILLION: Final = 1e6

Runs = Mapping[str, Sequence[Figures]]
"""A leg's, by contender; the first of each were run one after the other, and so on."""


def row(measure: str, unit: str, values: Sequence[float], limits: Limits | None = None) -> Row:
    """The median of the runs, and how far they spread."""
    low_high = (min(values), max(values))
    return Row(measure, statistics.median(values), unit, low_high, *(limits or ()))


def rows_of(leg: Leg, runs: Runs) -> list[Row]:
    """What a leg has shown."""
    made: list[Row] = []
    for name, figures in runs.items():
        limits = leg.limits if name == OURS.name else None
        made += [
            row(f"{leg.name}: {name}", "events/s", [f.events_per_second for f in figures], limits),
            row(f"{leg.name}: {name}", "µs/event", [f.worker_micros for f in figures]),
            row(f"{leg.name}: {name}, worked", "%", [f.worked_share * 100 for f in figures]),
            row(f"{leg.name}: {name}, kept off", "%", [f.waited_share * 100 for f in figures]),
            row(f"{leg.name}: {name}, at most", "MB", [f.worker_bytes / 1e6 for f in figures]),
        ]
    ours = runs[OURS.name]
    made += [
        row(f"{leg.name}: Kafka", "µs/event", [f.kafka_micros for f in ours]),
        row(f"{leg.name}: Redis", "µs/event", [f.redis_micros for f in ours]),
        row(f"{leg.name}: Redis", "bytes/event", [f.redis_bytes for f in ours]),
    ]
    return made + _against_quix(leg, runs)


def _against_quix(leg: Leg, runs: Runs) -> list[Row]:
    """How many times quixstreams' we are, of runs that followed one another."""
    made = []
    for what, figure, limits in _RATIOS:
        pairs = zip(runs[OURS.name], runs[QUIX.name], strict=True)
        ratios = [figure(ours, quix) for ours, quix in pairs]
        name = f"{leg.name}: ours against quixstreams, {what}"
        made.append(row(name, "times", ratios, limits if leg.limits else None))
    return made


_RATIOS: Final[Sequence[tuple[str, Callable[[Figures, Figures], float], Limits | None]]] = (
    ("events/s", lambda ours, quix: ours.events_per_second / quix.events_per_second, AGAINST_QUIX),
    ("processor time", lambda ours, quix: quix.worker_micros / ours.worker_micros, None),
)


def rows_of_sharing(one: Sequence[Figures], two: Sequence[Figures]) -> list[Row]:
    """What a second worker costs."""
    ratios = [b.worker_micros / a.worker_micros for a, b in zip(one, two, strict=True)]
    return [
        row("one worker, as events come", "µs/event", [f.worker_micros for f in one]),
        row("two workers of one group", "µs/event", [f.worker_micros for f in two]),
        row("processor time with two workers against one", "times", ratios, SHARED),
    ]


def row_of_profiles(bytes_each: float) -> Row:
    """What a million profiles take."""
    gigabytes = bytes_each * MILLION / 1e9
    return row("Redis, one million profiles of 50 events", "GB", [gigabytes], PROFILES)
