"""The recommendations server as a process, with real Kafka and Redis and a tiny model."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from aiokafka import AIOKafkaProducer
from attune.catalog.v1 import catalog_pb2
from attune.profiles.v1 import profile_service_pb2, profile_service_pb2_grpc
from attune.recommendations.v1 import recommendation_service_pb2 as pb
from attune.recommendations.v1 import recommendation_service_pb2_grpc as pb_grpc
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_status import rpc_status

from deploy.local.redis import EmbeddedRedis
from deploy.local.services import EmbeddedService, is_serving, recommendations_server
from deploy.local.topics import create_topics
from services.recommendations.settings import PREFIX
from services.shared.identity import add_key
from services.shared.profile import Link, Profile, Purchase, Search, Touch
from services.shared.profile_store import ProfileWrite, RedisProfileStore
from services.shared.redis_connection import RedisConnection
from services.shared.subject import trend_partitions_redis_key, trend_redis_key
from tests.stack import run_server, started
from tests.tiny_bundle import VERSION, make_bundle
from tests.waiting import eventually, eventually_async

VECTORS = {
    "mug": (1.0, 0.0, 0.0),
    "cup": (1.0, 0.25, 0.0),
    "lamp": (0.0, 1.0, 0.0),
    "bulb": (0.25, 1.0, 0.0),
    "rake": (0.0, 0.0, 1.0),
}
POPULARITY = {"mug": 1, "cup": 2, "lamp": 3, "bulb": 4, "rake": 5}
POPULAR_FIRST = ["rake", "bulb", "lamp", "cup", "mug"]
SCOPES = ("recommendations.read", "profiles.read")
SECONDS = 10.0


class Shop:
    """One shop of a running server, with its key."""

    def __init__(self, name: str, key: str, port: int, kafka: str, prefix: str, redis: str) -> None:
        self.name = name
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._kafka, self._prefix, self._redis = kafka, prefix, redis
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._recommendations = pb_grpc.RecommendationServiceStub(self.channel)
        self._profiles = profile_service_pb2_grpc.ProfileServiceStub(self.channel)

    def recommend(self, user_id: str = "ana", **request: Any) -> pb.RecommendResponse:
        return self._recommendations.Recommend(
            pb.RecommendRequest(user_id=user_id, **request), metadata=self._metadata, timeout=5
        )

    def similar(self, product_id: str) -> pb.SimilarProductsResponse:
        return self._recommendations.SimilarProducts(
            pb.SimilarProductsRequest(product_id=product_id), metadata=self._metadata, timeout=5
        )

    def profile(self, user_id: str, visitor_id: str = "") -> profile_service_pb2.Profile:
        request = profile_service_pb2.GetProfileRequest(user_id=user_id, visitor_id=visitor_id)
        return self._profiles.GetProfile(request, metadata=self._metadata, timeout=5).profile

    def shown(self, **request: Any) -> list[str]:
        return [product.product_id for product in self.recommend(**request).products]

    def send(
        self, topic: str, product_id: str, value: bytes | None, *, binary: bool = False
    ) -> None:
        headers = [("content-type", b"application/protobuf")] if binary else []

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self._kafka) as producer:
                key = f"{self.name}/{product_id}".encode()
                await producer.send_and_wait(self._prefix + topic, value, key=key, headers=headers)

        asyncio.run(send())

    def list_products(self, *product_ids: str) -> None:
        for product_id in product_ids:
            self.send("catalog", product_id, self.product(product_id))
        eventually(lambda: set(product_ids) <= set(self.shown(limit=100)), within=SECONDS)

    def product(self, product_id: str, **fields: Any) -> bytes:
        record = {
            "shopId": self.name,
            "productId": product_id,
            "merchantId": "acme",
            "title": f"The {product_id}",
            "categoryPath": ["home"],
            **fields,
        }
        return json.dumps(record).encode()

    def offer(self, product_id: str, **fields: Any) -> bytes:
        record = {"shopId": self.name, "productId": product_id, "status": "OFFER_STATUS_ACTIVE"}
        return json.dumps({**record, **fields}).encode()

    def know(self, subject: str, profile: Profile) -> None:
        async def write() -> None:
            redis = RedisConnection(self._redis)
            write = ProfileWrite(self.name, subject, profile, 0)
            assert await RedisProfileStore(redis).write([write], retention=timedelta(days=1)) == [
                True
            ]
            await redis.close()

        asyncio.run(write())

    def ask_redis(self, *commands: tuple[str | int, ...]) -> None:
        async def ask() -> None:
            redis = RedisConnection(self._redis)
            await redis.ask(list(commands))
            await redis.close()

        asyncio.run(ask())


class Running(NamedTuple):
    """A server and what belongs to it."""

    service: EmbeddedService
    new_shop: Callable[[], Shop]


def settings_of(folder: Path, kafka: str, redis: str, prefix: str, **more: str) -> dict[str, str]:
    """Settings of a server with the tiny bundle and a keys file in ``folder``."""
    if not (folder / "bundle").exists():
        make_bundle(folder / "bundle", VECTORS, popularity=POPULARITY)
    return {
        "KAFKA_SERVERS": kafka,
        "REDIS_URL": redis,
        "TOPIC_PREFIX": prefix,
        "BUNDLE": str(folder / "bundle"),
        "API_KEYS_FILE": str(folder / "keys.json"),
        "PROFILE_DEADLINE_MS": "500",
        **more,
    }


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, kafka_servers: str, redis_url: str
) -> Iterator[Running]:
    """One server for all tests that do no harm; each takes a shop of its own."""
    folder = tmp_path_factory.mktemp("server")
    prefix = f"t{secrets.token_hex(3)}."
    asyncio.run(create_topics(kafka_servers, prefix=prefix))
    names = [f"shop-{secrets.token_hex(4)}" for _ in range(20)]
    keys = {name: add_key(folder / "keys.json", shop_id=name, scopes=SCOPES) for name in names}
    settings = settings_of(folder, kafka_servers, redis_url, prefix)
    with run_server(settings, folder / "server.log") as service:

        def new_shop() -> Shop:
            name = names.pop()
            return Shop(name, keys[name], service.port, kafka_servers, prefix, redis_url)

        yield Running(service, new_shop)


@pytest.fixture
def shop(running: Running) -> Iterator[Shop]:
    """A shop of the common server, without products."""
    shop = running.new_shop()
    yield shop
    shop.channel.close()


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, str, list[str]]:
    """Status, reason and named fields of a call that fails."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it is a Call as well
    assert status is not None
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        _ = detail.Unpack(info) or detail.Unpack(bad)
    fields = [violation.field for violation in bad.field_violations]
    code: grpc.StatusCode = raised.value.code()
    return code, info.reason, fields


