"""What some shoppers of a shop were shown and did within an hour, made by seed."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import NamedTuple

from services.shared.attribution_rule import Attribution
from services.shared.logged_answer import LoggedAnswer
from tests.attribution_parts import (
    Figures,
    Record,
    answer,
    cart,
    click,
    impression,
    oracle,
    purchase,
)
from tests.profile_events import Event

PRODUCTS = ("mug", "lamp", "pen", "cup", "hat", "cap")
RULES = (
    Attribution(),
    Attribution(after="impression", credit="first"),
    Attribution(after="answer", window_hours=1),
)


class History(NamedTuple):
    """All of it, in no order."""

    answers: list[LoggedAnswer]
    events: list[Event]

    @property
    def figures(self) -> Figures:
        """What the oracle makes of it."""
        return oracle(self.answers, self.events)

    def shuffled(self, chance: random.Random) -> list[Record]:
        """As it reaches Kafka at worst: in any order, some of it twice."""
        records: list[Record] = [*self.answers, *self.events]
        records += chance.choices(records, k=len(records) // 4)
        chance.shuffle(records)
        return records


def history(seed: int, *, since: datetime, shoppers: int, part: str = "") -> History:
    """Each shopper is a visitor who signs in on the way; ``part`` makes names its own."""
    chance = random.Random(seed)
    made = History([], [])
    for number in range(shoppers):
        _shop(made, chance, f"{part}{number}", since + timedelta(minutes=chance.random() * 10))
    return made


def _shop(made: History, chance: random.Random, name: str, at: datetime) -> None:
    visitor, user = {"user": "", "visitor": f"v{name}"}, {"user": f"u{name}", "visitor": ""}
    for step in range(chance.randint(2, 5)):
        who = visitor if step < 2 else user
        at += timedelta(milliseconds=1_000 * chance.randint(1, 90) + step)
        token = f"{name}-{step}"
        listed = chance.sample(PRODUCTS, 3)
        arms = (("calm", chance.choice("ab")),) if step % 2 else ()
        made.answers.append(
            answer(token, listed, at=at, rule=chance.choice(RULES), arms=arms, **who)
        )
        actor = {"user": who["user"], "visitorId": who["visitor"]}
        _follow(made, chance, token, listed, at, actor)
    bought = chance.sample(PRODUCTS, 2)
    paid_at = at + timedelta(minutes=3)
    made.events.append(
        purchase(f"{name}-p", *bought, user=f"u{name}", visitorId=f"v{name}", at=paid_at)
    )


def _follow(
    made: History,
    chance: random.Random,
    token: str,
    listed: list[str],
    at: datetime,
    actor: dict[str, str],
) -> None:
    seconds = timedelta(seconds=1)
    made.events.append(impression(f"{token}-i", token, *listed[:2], at=at + seconds, **actor))
    for place, product in enumerate(listed):
        if chance.random() < 0.4:
            moment = at + (2 + place) * seconds
            made.events.append(click(f"{token}-{place}", token, product, at=moment, **actor))
        if chance.random() < 0.2:
            moment = at + (5 + place) * seconds
            made.events.append(cart(f"{token}-{place}c", product, at=moment, **actor))
