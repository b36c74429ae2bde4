"""A recommendations server as a process: start, lost servers, stop, reflection and metrics."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb
from attune.recommendations.v1 import recommendation_service_pb2_grpc as pb_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from deploy.local.redis import EmbeddedRedis
from deploy.local.services import is_serving, recommendations_server
from deploy.local.topics import create_topics
from services.recommendations.settings import PREFIX
from services.shared.identity import add_key
from tests.recommendation_shop import (
    POPULAR_FIRST,
    SCOPES,
    SECONDS,
    VECTORS,
    Running,
    Shop,
    bought,
    refusal,
    settings_of,
)
from tests.stack import run_server, started
from tests.waiting import eventually, eventually_async


def test_reflection_lists_the_services(shop: Shop) -> None:
    """A tool without our protos can find out what there is."""
    names = set(ProtoReflectionDescriptorDatabase(shop.channel).get_services())
    assert names >= {
        "attune.recommendations.v1.RecommendationService",
        "attune.profiles.v1.ProfileService",
        "grpc.health.v1.Health",
    }


def test_answers_are_counted_by_scenario_source_and_cause(shop: Shop, running: Running) -> None:
    """Falling back is a counted answer."""
    shop.list_products("mug")
    labels = 'fallback_cause="UNKNOWN_SHOPPER",scenario="home",source="POPULAR"'
    name = f"recommendations_total{{{labels}}}"
    before = running.service.metric(name)
    shop.recommend("nobody")
    assert running.service.metric(name) == before + 1


def test_an_interaction_with_an_unknown_product_is_counted(shop: Shop, running: Running) -> None:
    """It changes no answer, and whoever looks at the metrics sees that ids do not fit."""
    shop.list_products(*VECTORS)
    name = "profile_products_unlisted_total"
    before = running.service.metric(name)
    shop.know("u:ana", bought("no-such-product", "mug"))
    shop.know("u:bo", bought("no-such-product", "nor-this"))
    assert shop.recommend("ana").source == pb.SOURCE_PERSONAL
    assert shop.recommend("bo").fallback_cause == pb.FALLBACK_CAUSE_EMPTY_PROFILE
    assert running.service.metric(name) == before + 3


def test_profiles_in_a_redis_cluster(
    tmp_path: Path, kafka_servers: str, topic_prefix: str, cluster_url: str
) -> None:
    """Whichever node has a shopper's, the answer is personal."""
    key = add_key(tmp_path / "keys.json", shop_id="demo", scopes=SCOPES)
    settings = settings_of(tmp_path, kafka_servers, cluster_url, topic_prefix)
    with run_server(settings, tmp_path / "server.log") as service:
        shop = Shop("demo", key, service.port, kafka_servers, topic_prefix, cluster_url)
        shop.list_products(*VECTORS)
        for user in ("ana", "bo", "cy", "di"):
            shop.know(f"u:{user}", bought("mug"))
            assert shop.recommend(user).source == pb.SOURCE_PERSONAL


def test_without_redis_answers_come_quickly_and_say_so(
    tmp_path: Path, kafka_servers: str, topic_prefix: str, own_redis: EmbeddedRedis
) -> None:
    """When Redis dies answers go on from fallbacks, fast; when it is back they are personal."""
    key = add_key(tmp_path / "keys.json", shop_id="demo", scopes=SCOPES)
    settings = settings_of(tmp_path, kafka_servers, own_redis.url, topic_prefix)
    with run_server(settings, tmp_path / "server.log") as service:
        shop = Shop("demo", key, service.port, kafka_servers, topic_prefix, own_redis.url)
        shop.list_products(*VECTORS)
        shop.know("u:ana", bought("mug"))
        assert shop.recommend().source == pb.SOURCE_PERSONAL
        own_redis.kill()
        started_at = time.monotonic()
        answers = [shop.recommend() for _ in range(50)]
        assert time.monotonic() - started_at < 5
        assert {each.fallback_cause for each in answers} == {pb.FALLBACK_CAUSE_PROFILE_UNAVAILABLE}
        assert [each.product_id for each in answers[-1].products] == POPULAR_FIRST
        assert is_serving(service.address)
        code, reason, _ = refusal(lambda: shop.profile("ana"))
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "REDIS_UNAVAILABLE")
        own_redis.start()
        eventually(lambda: shop.recommend().source == pb.SOURCE_PERSONAL, within=SECONDS)


