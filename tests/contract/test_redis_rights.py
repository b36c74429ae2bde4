"""The operators' guide lists what a user of Redis must be allowed; nothing else is asked for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.local.redis import EmbeddedRedis
from services.attribution.adapters.consents import RedisConsents
from services.attribution.adapters.courses import RedisCourses, Seen
from services.attribution.adapters.kept_figures import RedisFigures
from services.attribution.adapters.redis_trails import RedisTrailStore
from services.attribution.adapters.stops import RedisStops
from services.attribution.adapters.trail_store import BatchWrite, Letter, Name, TrailWrite
from services.attribution.domain.counts import Row
from services.attribution.domain.course import Course
from services.profiles.adapters.durability import RedisDurability
from services.profiles.adapters.folded import RedisFoldedSpans, Span
from services.profiles.adapters.trends import Place, RedisTrends, TrendWrite
from services.recommendations.adapters.folded_profiles import RedisFoldedProfiles
from services.recommendations.adapters.stopped_arms import StoppedArms
from services.recommendations.adapters.trends import Trends
from services.recommendations.domain.policies import Policies
from services.recommendations.domain.scenario_document import read_scenarios
from services.shared.consent import NOTHING_ASKED
from services.shared.folded import Position
from services.shared.letter_keys import RedisLetterKeys
from services.shared.personal_data import Person
from services.shared.profile import EMPTY, Profile
from services.shared.profile_codec import encode
from services.shared.profile_store import NOTHING, RedisProfileStore, Write, read_profiles
from services.shared.redis_connection import RedisConnection
from services.shared.sealing import MasterKey
from services.shared.stopped_arms import StoppedArm
from services.shared.subject import event_key
from tests.unit.test_recommendations_policies import TRIED

GUIDE = Path(__file__).parents[2] / "docs/guides/operators.md"
SHOP = "demo"
ANA = event_key(SHOP, "u:ana")
PASSWORD = "for-a-test"


def rights(of: str, until: str) -> list[str]:
    """What the guide says that a user needs, as ``ACL SETUSER`` takes it."""
    guide = GUIDE.read_text()
    told = guide[guide.index(of) : guide.index(until)]
    names = re.findall(r"`([A-Z ]+)`", told)
    return [f"+{name.lower().replace(' ', '|')}" for name in ["CLIENT SETINFO", *names]]


@pytest.fixture
async def user(
    request: pytest.FixtureRequest, own_redis: EmbeddedRedis
) -> AsyncIterator[RedisDurability]:
    """A connection of a user with those rights alone, and another one to ask for the disk."""
    admin = RedisConnection(own_redis.url)
    writing = RedisTrends(admin, topic_id="t")
    await writing.count([TrendWrite(Place(0, "read"), 0, 1, {(500_000, "mug"): 1})])
    told = ("ACL", "SETUSER", "it", "on", f">{PASSWORD}", "~attune:*", *rights(*request.param))
    assert await admin.ask([told]) == [b"OK"]
    await admin.close()
    url = own_redis.url.replace("redis://", f"redis://it:{PASSWORD}@")
    writer, asker = RedisConnection(url), RedisConnection(url)
    yield RedisDurability(writer, asker)
    await writer.close()
    await asker.close()


WORKER = ("The worker needs", "  the server `GET`")
SERVER = ("  the server `GET`", "  attribution `GET`")
ATTRIBUTION = ("  attribution `GET`", "A database number other than 0")


@pytest.mark.parametrize("user", [WORKER], indirect=True)
async def test_what_the_guide_lists_is_enough_for_the_worker(user: RedisDurability) -> None:
    """Profiles, written and deleted, trends, keys of letters, and asking for the disk."""
    redis = user._writer
    store, trends = RedisProfileStore(redis), RedisTrends(redis, topic_id="t")
    mark = await user.begin()
    (before,) = await store.load([ANA])
    seen = encode(Profile(first_seen=1, last_seen=1))
    day = timedelta(days=1)
    assert await store.save([Write(ANA, before, seen)], retention=day) == [True]
    (before,) = await store.load([ANA])
    assert await store.save([Write(ANA, before, b"")], retention=day) == [True]
    place = Place(0, SHOP)
    assert await trends.fences([place]) == [0]
    assert await trends.count([TrendWrite(place, 0, 1, {(500_000, "mug"): 1})]) == [True]
    keys = RedisLetterKeys(redis, MasterKey(bytes(32)))
    assert len(await keys.for_sealing([ANA])) == 1
    await RedisFoldedSpans(redis, topic_id="t").add([Span(0, 0, 1)], user.servers)
    await user.wait(mark)


@pytest.mark.parametrize("user", [SERVER], indirect=True)
async def test_what_the_guide_lists_is_enough_for_the_server(user: RedisDurability) -> None:
    """Profiles, trends and stopped arms, read; behind a position, too; keys for what it logs."""
    redis = user._writer
    assert await read_profiles(RedisProfileStore(redis), [("read", "u:ana")]) == [EMPTY]
    hour = 500_000
    trends = Trends(redis, shops=lambda: ("read",), clock=lambda: hour * 3600.0)
    await trends.read("read", whole=True)
    assert trends.of("read") == (("mug", 1.0),)
    found = await RedisFoldedProfiles(redis).look(Position("t", 0, 0), [ANA])
    assert (found.folded, found.profiles) == (None, [NOTHING])
    policies = Policies()
    policies.put({"read": read_scenarios(TRIED)})
    with capture_logs() as logs:
        await StoppedArms(redis, policies, shops=lambda: ("read",)).look()
    assert logs == [], "they could not be read"
    keys = RedisLetterKeys(redis, MasterKey(bytes(32)))
    assert len(await keys.for_sealing([ANA])) == 1


@pytest.mark.parametrize("user", [ATTRIBUTION], indirect=True)
async def test_what_the_guide_lists_is_enough_for_attribution(user: RedisDurability) -> None:
    """Trails and figures, letters, windows, consents, keys of answers, and experiments."""
    redis, name = user._writer, Name(SHOP, bytes(16))
    store, row = RedisTrailStore(redis), Row(SHOP, 20_000, ("home",))
    assert await store.claim(0) == ""
    await store.post([Letter(0, b"one")])
    assert await store.inbox(0, 9) == [b"one"]
    trail = TrailWrite(name, b"x", 1 << 33, 5)
    wrote = BatchWrite("", "1 a:1 b:1", [trail], {row: {"answers": 1}}, 1)
    assert await store.write(0, wrote)
    assert await store.due(0, 9, 9) == [name]
    assert (await store.read(0, [name])).trails == [b"x"]
    assert await store.rows(0, [row]) == [{"answers": 1}]
    gone = BatchWrite("1 a:1 b:1", "2 a:1 b:1", [TrailWrite(name, b"", 0, None)], {}, 0)
    assert await store.write(0, gone)
    assert await RedisFigures(redis).of_days(SHOP, [20_000]) == {row: {"answers": 1}}
    assert await RedisConsents(redis).of([Person(SHOP, "u:ana")]) == [NOTHING_ASKED]
    courses = RedisCourses(redis)
    seen = Seen(since=datetime.now(UTC), course=Course())
    assert await courses.save(SHOP, "calm", b"", seen)
    assert (await courses.load(SHOP, "calm"))[1] == seen
    stopped = StoppedArm(experiment="calm", arm="b", harm="late", at=seen.since)
    assert await RedisStops(redis).add(SHOP, stopped)
    assert not await RedisStops(redis).add(SHOP, stopped)
    assert await RedisLetterKeys(redis, MasterKey(bytes(32))).for_opening([bytes(16)]) == [None]
