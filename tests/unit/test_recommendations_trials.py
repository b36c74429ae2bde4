"""Models on trial: the canary's shoppers, the shadow's questions, and guards that send back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.recommendations import guarding, shadowing
from services.recommendations.adapters.model import Model, NoModel
from services.recommendations.adapters.model_shelf import InShadow, ModelShelf, OnCanary, Shelved
from services.recommendations.answering import Answering
from services.recommendations.domain.answer import Answer, Cause, Pick, Source
from services.recommendations.domain.comparison import Compared, failure
from services.recommendations.domain.reasons import POPULAR
from services.recommendations.domain.serving import Canary, Guards, Role, Shadow, is_canarys
from services.recommendations.domain.transitions import canary, promote, stop_canary
from services.recommendations.guarding import Guarding
from services.recommendations.shadowing import QUEUE, Question, Shadowing
from tests.model_shelf_parts import SECONDS, Parts
from tests.waiting import eventually_async


class Named(NoModel):
    """A model that is only asked for its name."""

    def __init__(self, version: str) -> None:
        super().__init__()
        self.version = version


A, B = Named("a"), Named("b")
TERMS = Canary(version="b", share=0.2)
PEOPLE = [f"u:{number}" for number in range(500)]


def answer_of(model: Model) -> Answer:
    """A list that tells whose it is."""
    picks = [Pick(row, 1.0 / row, POPULAR) for row in (1, 2, 3, 4 if model is A else 5)]
    return Answer(picks, Source.PERSONAL, Cause.UNSPECIFIED, by_model=True)


def failing(model: Model) -> Answer:
    if model is B:
        raise RuntimeError("broken")
    return answer_of(model)


def shelf_of(
    *, served: Model = A, canary: OnCanary | None = None, shadow: InShadow | None = None
) -> ModelShelf:
    shelf = ModelShelf(("demo",))
    shelf.put("demo", Shelved(served, canary, shadow))
    return shelf


class Clock:
    """Seconds, as told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def answering_of(shelf: ModelShelf, clock: Clock | None = None) -> tuple[Answering, Shadowing]:
    asked = Shadowing(shelf)
    return Answering(shelf, asked, random=Random(1), clock=clock or Clock()), asked


def test_the_canary_answers_its_shoppers() -> None:
    """Those that the hash gives it, each time, and nobody without a name."""
    answering, _ = answering_of(shelf_of(canary=OnCanary(B, TERMS)))
    for who in PEOPLE:
        expected = B if is_canarys(TERMS, "demo", who) else A
        assert answering.of("demo", who) is expected
        assert answering.made("demo", who, "home", answer_of, answer_of).model is expected
    assert answering.of("demo") is A
    sides = answering.outcomes("demo")
    assert sides is not None
    assert sides.canary.answers == sum(is_canarys(TERMS, "demo", who) for who in PEOPLE)
    assert sides.canary.answers + sides.served.answers == len(PEOPLE)


def test_a_canary_that_fails_costs_no_answer() -> None:
    """The served model answers instead; the failures are the canary's, and nobody else's."""
    answering, _ = answering_of(shelf_of(canary=OnCanary(B, TERMS)))
    assert all(answering.made("demo", who, "home", failing, failing).model is A for who in PEOPLE)
    sides = answering.outcomes("demo")
    assert sides is not None
    assert sides.canary.errors == sides.canary.answers > 50
    assert sides.served.errors == 0


def test_a_served_model_that_fails_is_not_hidden() -> None:
    """Its error is the call's, and counts beside the canary's."""
    answering, _ = answering_of(shelf_of(served=B, canary=OnCanary(A, TERMS)))
    unlucky = next(who for who in PEOPLE if not is_canarys(TERMS, "demo", who))
    with pytest.raises(RuntimeError):
        answering.made("demo", unlucky, "home", failing, failing)
    sides = answering.outcomes("demo")
    assert sides is not None
    assert sides.served.errors == 1


