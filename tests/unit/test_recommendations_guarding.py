"""Guards that send a canary back, on servers that share a registry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.recommendations import guarding
from services.recommendations.adapters.model import Model
from services.recommendations.adapters.model_shelf import OnCanary, Shelved
from services.recommendations.domain.answer import Answer
from services.recommendations.domain.comparison import Compared, failure
from services.recommendations.domain.serving import Canary, Guards
from services.recommendations.domain.transitions import canary, promote, stop_canary
from services.recommendations.guarding import Guarding
from tests.model_shelf_parts import Parts
from tests.trial_models import (
    PEOPLE,
    TERMS,
    A,
    B,
    Clock,
    answer_of,
    answering_of,
    failing,
    until,
)


class Server:
    """One server's guards, on a registry that others share."""

    def __init__(self, parts: Parts, name: str) -> None:
        self.parts = parts
        self.clock = Clock()
        self.answering, asked = answering_of(parts.shelf, self.clock)
        self.guarding = Guarding(
            parts.registry,
            parts.shelf,
            outcomes=self.answering.outcomes,
            compared=asked.seen,
            process=name,
        )

    def serve(self, make: Callable[[Model], Answer]) -> None:
        """Each shopper calls once."""
        for who in PEOPLE:
            self.answering.made("demo", who, "home", make, make)


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Server]:
    """Two servers with a canary; the document says so, too."""
    monkeypatch.setattr(guarding, "EVERY_SECONDS", 0.01)
    guards = Guards(minimum=20)
    made = []
    for number in range(2):
        parts = Parts(tmp_path)
        parts.shelf.put("demo", Shelved(A, canary=OnCanary(B, TERMS), guards=guards))
        made.append(Server(parts, f"server-{number}"))
    parts = made[0].parts
    for version in ("a", "b"):
        parts.publish(parts.bundle(version))
    parts.change(partial(promote, version="a"))
    parts.change(partial(canary, version="b", share=0.2, guards=guards))
    return made


def canary_of(server: Server) -> Canary:
    found = server.parts.registry.serving("demo").canary
    assert found is not None
    return found


async def test_a_canary_that_fails_goes_back_by_itself(servers: list[Server]) -> None:
    """On both servers at once, and one change of the document, with the reason."""
    tasks = [asyncio.create_task(server.guarding.run()) for server in servers]
    with capture_logs() as logs:
        for server in servers:
            server.serve(failing)
        await until(lambda: canary_of(servers[0]).share == 0)
        await until(lambda: all(not each.parts.shelf.of("demo").canary for each in servers))
    for task in tasks:
        task.cancel()
    assert "100.0%" in canary_of(servers[0]).stopped
    newest, *_ = servers[0].parts.registry.history("demo")
    assert newest.what == "stop canary b"
    assert newest.who in ("server server-0", "server server-1")
    assert newest.serving.number == 5
    stops = [each for each in logs if each["event"] == "canary_stopped"]
    assert [each["guard"] for each in stops] == ["errors", "errors"]
    assert all(each.answering.of("demo", who) is A for each in servers for who in PEOPLE)


async def test_a_canary_that_is_slow_goes_back_by_itself(servers: list[Server]) -> None:
    """Where its slowest answers take longer than the ratio allows."""
    server = servers[0]
    task = asyncio.create_task(server.guarding.run())

    def slow(model: Model) -> Answer:
        server.clock.now += 0.001 if model is A else 0.004
        return answer_of(model)

    server.serve(slow)
    await until(lambda: canary_of(server).share == 0)
    task.cancel()
    assert "99 % of" in canary_of(server).stopped


async def test_a_good_canary_stays(servers: list[Server]) -> None:
    """Many looks later, too; what the guards see can be read."""
    task = asyncio.create_task(servers[0].guarding.run())
    servers[0].serve(answer_of)
    labels = {"shop_id": "demo", "guard": "errors", "role": "canary"}
    for _ in range(20):
        servers[0].guarding.look("demo")
    task.cancel()
    assert canary_of(servers[0]).share == 0.2
    assert REGISTRY.get_sample_value("canary_guard_value", labels) == 0


async def test_a_canary_goes_back_while_the_store_is_away(servers: list[Server]) -> None:
    """Here at once; the document follows when it can be changed."""
    server = servers[0]
    server.parts.storage.is_away = True
    task = asyncio.create_task(server.guarding.run())
    server.serve(failing)
    await until(lambda: server.parts.shelf.of("demo").canary is None)
    assert server.parts.shelf.is_stopped("demo", "b", 10**9)
    server.parts.storage.is_away = False
    await until(lambda: canary_of(server).share == 0)
    await until(lambda: not server.parts.shelf.is_stopped("demo", "b", 10**9))
    task.cancel()


async def test_a_stop_by_hand_before_the_guards(servers: list[Server]) -> None:
    """The guard that comes second changes nothing, and its reason does not replace the first."""
    servers[0].parts.change(partial(stop_canary, why="by hand"))
    task = asyncio.create_task(servers[0].guarding.run())
    servers[0].serve(failing)
    await until(lambda: servers[0].parts.shelf.of("demo").canary is None)
    await until(lambda: not servers[0].parts.shelf.is_stopped("demo", "b", 10**9))
    task.cancel()
    assert canary_of(servers[0]).stopped == "by hand"


async def test_what_was_compared_is_kept(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the registry, once for each server, as often as there is more of it."""
    monkeypatch.setattr(guarding, "NOTES_EVERY", 1)
    written: list[bytes] = []
    registry, looks = servers[0].parts.registry, 0
    keep = registry.keep_note

    def counted(shop_id: str, pair: str, process: str, content: bytes) -> None:
        written.append(content)
        keep(shop_id, pair, process, content)

    def seen(_: str) -> Compared:
        nonlocal looks
        looks += 1
        return Compared(served="a", shadow="b", scenarios={"s": failure()} if looks > 5 else {})

    monkeypatch.setattr(registry, "keep_note", counted)
    guards = Guarding(
        registry,
        servers[0].parts.shelf,
        outcomes=lambda _: None,
        compared=seen,
        process="one",
    )
    task = asyncio.create_task(guards.run())
    await until(lambda: looks > 10)
    task.cancel()
    assert len(written) == 2
    assert list(registry.notes("demo", "b@a")) == written[1:]
