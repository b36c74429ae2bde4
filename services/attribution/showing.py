"""``python -m services.attribution figures``: what lists came to, by how they were made."""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec
from attune.recommendations.v1.recommendation_service_pb2 import Source

from services.attribution.adapters.kept_figures import KeptFigures
from services.attribution.domain.counts import (
    ANSWERS,
    CARTS,
    CLICKS,
    IMPRESSIONS,
    PURCHASES,
    SHOWN,
    VALUE,
    Counts,
    Names,
)

COMMAND: Final = "figures"
DAYS: Final = 7
MOST_DAYS: Final = 400

_COLUMNS: Final = (ANSWERS, SHOWN, IMPRESSIONS, CLICKS, CARTS, PURCHASES)
_DAY_SECONDS: Final = 24 * 3600

Say = Callable[[str], None]


class Choice(NamedTuple):
    """Which figures."""

    shop_id: str
    days: int
    """Up to the present one, which counts."""
    by_arm: bool
    as_json: bool


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog=f"python -m services.attribution {COMMAND}",
        description="Print what a shop's lists came to, by scenario, method, source and model: "
        "answers, products shown, seen and clicked in them, carts, products bought, and for how "
        "much. All of a list counts on the day of its answer (UTC).",
    )
    made.add_argument("--shop", required=True, help="the shop's id")
    made.add_argument(
        "--days", type=int, default=DAYS, help=f"the last so many, today counts; {DAYS} if not told"
    )
    made.add_argument("--arms", action="store_true", help="by arms of experiments instead")
    made.add_argument("--json", action="store_true", help="one JSON object a line")
    return made


def choice_of(told: argparse.Namespace) -> Choice:
    """What a command line chooses."""
    return Choice(told.shop, min(max(told.days, 1), MOST_DAYS), told.arms, told.json)


async def show(figures: KeptFigures, choice: Choice, now: datetime, say: Say) -> int:
    """Say them. Raises RedisUnavailable."""
    today = int(now.timestamp()) // _DAY_SECONDS
    counts = await figures.of_days(choice.shop_id, range(today - choice.days + 1, today + 1))
    total = _over_days(counts, by_arm=choice.by_arm)
    if choice.as_json:
        for names, measures in total.items():
            say(msgspec.json.encode(_told(names, measures)).decode())
        return 0
    since = datetime.fromtimestamp((today - choice.days + 1) * _DAY_SECONDS, UTC)
    say(f"{choice.shop_id}, answers since {since:%Y-%m-%d} (UTC)")
    for line in _table(total):
        say(line)
    return 0


def _over_days(counts: Counts, *, by_arm: bool) -> dict[Names, Counter[str]]:
    """The rows of all lists, or of arms, over the days, in the order of their names."""
    total: defaultdict[Names, Counter[str]] = defaultdict(Counter)
    for row, measures in counts.items():
        if bool(row.names[-1]) == by_arm:
            total[row.names].update(measures)
    return dict(sorted(total.items(), key=lambda each: tuple(map(str, each[0]))))


def _told(names: Names, measures: Mapping[str, int]) -> dict[str, object]:
    scenario, method, source, version, experiment, arm = names
    value = {
        name.removeprefix(VALUE): amount / 1_000_000
        for name, amount in measures.items()
        if name.startswith(VALUE)
    }
    return {
        "scenario": scenario,
        "method": method,
        "source": _source(source),
        "model_version": version,
        "experiment": experiment,
        "arm": arm,
        **{name: measures.get(name, 0) for name in _COLUMNS},
        "value": value,
    }


def _table(total: Mapping[Names, Mapping[str, int]]) -> list[str]:
    """Lines of equal width, titles first."""
    head = ["scenario", "method", "source", "model", "arm", *_COLUMNS, "clicked", "value"]
    rows = [head, *(_cells(names, measures) for names, measures in total.items())]
    if not any(row[4] for row in rows[1:]):
        rows = [row[:4] + row[5:] for row in rows]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = len(rows[0]) - len(_COLUMNS) - 2
    return [
        "  ".join(
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, wide, strict=True))
        ).rstrip()
        for row in rows
    ]


def _cells(names: Names, measures: Mapping[str, int]) -> list[str]:
    scenario, method, source, version, experiment, arm = map(str, names)
    seen = measures.get(IMPRESSIONS, 0)
    value = [
        f"{amount / 1_000_000:,.2f} {name.removeprefix(VALUE)}"
        for name, amount in sorted(measures.items())
        if name.startswith(VALUE)
    ]
    return [
        scenario,
        method,
        _source(int(source)),
        version or "-",
        f"{experiment}/{arm}" if arm else "",
        *(f"{measures.get(name, 0):,}" for name in _COLUMNS),
        f"{measures.get(CLICKS, 0) / seen:.1%}" if seen else "-",
        " + ".join(value) or "-",
    ]


def _source(number: str | int) -> str:
    """The contract's name of a source; its number where this release knows none."""
    known = Source.DESCRIPTOR.values_by_number.get(int(number))
    return known.name.removeprefix("SOURCE_").lower() if known else str(number)