def test_another_canary_begins_anew() -> None:
    """What was seen of the last one is not held against it; a share that grows keeps it."""
    shelf = shelf_of(canary=OnCanary(B, TERMS))
    answering, _ = answering_of(shelf)

    def answers() -> int:
        sides = answering.outcomes("demo")
        return 0 if sides is None else sides.canary.answers + sides.served.answers

    for who in PEOPLE:
        answering.made("demo", who, "home", answer_of, answer_of)
    more = OnCanary(B, Canary(version="b", share=0.4))
    shelf.put("demo", Shelved(A, canary=more))
    assert answers() == len(PEOPLE)
    other = OnCanary(Named("c"), Canary(version="c", share=0.4))
    shelf.put("demo", Shelved(A, canary=other))
    assert answers() == 0
    shelf.put("demo", Shelved(A))
    assert answering.outcomes("demo") is None


async def until(condition: Callable[[], bool]) -> None:
    async def so() -> bool:
        return condition()

    await eventually_async(so, within=SECONDS)


async def test_the_shadow_is_compared_and_never_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are answered by the served model; some are asked of the shadow, by scenario."""
    monkeypatch.setattr(shadowing, "BUSY_SECONDS", SECONDS)
    terms = Shadow(version="b", sample=0.5)
    answering, asked = answering_of(shelf_of(shadow=InShadow(B, terms)))
    task = asyncio.create_task(asked.run())
    before = outcome("dropped")
    for number, who in enumerate(PEOPLE):
        scenario = ("home", "cart")[number % 2]
        made = answering.made("demo", who, scenario, answer_of, answer_of)
        assert made.model is A
    dropped = int(outcome("dropped") - before)
    assert 200 - QUEUE < dropped < 300 - QUEUE
    await until(lambda: seen_answers(asked) == QUEUE)
    task.cancel()
    seen = asked.seen("demo")
    assert seen is not None
    assert (seen.served, seen.shadow) == ("a", "b")
    assert set(seen.scenarios) == {"home", "cart"}
    for tally in seen.scenarios.values():
        assert tally.compared == tally.answers
        assert tally.overlap == pytest.approx(0.75 * tally.compared)


def seen_answers(asked: Shadowing) -> int:
    seen = asked.seen("demo")
    return 0 if seen is None else sum(tally.answers for tally in seen.scenarios.values())


def outcome(name: str) -> float:
    labels = {"shop_id": "demo", "outcome": name}
    return REGISTRY.get_sample_value("shadow_answers_total", labels) or 0.0


async def test_the_shadow_drops_what_is_too_much() -> None:
    """The queue is short; asking takes no time, whether anybody answers or not."""
    asked = Shadowing(shelf_of(shadow=InShadow(B, Shadow(version="b", sample=1.0))))
    before = outcome("dropped")
    for _ in range(QUEUE + 50):
        asked.ask(Question("demo", "home", answer_of, answer_of(A), 0.001))
    assert outcome("dropped") == before + 50


async def test_a_shadow_that_fails_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the figures, and nowhere else; the next question is answered."""
    monkeypatch.setattr(shadowing, "BUSY_SECONDS", SECONDS)
    asked = Shadowing(shelf_of(shadow=InShadow(B, Shadow(version="b", sample=1.0))))
    task = asyncio.create_task(asked.run())
    asked.ask(Question("demo", "home", failing, answer_of(A), 0.001))
    asked.ask(Question("demo", "home", answer_of, answer_of(A), 0.001))
    await until(lambda: seen_answers(asked) == 2)
    task.cancel()
    seen = asked.seen("demo")
    assert seen is not None
    assert (seen.scenarios["home"].failed, seen.scenarios["home"].compared) == (1, 1)


async def test_scenarios_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever invents names makes no metrics of them."""
    monkeypatch.setattr(shadowing, "BUSY_SECONDS", SECONDS)
    monkeypatch.setattr(shadowing, "SCENARIOS", 3)
    asked = Shadowing(shelf_of(shadow=InShadow(B, Shadow(version="b", sample=1.0))))
    task = asyncio.create_task(asked.run())
    for number in range(10):
        asked.ask(Question("demo", f"s{number}", answer_of, answer_of(A), 0.0))
    await until(lambda: seen_answers(asked) == 10)
    task.cancel()
    seen = asked.seen("demo")
    assert seen is not None
    assert set(seen.scenarios) == {"s0", "s1", "s2", "other"}


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


def test_roles_without_a_model_have_no_version() -> None:
    """What is on the shelf is told by role."""
    shelved = Shelved(A, canary=OnCanary(B, TERMS))
    assert shelved.versions() == {Role.SERVED: "a", Role.CANARY: "b"}
    assert Shelved().versions() == {}