def bought(*product_ids: str, at: int | None = None) -> Profile:
    """A shopper who bought products, a minute ago."""
    at = at or time.time_ns() // 1000 - 60_000_000
    lines = (
        Purchase(at, "e", line, product_id, "o", 2, 3_500_000, "USD")
        for line, product_id in enumerate(product_ids)
    )
    return Profile(first_seen=at, last_seen=at, purchases=tuple(lines))


def test_a_known_shopper_gets_a_personal_list_with_reasons(shop: Shop) -> None:
    """What was bought leads to what is like it; each product names a real event."""
    shop.list_products(*VECTORS)
    shop.know("u:ana", bought("mug"))
    answer = shop.recommend()
    assert answer.source == pb.SOURCE_PERSONAL
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_UNSPECIFIED
    assert answer.model_version == VERSION
    assert len(answer.attribution_token) >= 16
    first, second = answer.products[:2]
    assert {first.product_id, second.product_id} == {"mug", "cup"}
    cup = next(each for each in answer.products if each.product_id == "cup")
    assert (cup.reason.kind, cup.reason.product_id) == (pb.Reason.KIND_BOUGHT, "mug")
    assert cup.reason.sentence == "Because you bought The mug"
    assert cup.reason.occurred_at.seconds > 0
    assert (cup.title, list(cup.category_path), cup.merchant_id) == ("The cup", ["home"], "acme")
    assert shop.recommend().attribution_token != answer.attribution_token


def test_the_same_call_twice_gives_the_same_list(shop: Shop) -> None:
    """Nothing but the token differs between two answers."""
    shop.list_products(*VECTORS)
    shop.know("u:ana", bought("mug", "lamp"))
    one, two = shop.recommend(), shop.recommend()
    one.attribution_token = two.attribution_token = ""
    assert one == two


def test_an_unknown_shopper_gets_popular_products(shop: Shop) -> None:
    """Who was never seen is answered, from what many buy."""
    shop.list_products(*VECTORS)
    answer = shop.recommend("nobody")
    assert [each.product_id for each in answer.products] == POPULAR_FIRST
    assert answer.source == pb.SOURCE_POPULAR
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER
    assert answer.model_version == ""


def test_a_profile_without_anything_to_go_by_says_so(shop: Shop) -> None:
    """A profile of unknown products is EMPTY_PROFILE, not an error."""
    shop.list_products(*VECTORS)
    shop.know("u:ana", bought("never listed"))
    assert shop.recommend().fallback_cause == pb.FALLBACK_CAUSE_EMPTY_PROFILE


