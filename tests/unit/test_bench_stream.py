"""What the benches send is what shops send, and what they say is what was measured."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from services.shared.event_codec import decode_event
from services.shared.event_json import read_event
from tests.bench import report
from tests.bench.report import Report, Row, publish
from tests.bench.stream.contenders import OURS, QUIX
from tests.bench.stream.legs import MAIN, SIDE
from tests.bench.stream.load import (
    LASTS,
    POPULATION,
    Event,
    all_different,
    events,
    json_record,
    protobuf_record,
    skewed,
)
from tests.bench.stream.measuring import Figures, Mark, Watched
from tests.bench.stream.tables import rows_of, rows_of_sharing
from tests.profile_events import said
from tests.profile_oracle import micros

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIGURES = Figures(1_000.0, 20.0, 2.0, 8.0, 10**8, 140.0, 0.9, 0.0)


def made(count: int, seed: int = 1) -> list[Event]:
    random = np.random.default_rng(seed)
    return list(events(all_different(count, random), random=random, until=NOON))


def test_json_and_protobuf_say_the_same() -> None:
    """Each event is within all limits, goes the fast way, and is the same in both forms."""
    for event in made(300):
        json, protobuf = json_record(event), protobuf_record(event)
        assert read_event(json.value) is not None
        told = decode_event(json.key, json.value, json.headers)
        assert said(told) == said(decode_event(protobuf.key, protobuf.value, protobuf.headers))


def test_the_same_seed_gives_the_same_events() -> None:
    """And another seed gives others."""
    assert made(50) == made(50)
    assert made(50) != made(50, seed=2)


def test_event_ids_differ_and_time_goes_on() -> None:
    """No event is a repetition, each is the newest so far, and the last is at the given moment."""
    some = made(2_000)
    times = [micros(event["occurredAt"]) for event in some]
    assert len({event["eventId"] for event in some}) == len(some)
    assert times == sorted(times)
    assert times[-1] == NOON.timestamp() * 1e6
    assert times[-1] - times[0] < LASTS.total_seconds() * 1e6


def test_the_mix_is_a_shops() -> None:
    """Most are views, few are purchases."""
    kinds = Counter(next(reversed(event)) for event in made(4_000))
    assert kinds["view"] > 4 * kinds["search"] > 4 * kinds["addToCart"] > 4 * kinds["purchase"] / 4
    assert set(kinds) == {"view", "search", "addToCart", "purchase"}


def test_skewed_shoppers_are_few_and_come_often() -> None:
    """The busiest has an eighth; different ones have one event each."""
    random = np.random.default_rng(1)
    shoppers = skewed(20_000, random)
    (_, most), *_ = Counter(shoppers.tolist()).most_common(1)
    assert 0.10 < most / len(shoppers) < 0.16
    assert shoppers.max() < POPULATION
    assert len(set(all_different(500, random).tolist())) == 500


def test_a_runs_figures_leave_out_what_came_before_it_was_warm() -> None:
    """Time ends when all is folded, processor time when all is committed."""
    begun = Mark(10.0, 1_000, 1.0, 0.5, (3.0, 4.0))
    ended = Mark(12.0, 5_000, 2.0, 0.7, (4.0, 5.0))
    kept = Mark(13.0, 5_000, 2.2, 0.7, (5.0, 6.0))
    figures = Watched(begun, ended, kept, 7, 500_000).figures()
    assert figures == pytest.approx((2_000, 300, 500, 500, 7, 100, 0.5, 0.1))


def test_a_legs_rows_hold_us_to_its_gate_and_to_quixstreams() -> None:
    """Medians; ratios of runs that followed one another; peers have no gate."""
    fast = [FIGURES._replace(events_per_second=each) for each in (1_000.0, 2_000.0, 4_000.0)]
    slow = [FIGURES._replace(events_per_second=each) for each in (500.0, 500.0, 4_000.0)]
    rows = {(r.measure, r.unit): r for r in rows_of(MAIN[0], {OURS.name: fast, QUIX.name: slow})}
    ours = rows[f"{MAIN[0].name}: ours", "events/s"]
    assert (ours.value, ours.spread, ours.gate, ours.aim) == (2_000, (1_000, 4_000), 40_000, 80_000)
    assert rows[f"{MAIN[0].name}: quixstreams", "events/s"].gate is None
    ratio = rows[f"{MAIN[0].name}: ours against quixstreams, events/s", "times"]
    assert (ratio.value, ratio.spread, ratio.gate) == (2.0, (1.0, 4.0), 1.3)


def test_a_second_worker_is_held_to_its_gate() -> None:
    """What an event costs two of them, against what it costs one."""
    dearer = FIGURES._replace(worker_micros=22.0)
    *_, ratio = rows_of_sharing([FIGURES, FIGURES], [dearer, FIGURES])
    assert ratio.value == pytest.approx(1.05)
    assert ratio.gate == 1.10


def test_a_report_is_for_people_and_for_programs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Large numbers are written out, and the file has all that the table has."""
    monkeypatch.setattr(report, "TARGET", tmp_path)
    row = Row("events", 123_456.7, "events/s", (9.123456, 1e6), 40_000, 80_000)
    publish("some", [row])
    printed = capsys.readouterr().out
    for text in ("123,457 events/s", "9.123 to 1,000,000", "40,000", "80,000"):
        assert text in printed
    kept = msgspec.json.decode((tmp_path / "some.json").read_bytes(), type=Report)
    assert (kept.name, kept.rows) == ("some", [row])
    assert kept.machine
    assert kept.revision
    assert kept.command


def test_every_leg_has_us_and_quixstreams() -> None:
    """Who is compared is there to be compared, and no two legs have one name."""
    for leg in (*MAIN, *SIDE):
        assert OURS in leg.contenders
        assert QUIX in leg.contenders
    assert len({leg.name for leg in (*MAIN, *SIDE)}) == len(MAIN) + len(SIDE)