def test_a_server_waits_for_kafka_and_does_without_redis(
    tmp_path: Path, kafka_servers: str
) -> None:
    """Without topics it stays up, NOT_SERVING; it gets ready when they come, Redis or not."""
    key = add_key(tmp_path / "keys.json", shop_id="demo", scopes=SCOPES)
    prefix = f"late{secrets.token_hex(3)}."
    nowhere = "redis://127.0.0.1:1/0"
    service = recommendations_server(
        settings_of(tmp_path, kafka_servers, nowhere, prefix), tmp_path / "server.log"
    )
    with started(service):
        log = service.log_path
        eventually(lambda: log.exists() and "KAFKA_UNAVAILABLE" in log.read_text(), within=SECONDS)
        assert not is_serving(service.address)
        shop = Shop("demo", key, service.port, kafka_servers, prefix, nowhere)
        code, reason, _ = refusal(shop.recommend)
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "CATALOG_LOADING")
        asyncio.run(create_topics(kafka_servers, prefix=prefix))
        eventually(lambda: is_serving(service.address), within=SECONDS)
        cause = shop.recommend().fallback_cause
        assert cause == pb.FALLBACK_CAUSE_PROFILE_UNAVAILABLE


def start_and_fail(settings: dict[str, str], path: str) -> tuple[int, str]:
    """Exit status and last words of a server that cannot start."""
    done = subprocess.run(
        [sys.executable, "-m", "services.recommendations"],
        env={"PYTHONPATH": path, **{PREFIX + name: each for name, each in settings.items()}},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("spoil", "code", "named"),
    [
        ("encoder.onnx", "BUNDLE_REFUSED", "SHA-256"),
        ("manifest.json", "BUNDLE_REFUSED", "manifest.json"),
        ("keys.json", "BAD_SETTING", "keys.json"),
        ("unknown setting", "BAD_SETTING", "ATTUNE_RECOMMENDATIONS_SPEED"),
        ("missing setting", "BAD_SETTING", "ATTUNE_RECOMMENDATIONS_KAFKA_SERVERS"),
        ("scenarios", "BAD_SETTING", "demo.yaml: line 1, column 10: 2 is not known here"),
    ],
)
def test_what_is_damaged_stops_the_start_with_one_sentence(
    tmp_path: Path, spoil: str, code: str, named: str
) -> None:
    """A damaged bundle, keys file or document, or a wrong setting, is said in a sentence."""
    add_key(tmp_path / "keys.json", shop_id="demo", scopes=SCOPES)
    settings = settings_of(tmp_path, "127.0.0.1:1", "redis://127.0.0.1:1/0", "")
    if spoil == "unknown setting":
        settings["SPEED"] = "fast"
    elif spoil == "missing setting":
        del settings["KAFKA_SERVERS"]
    elif spoil == "scenarios":
        settings["SCENARIOS"] = str(tmp_path)
        (tmp_path / "demo.yaml").write_text("version: 2")
    else:
        path = tmp_path / spoil if spoil == "keys.json" else tmp_path / "bundle" / spoil
        path.write_bytes(path.read_bytes() + b"!")
    status, words = start_and_fail(settings, ":".join(each for each in sys.path if each))
    assert status == 2
    assert words.startswith(f"{code}: ")
    assert named in words


def test_help_names_every_setting() -> None:
    """``--help`` says what the server does and all it can be told."""
    done = subprocess.run(
        [sys.executable, "-m", "services.recommendations", "--help"],
        env={"PYTHONPATH": ":".join(each for each in sys.path if each)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for name in ("KAFKA_SERVERS", "REDIS_URL", "BUNDLE", "API_KEYS_FILE", "PORT", "LOG_LEVEL"):
        assert PREFIX + name in done.stdout


def test_a_stop_under_load_fails_no_call(
    tmp_path: Path, kafka_servers: str, redis_url: str, topic_prefix: str
) -> None:
    """After SIGTERM health says so at once, calls are taken until then, and none fails."""
    key = add_key(tmp_path / "keys.json", shop_id="demo", scopes=SCOPES)
    settings = settings_of(tmp_path, kafka_servers, redis_url, topic_prefix)
    with run_server(settings, tmp_path / "server.log") as service:
        shop = Shop("demo", key, service.port, kafka_servers, topic_prefix, redis_url)
        shop.list_products(*VECTORS)

        async def load() -> tuple[int, int]:
            """Call from 16 sides until health turns; answers calls before and after SIGTERM."""
            counts = {"before": 0, "after": 0}
            stopping, over = asyncio.Event(), asyncio.Event()
            async with grpc.aio.insecure_channel(service.address) as channel:
                stub = pb_grpc.RecommendationServiceStub(channel)

                async def caller(number: int) -> None:
                    while not over.is_set():
                        await stub.Recommend(
                            pb.RecommendRequest(user_id=f"u{number}"),
                            metadata=(("authorization", f"Bearer {key}"),),
                            timeout=5,
                        )
                        counts["after" if stopping.is_set() else "before"] += 1
                        if counts["before"] > 200 and not stopping.is_set():
                            stopping.set()
                            service.process.terminate()

                async def watch() -> None:
                    await stopping.wait()

                    async def turned() -> bool:
                        return not await asyncio.to_thread(is_serving, service.address)

                    await eventually_async(turned, within=SECONDS)
                    over.set()

                await asyncio.gather(watch(), *(caller(number) for number in range(16)))
            return counts["before"], counts["after"]

        before, after = asyncio.run(load())
        assert before > 200
        assert after > 0
        assert service.process.wait(timeout=20) == 0
