"""The embedded Kafka and Redis: started, killed, started again."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from redis import Redis

from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.supervised import HOST, PortTaken, StackFailed
from deploy.local.topics import TOPICS, create_topics


async def test_topics_are_created_once(kafka_servers: str) -> None:
    """Creating the topics again changes nothing and is no error."""
    first = await create_topics(kafka_servers, prefix="once.")
    assert sorted(first) == sorted(f"once.{topic.name}" for topic in TOPICS)
    assert await create_topics(kafka_servers, prefix="once.") == []


async def test_topics_without_kafka_say_where() -> None:
    """Without a broker the error names the address."""
    with pytest.raises(StackFailed, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        await create_topics("127.0.0.1:1")


async def test_kafka_keeps_what_it_acknowledged(own_kafka: EmbeddedKafka) -> None:
    """A record outlives a killed broker, which comes back on its port."""
    servers = own_kafka.servers
    await create_topics(servers)
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        await producer.send_and_wait("catalog", b"mug", key=b"demo/mug")
    own_kafka.kill()
    await asyncio.to_thread(own_kafka.start)
    assert own_kafka.servers == servers
    async with AIOKafkaConsumer(
        "catalog", bootstrap_servers=servers, auto_offset_reset="earliest"
    ) as consumer:
        record = await asyncio.wait_for(consumer.getone(), 20)
    assert record.value == b"mug"


def test_redis_keeps_what_it_acknowledged(own_redis: EmbeddedRedis) -> None:
    """A value outlives a killed server, which comes back on its port."""
    url = own_redis.url
    Redis.from_url(url).set("mug", "blue")
    own_redis.kill()
    own_redis.start()
    assert own_redis.url == url
    assert Redis.from_url(url).get("mug") == b"blue"


@pytest.mark.parametrize("server", [EmbeddedKafka, EmbeddedRedis])
def test_port_in_use_is_named(server: type[EmbeddedKafka | EmbeddedRedis], tmp_path: Path) -> None:
    """A port that another program holds is named in the error."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"{HOST}:{port}: the port is in use"):
            server(tmp_path, port=port).start()


async def test_topics_of_a_test(kafka_servers: str, topic_prefix: str) -> None:
    """The fixture's topics are there, for an asynchronous test as well."""
    async with AIOKafkaProducer(bootstrap_servers=kafka_servers) as producer:
        await producer.send_and_wait(f"{topic_prefix}offers", b"1", key=b"demo/mug")
