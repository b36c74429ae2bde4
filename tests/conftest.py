"""What tests of several folders share: real servers, started once a session."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from xdist.remote import Producer

from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.redis_cluster import EmbeddedRedisCluster
from deploy.local.topics import create_topics
from tests import skips
from tests.spreading import ByModule, by_module

pytest_plugins = ["pytester"]

# A broker that lives for seconds is up sooner with the quick compiler alone.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")

# How long an example takes says how busy the machine is, which no property is about.
hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")


def pytest_configure(config: pytest.Config) -> None:
    """In CI a skip needs permission."""
    skips.register(config)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByModule:
    """Processes that share the tests take a module each."""
    return by_module(config, log)


@pytest.fixture(autouse=True)
def logs_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What an entry point that a test runs does to logs goes with that test."""
    root = logging.getLogger()
    level, handlers, configure = root.level, root.handlers[:], structlog.configure
    # A logger that is kept would go on as that entry point had it.
    uncached = {"cache_logger_on_first_use": False}
    monkeypatch.setattr(structlog, "configure", lambda **told: configure(**{**told, **uncached}))
    yield
    structlog.reset_defaults()
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(scope="session")
def kafka_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The session's Kafka; use :func:`topic_prefix` for topics of your own."""
    kafka = EmbeddedKafka(tmp_path_factory.mktemp("kafka"))
    kafka.start()
    yield kafka.servers
    kafka.stop()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The session's Redis; use :func:`shop_id` for keys of your own."""
    redis = EmbeddedRedis(tmp_path_factory.mktemp("redis"))
    redis.start()
    yield redis.url
    redis.stop()


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The session's Redis Cluster; slots may be moved in it, servers stay."""
    cluster = EmbeddedRedisCluster(tmp_path_factory.mktemp("cluster"))
    cluster.start()
    yield cluster.url
    cluster.kill()


@pytest.fixture
def topic_prefix(kafka_servers: str) -> str:
    """The prefix of topics that exist for this test only, such as ``t3f9a1c.``."""
    prefix = f"t{secrets.token_hex(3)}."
    asyncio.run(create_topics(kafka_servers, prefix=prefix))
    return prefix


@pytest.fixture
def shop_id() -> str:
    """A shop that no other test knows."""
    return f"shop-{secrets.token_hex(4)}"


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A Kafka of the test's own, to stop, kill and start again; it runs, without topics."""
    kafka = EmbeddedKafka(tmp_path / "kafka")
    kafka.start()
    yield kafka
    kafka.kill()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[EmbeddedRedisCluster]:
    """A Redis Cluster of the test's own, whose replicas take over after two seconds."""
    cluster = EmbeddedRedisCluster(tmp_path / "cluster", node_timeout_ms=2_000)
    cluster.start()
    yield cluster
    cluster.kill()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis of the test's own, to stop, kill and start again; it runs."""
    redis = EmbeddedRedis(tmp_path / "redis")
    redis.start()
    yield redis
    redis.kill()
