"""The chart's pods as they really run: the image, on a node, between a real Kafka and Redis.

Slow, and root's business, so only where it is asked for: ``ATTUNE_TEST_IMAGES`` names a folder
for images (kept for the next time). Needs Debian's buildah, podman, crun and debootstrap, and
``../shared/tools``.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from aiokafka import AIOKafkaProducer

from deploy.local.demo.records import event_record
from deploy.local.demo.storefront import Storefront
from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.services import master_key
from deploy.local.topics import create_topics
from services.shared.identity import add_key
from services.shared.subject import product_key
from tests.chart import CHART, ROOT, TOOLS, Cluster, Manifest, control_plane
from tests.tiny_bundle import make_bundle
from tests.waiting import eventually

SHOP = "corner-shop"
VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "rake": (0.0, 1.0)}
POPULARITY = {"rake": 50, "cup": 20, "mug": 10}
IMAGE = "localhost/attune-test"
SPACE = ("--namespace", "default")


@pytest.fixture(scope="module")
def store() -> Path:
    """A store that holds the image, built from the checkout as it is, with a tiny model."""
    if not (folder := os.environ.get("ATTUNE_TEST_IMAGES")):
        pytest.skip("ATTUNE_TEST_IMAGES names no folder for images (root, podman; minutes)")
    tool, store = TOOLS / "images/images", Path(folder).absolute()
    if not tool.exists():
        pytest.skip("what builds images is missing: ../shared/tools/images")
    if not (store / "rootfs").exists():
        subprocess.run([tool, "base", store], check=True, timeout=300)
    model = make_bundle(ROOT / "build/tests/tiny-model", VECTORS, popularity=POPULARITY)
    arguments = {"BASE": "localhost/python-base", "MODEL": str(model.relative_to(ROOT))}
    told = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    file = ROOT / "deploy/images/Containerfile"
    build = [str(tool), "build", str(store), f"{IMAGE}:1", str(ROOT), f"--file={file}", *told]
    subprocess.run(build, check=True, timeout=300)
    return store


class Stack:
    """A shop whose worker and server run as pods, and all that they need on their node."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        number = (cluster.folder / "bridge").read_text().strip().removeprefix("kn")
        host = f"10.{number}.0.1"  # where pods see their node
        self.cluster = cluster
        self.kafka = EmbeddedKafka(folder / "kafka", host=host)
        self.redis = EmbeddedRedis(folder / "redis", host=host)
        self._folder = folder

    def start(self) -> None:
        """Servers, topics, Secrets and the chart; returns when all pods are ready."""
        self.kafka.start()
        self.redis.start()
        asyncio.run(create_topics(self.kafka.servers))
        scopes = ["recommendations.read", "profiles.read"]
        key = add_key(self._folder / "keys.json", shop_id=SHOP, scopes=scopes)
        (self._folder / "key").write_text(key)
        self._secret("redis", f"--from-literal=url={self.redis.url}")
        self._secret("keys", f"--from-file=keys.json={self._folder / 'keys.json'}")
        self._secret("master-key", f"--from-file=master-key={master_key(self._folder)}")
        values = {
            "image": {"repository": IMAGE, "tag": "1"},
            "kafka": {"servers": self.kafka.servers},
            "redis": {"secret": "redis"},
            "apiKeys": {"secret": "keys"},
            "masterKey": {"secret": "master-key"},
            "recommendations": {"replicas": {"min": 1, "max": 1}},
            "events": {"replicas": {"min": 1, "max": 1}},
        }
        command = ["install", "attune", str(CHART), *SPACE, "--wait", "--values", "-"]
        self.cluster.do(self.cluster.helm, *command, stdin=yaml.safe_dump(values))

    def _secret(self, name: str, content: str) -> None:
        self.cluster.do(self.cluster.kubectl, "create", "secret", "generic", name, content, *SPACE)

    def stop(self) -> None:
        """Everything outside the cluster."""
        self.kafka.kill()
        self.redis.kill()

    def pods(self, component: str) -> dict[str, dict[str, Any]]:
        """The status of each pod's one container, with the pod's address and id, by its name."""
        return {
            pod["metadata"]["name"]: self._status(pod)
            for pod in self.cluster.get("default", "pods")
            if pod["metadata"]["labels"]["app.kubernetes.io/component"] == component
        }

    def _status(self, pod: Manifest) -> dict[str, Any]:
        [container] = pod["status"].get("containerStatuses") or [{}]
        about = {"address": pod["status"].get("podIP"), "uid": pod["metadata"]["uid"]}
        return {"ready": False, "restartCount": 0, **container, **about}

    def log(self, pod: str, component: str) -> str:
        """All that a pod's container has printed."""
        return (self.cluster.folder / f"logs/default_{pod}_{component}.log").read_text()

    def storefront(self) -> Storefront:
        """A client of the one server."""
        [server] = self.pods("recommendations").values()
        return Storefront(f"{server['address']}:50051", self._folder / "key")

    def knows(self, user_id: str) -> bool:
        """Whether what the user did has reached the profile."""
        storefront = self.storefront()
        try:
            return bool(storefront.profile(user_id).views)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            return False
        finally:
            storefront.close()

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Send one record and wait until the broker has it."""

        async def send() -> None:
            servers = self.kafka.servers
            async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
                await producer.send_and_wait(topic, value, key=key)

        asyncio.run(send())

    def view(self, user_id: str, product_id: str) -> None:
        """A user looks at a product now."""
        at = time.time_ns() // 1000
        action: dict[str, object] = {"view": {"productId": product_id}}
        self.send("shopper-events", *event_record(SHOP, user_id, f"e-{at}", at=at, action=action))


@pytest.fixture(scope="module")
def stack(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # podman takes no folder whose path is longer than 50 characters.
    with (
        tempfile.TemporaryDirectory(prefix="kube", ignore_cleanup_errors=True) as folder,
        control_plane(Path(folder), images=store) as cluster,
    ):
        stack = Stack(cluster, tmp_path_factory.mktemp("pods"))
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()


@pytest.mark.timeout(600)
def test_an_event_changes_a_recommendation_between_pods(stack: Stack) -> None:
    """The pods are ready, unprivileged as they are, and do together what they are there for."""
    for product_id in VECTORS:
        value = {"shopId": SHOP, "productId": product_id, "merchantId": "acme", "title": product_id}
        stack.send("catalog", product_key(SHOP, product_id), json.dumps(value).encode())
    storefront = stack.storefront()

    def shown(user_id: str) -> list[str]:
        return [product.product_id for product in storefront.recommend(user_id).products]

    eventually(lambda: len(shown("ana")) == len(VECTORS), within=30)
    assert shown("ana")[0] == "rake"
    stack.view("ana", "mug")
    eventually(lambda: "cup" in shown("ana")[:1], within=20)
    storefront.close()


@pytest.mark.timeout(600)
def test_an_outage_of_redis_takes_workers_out_and_restarts_none(stack: Stack) -> None:
    """Without Redis workers are not ready; with it they are again, in the same containers."""

    def ready() -> set[bool]:
        return {status["ready"] for status in stack.pods("profiles").values()}

    stack.redis.stop()
    eventually(lambda: ready() == {False}, within=60)
    stack.view("bob", "rake")
    stack.redis.start()
    eventually(lambda: ready() == {True}, within=60)
    restarts = [status["restartCount"] for status in stack.pods("profiles").values()]
    assert restarts == [0, 0]
    eventually(lambda: stack.knows("bob"), within=20)


@pytest.mark.timeout(600)
def test_a_worker_that_is_deleted_ends_well_and_comes_back(stack: Stack) -> None:
    """SIGTERM ends a worker before its time is over, and the pod of the same name works on."""
    name, before = sorted(stack.pods("profiles").items())[0]
    stack.cluster.do(stack.cluster.kubectl, "delete", "pod", name, *SPACE)
    assert '"event": "stopped"' in stack.log(name, "profiles")

    def back() -> bool:
        after = stack.pods("profiles").get(name, before)
        return bool(after["uid"] != before["uid"] and after["ready"])

    eventually(back, within=60)
    users = ("cleo", "dan", "eve", "finn")  # more than one partition's
    for user in users:
        stack.view(user, "cup")
    eventually(lambda: all(map(stack.knows, users)), within=30)
