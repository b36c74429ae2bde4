"""Kafka goes away while the recommendations server runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import grpc
from aiokafka import AIOKafkaProducer
from attune.recommendations.v1 import recommendation_service_pb2 as pb
from attune.recommendations.v1 import recommendation_service_pb2_grpc

from deploy.local.kafka import EmbeddedKafka
from deploy.local.services import is_serving, recommendations_server
from deploy.local.topics import create_topics
from services.shared.identity import add_key
from tests.stack import run_server, started
from tests.tiny_bundle import make_bundle
from tests.waiting import eventually
from tests.worker_kafka import write_untextual


def send(kafka: EmbeddedKafka, product_id: str) -> None:
    """List a product."""
    value = {"shopId": "demo", "productId": product_id, "merchantId": "m", "title": product_id}

    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.servers) as producer:
            key = f"demo/{product_id}".encode()
            await producer.send_and_wait("catalog", json.dumps(value).encode(), key=key)

    asyncio.run(produce())


def test_a_server_that_starts_before_kafka(
    tmp_path: Path, own_kafka: EmbeddedKafka, redis_url: str
) -> None:
    """It says that it is alive and not ready, logs why with a code, and is ready once Kafka is."""
    asyncio.run(create_topics(own_kafka.servers))
    own_kafka.stop()
    with started(
        recommendations_server(settings(tmp_path, own_kafka, redis_url), tmp_path / "log")
    ) as service:
        eventually(lambda: "KAFKA_UNAVAILABLE" in (tmp_path / "log").read_text(), within=30)
        assert not is_serving(service.address)
        assert service.process.poll() is None
        own_kafka.start()
        service.wait_ready()


def test_a_server_that_is_stopping_is_not_ready_again(
    tmp_path: Path, own_kafka: EmbeddedKafka, redis_url: str
) -> None:
    """The catalogue that is read to its end during the drain helps its calls, and no more."""
    told = {**settings(tmp_path, own_kafka, redis_url), "DRAIN_MS": "8000"}
    with started(recommendations_server(told, tmp_path / "log")) as service:
        eventually(lambda: "lacks catalog" in (tmp_path / "log").read_text(), within=30)
        service.process.terminate()
        asyncio.run(create_topics(own_kafka.servers))
        with grpc.insecure_channel(service.address) as channel:
            stub = recommendation_service_pb2_grpc.RecommendationServiceStub(channel)
            metadata = (("authorization", f"Bearer {(tmp_path / 'key').read_text()}"),)

            def answers() -> bool:
                with contextlib.suppress(grpc.RpcError):
                    stub.Recommend(pb.RecommendRequest(user_id="a"), metadata=metadata, timeout=1)
                    return True
                return False

            eventually(answers, within=8)
        assert not is_serving(service.address)
        assert service.process.wait(30) == 0


def settings(folder: Path, kafka: EmbeddedKafka, redis_url: str) -> dict[str, str]:
    """A server's, with a tiny bundle; its key is in ``folder/key``."""
    key = add_key(folder / "keys.json", shop_id="demo", scopes=["recommendations.read"])
    (folder / "key").write_text(key)
    return {
        "KAFKA_SERVERS": kafka.servers,
        "REDIS_URL": redis_url,
        "BUNDLE": str(make_bundle(folder / "bundle", {"mug": (1.0, 0.0), "cup": (0.0, 1.0)})),
        "API_KEYS_FILE": str(folder / "keys.json"),
    }


def test_the_catalogue_goes_on_after_kafka_was_killed(
    tmp_path: Path, own_kafka: EmbeddedKafka, redis_url: str
) -> None:
    """Without Kafka the server answers from what it knows; with Kafka back it follows again."""
    asyncio.run(create_topics(own_kafka.servers))
    with run_server(settings(tmp_path, own_kafka, redis_url), tmp_path / "server.log") as service:
        key = (tmp_path / "key").read_text()
        channel = grpc.insecure_channel(service.address)
        stub = recommendation_service_pb2_grpc.RecommendationServiceStub(channel)

        def shown() -> set[str]:
            answer = stub.Recommend(
                pb.RecommendRequest(user_id="ana"),
                metadata=(("authorization", f"Bearer {key}"),),
                timeout=5,
            )
            return {product.product_id for product in answer.products}

        write_untextual(own_kafka.servers, "catalog", b"demo/mug", b"{}")  # takes nothing down
        send(own_kafka, "mug")
        eventually(lambda: shown() == {"mug"}, within=30)
        own_kafka.kill()
        assert shown() == {"mug"}
        own_kafka.start()
        send(own_kafka, "cup")
        eventually(lambda: shown() == {"mug", "cup"}, within=30)
        channel.close()
