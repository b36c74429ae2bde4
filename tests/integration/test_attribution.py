"""Attribution on a real Kafka and Redis: lists that were logged, and what followed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from deploy.local.redis import EmbeddedRedis
from services.recommendations.adapters.stopped_arms import StoppedArms
from services.recommendations.domain.policies import Policies
from services.recommendations.domain.scenario_document import read_scenarios
from services.shared.personal_data import Person
from services.shared.redis_connection import RedisConnection
from services.shared.redis_persons import RedisPersons
from services.shared.trail_persons import TrailPersons
from tests.attribution_kafka import Installation
from tests.attribution_parts import (
    Record,
    answer,
    cart,
    click,
    impression,
    of_visitor,
    oracle,
    purchase,
)
from tests.stack import started
from tests.waiting import eventually
from tests.worker_kafka import now

SECOND = timedelta(seconds=1)


@pytest.fixture
def installed(
    kafka_servers: str, topic_prefix: str, own_redis: EmbeddedRedis, tmp_path: Path
) -> Installation:
    """Topics and a Redis of the test's own."""
    return Installation(kafka_servers, topic_prefix, own_redis.url, tmp_path)


def test_from_an_answer_to_the_figures(installed: Installation) -> None:
    """A list, seen, chosen from and bought from: also by who signed in to pay, and by nobody."""
    at = now() - 60 * SECOND
    answers = [
        answer("t", at=at, arms=(("calm", "b"),)),
        answer("v", at=at, user="", visitor="v1"),
        answer("n", at=at, user="", method="SimilarProducts"),
    ]
    events = [
        impression(1, "t", "mug", "lamp", at=at + SECOND),
        click(2, "t", at=at + 2 * SECOND),
        cart(3, at=at + 3 * SECOND),
        purchase(4, "mug", "hat", at=at + 4 * SECOND),
        of_visitor(click(1, "v", at=at + SECOND), "v1"),
        purchase(5, "mug", user="ben", visitorId="v1", at=at + 9 * SECOND),
    ]
    expected = oracle(answers, events)
    with installed.running() as service:
        installed.send([*events[:2], *answers, *events[2:]])
        eventually(lambda: installed.figures() == expected, within=60)
        again: list[Record] = [*events, *answers[:2]]
        installed.send(again)
        sent = len(events) + len(answers) + len(again)
        eventually(lambda: service.metric("attribution_records_total") == sent, within=30)
        assert service.stop() == 0
    assert installed.figures() == expected


def test_who_is_forgotten_while_it_runs(installed: Installation) -> None:
    """What was shown before is known no more; what comes after counts."""
    ana = Person("demo", "u:ana")

    async def forget() -> None:
        redis = RedisConnection(installed.redis_url)
        for store in (RedisPersons(redis), TrailPersons(redis, installed.master)):
            await store.erase(ana)
        assert not await TrailPersons(redis, installed.master).find(ana)
        await redis.close()

    def total(name: str) -> int:
        return sum(found.get(name, 0) for found in installed.figures().values())

    with installed.running():
        installed.send([answer("t", at=now() - SECOND), click(1, "t", at=now() - SECOND)])
        eventually(lambda: total("clicks") == 1, within=60)
        asyncio.run(forget())
        installed.send([answer("t2", at=now()), click(2, "t", "lamp", at=now())])
        installed.send([click(3, "t2", at=now())])
        eventually(lambda: total("clicks") == 2, within=60)
    assert total("answers") == 2


EXPERIMENT = """
scenarios: {home: {}}
layers:
  - {name: lists, salt: lists-1}
experiments:
  - name: calm
    layer: lists
    salt: calm-1
    traffic: [0, 10000]
    arms: [{name: usual, share: 0.5}, {name: calm, share: 0.5}]
    hypothesis: Fewer products sell more.
    metric: {outcome: spend, currency: EUR, cap: 100}
    window_days: 7
    planned_shoppers: 100
    guards: [{harm: fallback, margin: 0.01}]
"""