def test_trending_products_come_from_the_counts_in_redis(shop: Shop) -> None:
    """What the worker counted this hour is what an unknown shopper sees first."""
    shop.list_products(*VECTORS)
    hour = int(time.time() // 3600)
    shop.ask_redis(
        ("HSET", trend_redis_key(shop.name, 2, hour), "mug", 9),
        ("HSET", trend_redis_key(shop.name, 0, hour - 24), "cup", 10),
        ("SADD", trend_partitions_redis_key(shop.name), 0, 2),
    )
    eventually(lambda: shop.recommend("x").source == pb.SOURCE_TRENDING, within=SECONDS)
    answer = shop.recommend("x")
    assert [each.product_id for each in answer.products[:2]] == ["mug", "cup"]
    assert [each.score for each in answer.products[:2]] == [9.0, 5.0]
    assert answer.products[0].reason.kind == pb.Reason.KIND_TRENDING


def test_a_search_of_a_moment_ago_leads_the_list(shop: Shop) -> None:
    """Words that were searched for count at once, and are named."""
    shop.list_products(*VECTORS)
    search = Search(time.time_ns() // 1000, "s", 0, "rakes")
    shop.know("u:ana", Profile(first_seen=1, last_seen=1, searches=(search,)))
    answer = shop.recommend()
    assert answer.source == pb.SOURCE_PERSONAL
    assert answer.products[0].product_id == "rake"
    assert answer.products[0].reason.query == "rakes"
    assert len(answer.products) == len(VECTORS)


def test_stock_and_price_are_right_within_a_second(shop: Shop) -> None:
    """A product that sells out is gone within a second; with stock it comes back, priced."""
    shop.list_products(*VECTORS)
    shop.send("offers", "rake", shop.offer("rake", stock=0))
    eventually(lambda: "rake" not in shop.shown(), within=1.0)
    price = {"currencyCode": "USD", "units": "3", "nanos": 990000000}
    shop.send("offers", "rake", shop.offer("rake", stock=5, price=price))
    eventually(lambda: "rake" in shop.shown(), within=SECONDS)
    rake = shop.recommend("x").products[0]
    assert (rake.price.currency_code, rake.price.units, rake.price.nanos) == ("USD", 3, 990000000)
    shop.send("offers", "rake", shop.offer("rake", status="OFFER_STATUS_PAUSED"))
    eventually(lambda: "rake" not in shop.shown(), within=SECONDS)
    shop.send("offers", "rake", None)
    eventually(lambda: "rake" in shop.shown(), within=SECONDS)


def test_a_new_product_appears_and_a_removed_one_is_gone(shop: Shop) -> None:
    """Listing and removing take effect while serving, for JSON and binary records."""
    shop.list_products("mug")
    new = catalog_pb2.Product(
        shop_id=shop.name, product_id="novel", merchant_id="acme", title="A novel"
    )
    shop.send("catalog", "novel", new.SerializeToString(), binary=True)
    eventually(lambda: "novel" in shop.shown(), within=SECONDS)
    shop.send("catalog", "novel", None)
    eventually(lambda: "novel" not in shop.shown(), within=SECONDS)
    assert shop.shown() == ["mug"]


def test_records_that_break_a_rule_are_counted_and_change_nothing(
    shop: Shop, running: Running
) -> None:
    """A bad record is refused with a reason; what was known before stays."""
    shop.list_products("mug")
    refused = 'catalog_records_refused_total{reason="%s",topic="catalog"}'
    reasons = ("RECORD_NOT_JSON", "RECORD_INVALID", "RECORD_KEY_MISMATCH")
    before = {reason: running.service.metric(refused % reason) for reason in reasons}

    def risen(reason: str) -> bool:
        return running.service.metric(refused % reason) == before[reason] + 1

    shop.send("catalog", "mug", b"not json")
    shop.send("catalog", "mug", shop.product("mug", title=""))
    shop.send("catalog", "mug", shop.product("cup"))
    for reason in reasons:
        eventually(partial(risen, reason), within=SECONDS)
    assert [each.title for each in shop.recommend("x").products] == ["The mug"]


def test_similar_products_and_products_nobody_knows(shop: Shop) -> None:
    """Likeness goes by the model; a product the catalogue lacks is NOT_FOUND."""
    shop.list_products(*VECTORS)
    answer = shop.similar("mug")
    assert answer.products[0].product_id == "cup"
    assert "mug" not in [each.product_id for each in answer.products]
    assert (answer.source, answer.model_version) == (pb.SOURCE_SIMILAR, VERSION)
    assert answer.attribution_token
    code, reason, _ = refusal(lambda: shop.similar("nothing"))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "PRODUCT_UNKNOWN")


def test_excluded_and_unwanted_products_are_not_shown(shop: Shop) -> None:
    """What the caller excludes, and what the shopper does not want, is left out."""
    shop.list_products(*VECTORS)
    unwanted = (Touch(5, "n", 0, "cup"),)
    profile = bought("mug")
    shop.know(
        "u:ana",
        Profile(first_seen=1, last_seen=9, purchases=profile.purchases, not_interested=unwanted),
    )
    shown = shop.shown(exclude_product_ids=["lamp", "not in the catalogue"])
    assert sorted(shown) == ["bulb", "mug", "rake"]


def test_a_shop_without_products_gets_an_empty_list(shop: Shop) -> None:
    """No products is an answer, not an error."""
    answer = shop.recommend()
    assert list(answer.products) == []
    assert answer.attribution_token


def test_bad_requests_name_their_fields(shop: Shop) -> None:
    """Limits of the contract are told by field, with the index in a list."""
    code, reason, fields = refusal(lambda: shop.recommend(limit=101))
    assert (code, reason, fields) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        ["limit"],
    )
    _, _, fields = refusal(lambda: shop.recommend(exclude_product_ids=["a", ""]))
    assert fields == ["exclude_product_ids[1]"]
    _, _, fields = refusal(lambda: shop.recommend(""))
    assert fields == [""]


