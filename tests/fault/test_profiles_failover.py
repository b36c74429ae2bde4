"""A Redis that comes back without what it had last, as after a failover to a replica behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy.local.redis import EmbeddedRedis
from services.shared.redis_connection import RedisConnection
from tests.fault.test_profiles_faults import as_the_oracle_says, shopping, told
from tests.profile_events import Event
from tests.stack import run_worker
from tests.waiting import eventually, eventually_async
from tests.worker_kafka import profiles_as_the_oracle_says, send, until_committed


def lose_everything(redis: EmbeddedRedis, folder: Path) -> None:
    """Start it anew with nothing of what it had: all of it was of the last minute."""
    redis.kill()
    shutil.rmtree(folder / "redis")
    redis.start()


async def until_right(url: str, some: list[Event]) -> None:
    async def is_right() -> bool:
        return await profiles_as_the_oracle_says(url, some)

    await eventually_async(is_right, within=60)
    await as_the_oracle_says(url, some)


async def test_what_redis_lost_is_folded_again(
    kafka_servers: str, own_redis: EmbeddedRedis, topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """Although all was committed, and no event comes any more."""
    some = shopping(shop_id, 500)
    settings = told(kafka_servers, own_redis.url, topic_prefix)
    with run_worker(settings, tmp_path / "worker.log") as worker:
        await send(kafka_servers, topic_prefix, some)
        await until_committed(kafka_servers, topic_prefix, len(some))
        lose_everything(own_redis, tmp_path)
        await until_right(own_redis.url, some)
        assert "redis_changed" in worker.log_path.read_text()


async def test_what_redis_lost_while_a_batch_was_in_hand(
    kafka_servers: str, own_redis: EmbeddedRedis, topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """It is not written behind what is lost, where nothing before it would be counted again."""
    some = shopping(shop_id, 500)
    settings = told(kafka_servers, own_redis.url, topic_prefix)
    with run_worker(settings, tmp_path / "worker.log") as worker:
        await send(kafka_servers, topic_prefix, some[:400])
        await until_committed(kafka_servers, topic_prefix, 400)
        own_redis.kill()
        shutil.rmtree(tmp_path / "redis")
        await send(kafka_servers, topic_prefix, some[400:])
        tried = 'retries_total{code="REDIS_UNAVAILABLE"}'
        eventually(lambda: worker.metric(tried) >= 4, within=30)  # each partition's batch
        own_redis.start()
        await until_right(own_redis.url, some)


async def test_what_redis_lost_while_no_event_has_come(
    kafka_servers: str, own_redis: EmbeddedRedis, topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """The worker has just been started, and was given partitions of which nothing is new."""
    some = shopping(shop_id, 500)
    settings = told(kafka_servers, own_redis.url, topic_prefix)
    with run_worker(settings, tmp_path / "one.log"):
        await send(kafka_servers, topic_prefix, some)
        await until_committed(kafka_servers, topic_prefix, len(some))
    with run_worker(settings, tmp_path / "two.log"):
        lose_everything(own_redis, tmp_path)
        await until_right(own_redis.url, some)


async def test_what_redis_lost_while_no_worker_ran(
    kafka_servers: str, own_redis: EmbeddedRedis, topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """The note beside the commit tells, however long ago that was."""
    some = shopping(shop_id, 500)
    settings = {**told(kafka_servers, own_redis.url, topic_prefix), "INSTANCE_ID": "worker-0"}
    with run_worker(settings, tmp_path / "one.log"):
        await send(kafka_servers, topic_prefix, some)
        await until_committed(kafka_servers, topic_prefix, len(some))
    lose_everything(own_redis, tmp_path)
    connection = RedisConnection(own_redis.url)
    assert await connection.ask([("DBSIZE",)]) == [0]
    await connection.close()
    with run_worker(settings, tmp_path / "two.log") as worker:
        await until_right(own_redis.url, some)
        assert "reading_from_before" in worker.log_path.read_text()
