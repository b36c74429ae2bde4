"""Models on trial: the canary's shoppers, and the shadow's questions."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from services.recommendations import shadowing
from services.recommendations.adapters.model_shelf import InShadow, OnCanary, Shelved
from services.recommendations.domain.serving import Canary, Role, Shadow, is_canarys
from services.recommendations.shadowing import QUEUE, Question, Shadowing
from tests.model_shelf_parts import SECONDS
from tests.trial_models import (
    PEOPLE,
    TERMS,
    A,
    B,
    Named,
    answer_of,
    answering_of,
    failing,
    shelf_of,
    until,
)


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


def test_roles_without_a_model_have_no_version() -> None:
    """What is on the shelf is told by role."""
    shelved = Shelved(A, canary=OnCanary(B, TERMS))
    assert shelved.versions() == {Role.SERVED: "a", Role.CANARY: "b"}
    assert Shelved().versions() == {}
