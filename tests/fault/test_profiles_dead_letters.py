"""Refused events while Redis, which keeps the keys of their letters, is away."""

from __future__ import annotations

from pathlib import Path

from deploy.local.redis import EmbeddedRedis
from deploy.local.services import MASTER_KEY
from services.shared.dead_letter import DeadLetter
from services.shared.letter_envelope import Opened
from services.shared.letter_keys import RedisLetterKeys
from services.shared.redis_connection import RedisConnection
from services.shared.sealed_letters import SealedLetters
from services.shared.sealing import read_master_key
from tests.fault.test_profiles_faults import told
from tests.stack import run_worker
from tests.waiting import eventually
from tests.worker_kafka import producer, records, until_committed

POISON = 5


async def test_letters_wait_for_their_keys(
    kafka_servers: str, own_redis: EmbeddedRedis, topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """Nothing is sent that could not be opened; once Redis is back, all are there and open."""
    settings = told(kafka_servers, own_redis.url, topic_prefix)
    with run_worker(settings, tmp_path / "worker.log") as worker:
        own_redis.kill()
        async with producer(kafka_servers) as to:
            for number in range(POISON):
                key = f"{shop_id}/u:{number}".encode()
                await to.send_and_wait(topic_prefix + "shopper-events", b"{", key)
        eventually(lambda: "keep a batch" in worker.log_path.read_text(), within=30)
        assert await records(kafka_servers, topic_prefix + "dead-letters") == []
        own_redis.start()
        await until_committed(kafka_servers, topic_prefix, POISON)
    found = await records(kafka_servers, topic_prefix + "dead-letters")
    redis, master = RedisConnection(own_redis.url), read_master_key(tmp_path / MASTER_KEY)
    letters = [DeadLetter(one.key, one.value, list(one.headers)) for one in found]
    read = await SealedLetters(master, RedisLetterKeys(redis, master)).open(letters)
    await redis.close()
    keys = {one.content.key for one in read if isinstance(one, Opened)}
    assert keys == {f"{shop_id}/u:{number}".encode() for number in range(POISON)}
