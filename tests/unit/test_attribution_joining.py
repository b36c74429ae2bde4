"""Lists joined with what shoppers did: by hand, and against the plain oracle."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.shared.attribution_rule import Attribution
from services.shared.logged_answer import LoggedAnswer
from tests.attribution_parts import (
    Record,
    World,
    answer,
    at,
    cancel,
    cart,
    click,
    impression,
    of_visitor,
    oracle,
    purchase,
)
from tests.profile_events import NOON, Event

PRODUCTS = ["mug", "lamp", "pen", "cup"]
EVERY = Attribution(credit="every")


def came_to(*records: Record) -> dict[str, int]:
    """What one shopper's records come to, over all rows of all lists."""
    world = World()
    world.take(records)
    world.deliver()
    total: dict[str, int] = {}
    for row, measures in world.figures.items():
        if not row.names[-1]:
            total |= {name: total.get(name, 0) + by for name, by in measures.items()}
    return total


def test_a_list_and_what_followed() -> None:
    """Answers, products shown, seen and clicked, carts and purchases with their value."""
    assert came_to(
        answer("t"),
        impression(1, "t", "mug", "lamp", at=at(1)),
        click(2, "t", at=at(2)),
        cart(3, at=at(3)),
        purchase(4, "mug", "hat", price=7, at=at(4)),
    ) == {
        "answers": 1,
        "shown": 3,
        "impressions": 2,
        "clicks": 1,
        "carts": 1,
        "purchases": 1,
        "value EUR": 7_000_000,
    }


def test_what_comes_again_changes_nothing() -> None:
    """Products are seen and clicked once in a list, and an event with the same id counts once."""
    once: list[Record] = [
        answer("t"),
        click(1, "t"),
        cart(2, at=at(1)),
        purchase(3, "mug", at=at(2)),
    ]
    assert came_to(*once, *once, click(9, "t", at=at(5))) == came_to(*once)


def test_a_click_read_before_its_list() -> None:
    """It waits for the list, also over a batch."""
    world = World()
    world.take([click(1, "t", at=at(1)), purchase(2, "mug", at=at(2))])
    assert world.figures == {}
    world.take([answer("t")])
    assert world.figures == oracle([answer("t")], [click(1, "t"), purchase(2, "mug", at=at(2))])


@pytest.mark.parametrize(
    ("after", "happened", "counts"),
    [
        ("click", [], 0),
        ("click", [impression(1, "t", "mug")], 0),
        ("click", [click(1, "t")], 1),
        ("click", [click(1, "t", at=at(99))], 0),
        ("click", [click(1, "t"), click(3, "t", at=at(99))], 1),
        ("click", [click(3, "t", at=at(99)), click(1, "t")], 1),
        ("click", [cart(1, attributionToken="t")], 1),
        ("impression", [], 0),
        ("impression", [impression(1, "t", "lamp")], 0),
        ("impression", [impression(1, "t", "mug")], 1),
        ("impression", [click(1, "t")], 1),
        ("answer", [], 1),
    ],
)
def test_what_must_have_happened_before(after: Any, happened: list[Event], counts: int) -> None:
    """Chosen, seen or only listed, as the rule asks, and before the purchase."""
    made = answer("t", rule=Attribution(after=after))
    found = came_to(made, *happened, purchase(2, "mug", at=at(10)))
    assert found.get("purchases", 0) == counts


@pytest.mark.parametrize(("hours", "counts"), [(1, 0), (2, 1)])
def test_the_window(hours: int, counts: int) -> None:
    """A purchase counts up to the end of the list's window, and not after it."""
    made = answer("t", rule=Attribution(window_hours=hours))
    bought = purchase(2, "mug", at=NOON + timedelta(hours=2))
    assert came_to(made, click(1, "t"), bought).get("purchases", 0) == counts


@pytest.mark.parametrize(("credit", "lists"), [("last", "c"), ("first", "a"), ("every", "abc")])
def test_which_list_has_the_credit(credit: Any, lists: str) -> None:
    """Of three lists from which it was chosen: the newest, the oldest, or each."""
    world = World()
    for place, name in enumerate("abc"):
        rule = Attribution(credit=credit)
        world.take([answer(name, at=at(place), scenario=name, rule=rule)])
        world.take([click(name, name, at=at(10 + place))])
    world.take([purchase(1, "mug", at=at(20))])
    having = "".join(sorted(str(r.names[0]) for r, m in world.figures.items() if "purchases" in m))
    assert having == lists


def test_a_purchase_that_names_its_list() -> None:
    """It is that list's alone, for the products that the list has; others go by the rule."""
    world = World()
    world.take([answer("a", ["mug"], scenario="a"), answer("b", at=at(1), scenario="b")])
    world.take([click(1, "b", at=at(2)), click(2, "b", "pen", at=at(2))])
    world.take([purchase(3, "mug", "pen", attributionToken="a", at=at(3))])
    bought = {str(row.names[0]): found["purchases"] for row, found in world.figures.items()}
    assert bought == {"a": 1, "b": 1}


def test_what_was_taken_back() -> None:
    """A cancelled order is no purchase, in whatever order the two are read; so is a line."""
    bought: list[Record] = [answer("t"), click(1, "t"), purchase(2, "mug", "lamp", at=at(2))]
    assert "purchases" not in came_to(*bought, cancel(3, 2, at=at(3)))
    assert "purchases" not in came_to(bought[0], cancel(3, 2, at=at(3)), *bought[1:])
    line = {"orderId": "o2", "lines": [{"productId": "lamp", "quantity": 1}]}
    some = {**cancel(3, 2, at=at(3)), "cancel": line}
    assert came_to(*bought, some)["purchases"] == 1