def test_a_call_without_a_key_is_refused(running: Running, shop: Shop) -> None:
    """Without a key nothing is answered; the shop of a key is the only one it opens."""
    stub = pb_grpc.RecommendationServiceStub(shop.channel)
    code, reason, _ = refusal(lambda: stub.Recommend(pb.RecommendRequest(user_id="a"), timeout=5))
    assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID")
    shop.list_products("mug")
    assert running.new_shop().shown() == []


def test_reflection_lists_the_services(shop: Shop) -> None:
    """A tool without our protos can find out what there is."""
    names = set(ProtoReflectionDescriptorDatabase(shop.channel).get_services())
    assert names >= {
        "attune.recommendations.v1.RecommendationService",
        "attune.profiles.v1.ProfileService",
        "grpc.health.v1.Health",
    }


def test_get_profile_merges_user_and_visitor_until_logout(shop: Shop) -> None:
    """A linked visitor's events are the user's; after a logout they are not."""
    shop.list_products("mug")
    views = (Touch(7_000_000, "v", 0, "lamp"),)
    shop.know("v:phone", Profile(first_seen=7_000_000, last_seen=7_000_000, views=views))
    purchases = bought("mug", at=5_000_000).purchases
    signed_in = (Link(6_000_000, "i", 0, "phone", True),)
    shop.know(
        "u:ana",
        Profile(first_seen=5_000_000, last_seen=6_000_000, purchases=purchases, links=signed_in),
    )
    for visitor in ("phone", ""):
        profile = shop.profile("ana", visitor)
        assert [each.product_id for each in profile.views] == ["lamp"]
        (purchase,) = profile.purchases
        assert (purchase.title, purchase.quantity) == ("The mug", 2)
        assert (purchase.unit_price.units, purchase.unit_price.nanos) == (3, 500_000_000)
        assert (profile.first_seen.seconds, profile.last_seen.seconds) == (5, 7)
    signed_out = (*signed_in, Link(8_000_000, "o", 0, "phone", False))
    shop.know(
        "u:bob",
        Profile(first_seen=5_000_000, last_seen=8_000_000, purchases=purchases, links=signed_out),
    )
    assert not shop.profile("bob", "phone").views
    code, reason, _ = refusal(lambda: shop.profile("nobody"))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "SHOPPER_UNKNOWN")


def test_answers_are_counted_by_source_and_cause(shop: Shop, running: Running) -> None:
    """Falling back is a counted answer."""
    name = 'recommendations_total{fallback_cause="UNKNOWN_SHOPPER",source="POPULAR"}'
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
    ],
)
def test_what_is_damaged_stops_the_start_with_one_sentence(
    tmp_path: Path, spoil: str, code: str, named: str
) -> None:
    """A damaged bundle or keys file, or a wrong setting, is said in a sentence with a code."""
    add_key(tmp_path / "keys.json", shop_id="demo", scopes=SCOPES)
    settings = settings_of(tmp_path, "127.0.0.1:1", "redis://127.0.0.1:1/0", "")
    if spoil == "unknown setting":
        settings["SPEED"] = "fast"
    elif spoil == "missing setting":
        del settings["KAFKA_SERVERS"]
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