def test_an_experiment(installed: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    """From its file and what shoppers were answered and bought to the report."""
    folder = installed.folder / "shops"
    folder.mkdir()
    (folder / "demo.yaml").write_text(EXPERIMENT)
    since = now() - timedelta(days=9)
    answers, events = [], []
    for number in range(6):
        who, arm = f"u{number}", ("usual", "calm")[number % 2]
        cause = 2 if number == 1 else 0
        arms, token = (("calm", arm),), f"t{number}"
        answers.append(answer(token, at=since, user=who, arms=arms, fallback_cause=cause))
        if number < 4:
            bought = since + timedelta(days=1)
            events.append(purchase(1, "hat", price=(12, 15)[number % 2], user=who, at=bought))
    told = {"EXPERIMENTS": str(folder), "EVENT_AGE_LIMIT_SECONDS": "99999999", "LOOK_SECONDS": "1"}
    with installed.running(**told) as service:
        installed.send(events)  # at first: windows of so long ago close as soon as they open
        eventually(lambda: service.metric("attribution_records_total") == 4, within=60)
        installed.send(answers)
        report = installed.folder / "reports/calm.json"
        written = ("report", "--shop", "demo", "--experiment", "calm", "--to", str(report.parent))

        def counted() -> list[tuple[str, int, int, float]]:
            assert installed.command(*written, EXPERIMENTS=str(folder)) == 0
            made = msgspec.json.decode(report.read_bytes())
            figures = [made["control"], *(each["figures"] for each in made["arms"])]
            return [(f["arm"], f["exposed"], f["shoppers"], f["mean"]) for f in figures]

        expected = [("usual", 3, 3, 8.0), ("calm", 3, 3, 10.0)]
        eventually(lambda: counted() == expected, within=60)
    assert "calm: continue" in capsys.readouterr().out
    assert "Fewer products sell more." in report.with_suffix(".html").read_text()
    guard = msgspec.json.decode(report.read_bytes())["arms"][0]["guards"][0]
    assert (guard["share"], guard["control_share"]) == (1 / 3, 0.0)


def test_a_guard_stops_an_arm_and_raises_an_alarm(installed: Installation) -> None:
    """By itself: nobody asks for a report. The servers find the arm in Redis."""
    folder = installed.folder / "shops"
    folder.mkdir()
    (folder / "demo.yaml").write_text(EXPERIMENT)
    arms = [("usual", 0)] * 40 + [("calm", 2)] * 40
    answers = [
        answer(f"t{n}", at=now(), user=f"u{n}", arms=(("calm", arm),), fallback_cause=cause)
        for n, (arm, cause) in enumerate(arms)
    ]
    policies = Policies()
    policies.put({"demo": read_scenarios("version: 1" + EXPERIMENT.replace("home: {}", SERVED))})

    def served() -> set[str]:
        return {policies.of("demo", "home", f"demo/u:{n}").served for n in range(99)}

    async def hear() -> None:
        redis = RedisConnection(installed.redis_url)
        await StoppedArms(redis, policies, shops=lambda: ["demo"]).look()
        await redis.close()

    with installed.running(EXPERIMENTS=str(folder), LOOK_SECONDS="1") as service:
        installed.send(answers)
        alarm = 'experiment_alarms{experiment="calm",kind="fallback",shop="demo"}'
        eventually(lambda: service.metric(alarm) == 1, within=60)
        assert served() == {"home", "home-calm"}
        asyncio.run(hear())
    assert served() == {"home"}
    assert service.log_path.read_text().count('"arm_stopped"') == 1


SERVED = "home: {arms: {calm: {calm: home-calm}}}, home-calm: {}"


def test_a_click_is_in_the_figures_soon(installed: Installation) -> None:
    """Within 30 seconds after Kafka has it, each of several one after another."""

    def is_so(clicks: int) -> bool:
        return sum(found.get("clicks", 0) for found in installed.figures().values()) == clicks

    with installed.running() as service:
        installed.send([answer("t", at=now())])
        eventually(lambda: service.metric("attribution_records_total") == 1, within=60)
        for number, product in enumerate(("mug", "lamp", "pen"), start=1):
            installed.send([click(number, "t", product, at=now())])
            eventually(partial(is_so, number), within=30)


def test_the_table_of_figures(installed: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    """By scenario, method, source and model, or by arm; for people and for programs."""
    at = now() - SECOND
    with installed.running():
        installed.send([answer("t", at=at, arms=(("calm", "b"),)), answer("s", at=at, source=4)])
        installed.send([impression(1, "t", "mug", "pen", at=at), click(2, "t", at=at)])
        installed.send([purchase(3, "mug", price=1234, at=now())])
        eventually(lambda: "purchases" in str(installed.figures()), within=60)
    capsys.readouterr()
    assert installed.command("figures", "--shop", "demo") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["scenario", "method", "source", "model", "answers", "shown", "impressions", "clicks",
         "carts", "purchases", "clicked", "value"],
        ["home", "Recommend", "personal", "m1", "1", "3", "2", "1", "0", "1", "50.0%",
         "1,234.00", "EUR"],
        ["home", "Recommend", "popular", "m1", "1", "3", "0", "0", "0", "0", "-", "-"],
    ]  # fmt: skip
    assert installed.command("figures", "--shop", "demo", "--arms", "--json") == 0
    (row,) = map(msgspec.json.decode, capsys.readouterr().out.splitlines())
    assert (row["experiment"], row["arm"], row["value"]) == ("calm", "b", {"EUR": 1234.0})


def test_commands_that_cannot_work(
    installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, and a status that says whose it is to mend."""
    asked = ("report", "--shop", "demo", "--experiment", "calm")
    assert installed.command(*asked) == 2
    assert "shop demo has no experiment calm; it has none" in capsys.readouterr().err
    assert installed.command(*asked, EXPERIMENTS="/nowhere") == 2
    assert "/nowhere, is not there" in capsys.readouterr().err
    assert installed.command("figures", "--shop", "demo", REDIS_URL="redis://127.0.0.1:1") == 1
    assert "run it again" in capsys.readouterr().err


def test_topics_of_different_sizes(installed: Installation) -> None:
    """It does not start: half of the answers would lie where their shopper's events do not."""
    asyncio.run(more_partitions(installed.servers, installed.prefix + "shopper-events", 6))
    service = installed.service()
    with started(service):
        assert service.process.wait(60) == 2
    assert "recommendation-log has 4 partitions" in service.log_path.read_text()


async def more_partitions(servers: str, topic: str, count: int) -> None:
    """Give a topic so many."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(count)})
    await admin.close()