def test_one_piece_of_two_lines_that_was_taken_back() -> None:
    """An order may name a product twice; what is taken back is taken off once."""
    back = {"orderId": "o2", "lines": [{"productId": "mug", "quantity": 1}]}
    some = {**cancel(3, 2, at=at(3)), "cancel": back}
    bought: list[Record] = [answer("t"), click(1, "t"), purchase(2, "mug", "mug", at=at(2)), some]
    assert came_to(*bought)["purchases"] == 1


def test_arms_have_rows_of_their_own() -> None:
    """An answer counts in the row of all lists, and in one for each arm it was made in."""
    world = World()
    world.take([answer("t", arms=(("calm", "b"), ("price", "control")))])
    assert {row.names[4:]: found["answers"] for row, found in world.figures.items()} == {
        ("", ""): 1,
        ("calm", "b"): 1,
        ("price", "control"): 1,
    }


def test_who_signs_in_to_pay() -> None:
    """A list that was shown to the visitor has the credit for what the user buys on that device."""
    world = World()
    world.take([answer("t", user="", visitor="v1"), of_visitor(click(1, "t"), "v1")])
    world.take([purchase(2, "mug", visitorId="v1", at=at(5))])
    assert sum(found.get("purchases", 0) for found in world.figures.values()) == 0
    world.deliver()
    assert sum(found.get("purchases", 0) for found in world.figures.values()) == 1


def test_who_has_a_list_as_a_user_as_well() -> None:
    """Then that one has the credit alone, also where it is read after the purchase was told on."""
    shown: list[Record] = [answer("v", user="", visitor="v1"), of_visitor(click(1, "v"), "v1")]
    late: list[Record] = [answer("u", at=at(1), scenario="cart"), click(3, "u", at=at(2))]
    bought = purchase(2, "mug", visitorId="v1", at=at(5))
    world = World()
    world.take([*shown, bought])
    world.deliver()
    world.take(late)
    world.deliver()
    having = {row.names[0]: found.get("purchases") for row, found in world.figures.items()}
    assert having == {"home": None, "cart": 1}


def test_ids_of_a_user_and_a_visitor() -> None:
    """Each names events of its own: the same id of both is two purchases."""
    world = World()
    world.take([answer("t", user="", visitor="v1"), of_visitor(click(1, "t"), "v1")])
    bought = purchase(2, "mug", visitorId="v1", at=at(5))
    world.take([bought, of_visitor(bought, "v1")])
    world.deliver()
    assert sum(found.get("purchases", 0) for found in world.figures.values()) == 2


_moments = st.integers(0, 60).map(lambda n: at(120 * n))
_rules = st.builds(
    Attribution,
    window_hours=st.sampled_from([1, 24]),
    credit=st.sampled_from(["last", "first", "every"]),
    after=st.sampled_from(["click", "impression", "answer"]),
)
_who = st.sampled_from([("ana", ""), ("ana", "v1"), ("", "v1"), ("bob", "v1"), ("", "v2")])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[LoggedAnswer], list[Event]]:
    """A few lists, and events that may follow from them."""
    answers = []
    for number in range(draw(st.integers(1, 4))):
        user, visitor = draw(_who)
        answers.append(
            answer(
                f"t{number}",
                draw(st.lists(st.sampled_from(PRODUCTS), unique=True, max_size=4)),
                at=draw(_moments) + timedelta(milliseconds=number),
                user=user,
                visitor=visitor,
                rule=draw(_rules),
                scenario=draw(st.sampled_from(["home", "cart"])),
                arms=draw(st.sampled_from([(), (("calm", "b"),)])),
            )
        )
    events = []
    for number in range(draw(st.integers(0, 12))):
        user, visitor = draw(_who)
        token, product = f"t{draw(st.integers(0, 4))}", draw(st.sampled_from(PRODUCTS))
        named: dict[str, Any] = {"attributionToken": token} if draw(st.booleans()) else {}
        more: dict[str, Any] = {"at": draw(_moments), "user": user, "visitorId": visitor}
        made = {
            "seen": impression(number, token, product, "mug", **more),
            "click": click(number, token, product, **more),
            "cart": cart(number, product, **more, **named),
            "buy": purchase(number, product, "hat", **more, **named),
            "back": cancel(number, draw(st.integers(0, 12)), **more),
        }
        events.append(made[draw(st.sampled_from(sorted(made)))])
    return answers, events


@settings(max_examples=150)
@given(histories(), st.randoms(use_true_random=False))
def test_any_order_any_split_and_repetition(
    history: tuple[list[LoggedAnswer], list[Event]], chance: random.Random
) -> None:
    """Figures are the oracle's, in whatever order records and letters come, and how often."""
    answers, events = history
    records: list[Record] = [*answers, *events]
    records += chance.choices(records, k=len(records) // 2)
    chance.shuffle(records)
    world = World()
    while records:
        size = chance.randint(1, 5)
        world.take(records[:size])
        records = records[size:]
        if chance.random() < 0.5:
            world.deliver()
    world.deliver()
    assert world.figures == oracle(answers, events)
