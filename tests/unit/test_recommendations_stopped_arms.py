"""Arms that a guard has stopped: the server hears of them, and never forgets by accident."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.recommendations.adapters import stopped_arms
from services.recommendations.adapters.stopped_arms import StoppedArms
from services.recommendations.domain.policies import Policies
from services.recommendations.domain.scenario_document import read_scenarios
from services.shared.errors import RedisUnavailable
from services.shared.redis_connection import Command, Reply
from services.shared.stopped_arms import StoppedArm, encode_stopped
from services.shared.subject import stopped_arms_redis_key
from tests.unit.test_recommendations_policies import SHOPPERS, TRIED
from tests.waiting import eventually_async

STOPPED = StoppedArm(
    experiment="ranking", arm="b", harm="late", at=datetime(2026, 3, 1, tzinfo=UTC)
)


class FakeRedis:
    """Hashes of stopped arms."""

    is_cluster = False

    def __init__(self) -> None:
        self.hashes: dict[bytes, dict[bytes, bytes]] = {}
        self.error: Exception | None = None
        self.asked: list[Command] = []

    def stop(self, shop_id: str, stopped: StoppedArm = STOPPED) -> None:
        arms = self.hashes.setdefault(stopped_arms_redis_key(shop_id), {})
        arms[stopped.field] = encode_stopped(stopped)

    async def ask(self, commands: Sequence[Command], *, within: float = 5.0) -> list[Reply]:
        assert within <= 1.0
        if self.error:
            raise self.error
        self.asked += commands
        return [self.hashes.get(bytes(key), {}) for _, key in commands]  # type: ignore[arg-type]  # keys are bytes


@pytest.fixture
def redis() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def policies() -> Policies:
    """Two shops that try the same, and one that tries nothing."""
    found, document = Policies(), read_scenarios(TRIED)
    found.put({"demo": document, "other": document})
    return found


def arms_of(redis: FakeRedis, policies: Policies) -> StoppedArms:
    return StoppedArms(redis, policies, shops=lambda: ("demo", "plain", "other"))


def served(policies: Policies, shop_id: str) -> set[str]:
    """The scenarios that shoppers of the home page get."""
    return {policies.of(shop_id, "home", unit).served for unit in SHOPPERS}


BOTH, CONTROL = {"home", "home-b"}, {"home"}


def gauge(shop_id: str) -> float | None:
    labels = {"shop": shop_id, "experiment": "ranking"}
    return REGISTRY.get_sample_value("experiment_arms_stopped", labels)


async def test_a_stopped_arm_is_served_as_the_control(redis: FakeRedis, policies: Policies) -> None:
    """From the look on that hears of it, in its shop; the log says so once, a gauge on and on."""
    arms = arms_of(redis, policies)
    await arms.look()
    assert (served(policies, "demo"), gauge("demo")) == (BOTH, 0)
    redis.stop("demo")
    with capture_logs() as logs:
        await arms.look()
        await arms.look()
    assert (served(policies, "demo"), served(policies, "other")) == (CONTROL, BOTH)
    assert (gauge("demo"), gauge("other"), gauge("plain")) == (1, 0, None)
    said = {"shop_id": "demo", "experiment": "ranking", "arm": "b", "harm": "late"}
    assert logs == [{"event": "arm_stopped", "log_level": "warning", **said}]
    assert {key for _, key in redis.asked} == set(map(stopped_arms_redis_key, ("demo", "other")))


@pytest.mark.parametrize("error", [RedisUnavailable("away"), ValueError("a bug")])
async def test_what_was_known_goes_on(
    redis: FakeRedis, policies: Policies, error: Exception
) -> None:
    """While Redis is away, which is said once in a row, and when it has lost everything."""
    arms = arms_of(redis, policies)
    redis.stop("demo")
    await arms.look()
    redis.error = error
    with capture_logs() as logs:
        await arms.look()
        await arms.look()
    assert [line["event"] for line in logs] == ["stopped_arms_not_read"]
    assert (served(policies, "demo"), gauge("demo")) == (CONTROL, 1)
    redis.error = None
    redis.hashes.clear()
    await arms.look()
    assert (served(policies, "demo"), gauge("demo")) == (CONTROL, 1)
    redis.stop("other")
    await arms.look()
    assert served(policies, "other") == CONTROL


async def test_an_experiment_under_another_name_begins_anew(
    redis: FakeRedis, policies: Policies
) -> None:
    """Which is how an arm comes back; of one that is gone the gauge says nothing any more."""
    arms = arms_of(redis, policies)
    redis.stop("demo")
    await arms.look()
    again = TRIED.replace("ranking", "ranking-2").replace("salt: s2", "salt: s3")
    policies.put({"demo": read_scenarios(again)})
    await arms.look()
    assert (served(policies, "demo"), gauge("demo")) == (BOTH, None)


async def test_it_is_looked_again_and_again(
    redis: FakeRedis, policies: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until cancelled, also where a look has failed."""
    monkeypatch.setattr(stopped_arms, "EVERY_SECONDS", 0.001)
    redis.error = RedisUnavailable("away")
    job = asyncio.create_task(arms_of(redis, policies).run())
    before = REGISTRY.get_sample_value("stopped_arms_read_failures_total") or 0.0

    async def failed() -> bool:
        now = REGISTRY.get_sample_value("stopped_arms_read_failures_total") or 0.0
        return now > before

    await eventually_async(failed, within=30)
    redis.error = None
    redis.stop("demo")
    await eventually_async(lambda: asyncio.sleep(0, served(policies, "demo") == CONTROL), within=30)
    job.cancel()
