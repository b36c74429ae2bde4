"""What a trail lets go of, when, and that this changes no figure."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from services.attribution.domain.credit import settled
from services.attribution.domain.facts import answer_facts
from services.attribution.domain.joining import ACTS, EXPOSURES, LINES, LISTS, expires_at, pruned
from services.shared.attribution_rule import Attribution
from services.shared.logged_answer import LoggedAnswer
from services.shared.trail import Act, Exposure, Line, Trail, TrailUnreadable, read_trail
from tests.attribution_parts import (
    LATER,
    SHOP,
    Record,
    World,
    answer,
    cancel,
    cart,
    click,
    impression,
    micros,
    oracle,
    purchase,
    read,
)
from tests.profile_events import NOON

DAY = timedelta(days=1)


def sent(one: Record) -> int:
    """When it happened."""
    return one.answered_at if isinstance(one, LoggedAnswer) else read(one).at


def trail_of(world: World) -> Trail:
    return world.trails["u:ana"]


def grown(world: World, name: str) -> int:
    return sum(found.get(name, 0) for row, found in world.figures.items() if not row.names[-1])


@pytest.mark.parametrize(("days", "kept"), [(13.9, 1), (14.1, 0)])
def test_a_list_outlives_its_window_by_a_week(days: float, kept: int) -> None:
    """So long a purchase of its last moment may still come to be known."""
    world = World()
    world.take([answer("old"), answer("new", at=NOON + days * DAY, user="ana")])
    assert len(trail_of(world).shown) == kept + 1
    assert grown(world, "answers") == 2


def test_a_touch_waits_for_two_days() -> None:
    """For a list that has not come; then it is let go, and the list counts without it."""
    for days, clicks in ((1.9, 1), (2.1, 0)):
        world = World()
        world.take([click(1, "t")])
        world.take([impression(2, "other", "mug", at=NOON + days * DAY)])
        world.take([answer("t")])
        assert grown(world, "clicks") == clicks


def test_purchases_are_remembered_by_their_sums() -> None:
    """A week old one can be credited no more: what is left are sums, with what had credit."""
    world = World()
    world.take([answer("t"), click(1, "t"), purchase(2, "mug", "hat", price=5)])
    world.take([answer("late", at=NOON + 8 * DAY)])
    (act,) = trail_of(world).acts
    assert (act.lines, act.spent, act.credited) == ((), {"EUR": 10_000_000}, {"EUR": 5_000_000})
    world.take([purchase(2, "mug", "hat", price=5)])
    world.take([cancel(3, 2, at=NOON + 8 * DAY)])
    assert (grown(world, "purchases"), grown(world, "value EUR")) == (1, 5_000_000)
    assert trail_of(world).acts == (act,)


def test_what_another_trail_has_the_credit_for() -> None:
    """It was credited: an experiment of the visitor's counts it among what lists have sold."""
    lines = (Line("mug", 1, 7, "EUR", is_credited=True), Line("hat", 1, 5, "EUR"))
    done = settled(Trail(SHOP), Act(1, 1, "purchase", lines=lines))
    assert done is not None
    assert (done.spent, done.credited) == ({"EUR": 12}, {"EUR": 7})


def test_an_order_that_was_taken_back_is_not_remembered() -> None:
    """Neither is a cart after a week."""
    world = World()
    world.take([purchase(1, "mug"), cancel(2, 1), cart(3)])
    world.take([answer("late", at=NOON + 8 * DAY)])
    assert (trail_of(world).acts, trail_of(world).cancels) == ((), ())


def test_what_comes_too_late() -> None:
    """A purchase of more than a week before the newest thing known counts nothing."""
    world = World()
    world.take([answer("t"), click(1, "t")])
    world.take([answer("new", at=NOON + 6 * DAY)])
    world.take([purchase(2, "mug", at=NOON + timedelta(hours=1))])
    assert grown(world, "purchases") == 1
    world.take([answer("newer", at=NOON + 8 * DAY)])
    world.take([purchase(3, "mug", at=NOON + timedelta(hours=1))])
    assert grown(world, "purchases") == 1


@pytest.mark.parametrize("chunk", [1, 7, 1_000])
def test_figures_do_not_hang_on_when_a_trail_is_pruned(chunk: int) -> None:
    """Weeks of lists, clicks and orders come to the same in batches of any size."""
    answers, events = [], []
    for day in range(40):
        moment = NOON + day * DAY
        rule = Attribution(window_hours=48, credit="first" if day % 2 else "last")
        answers.append(answer(f"t{day}", at=moment, rule=rule))
        events.append(click(f"c{day}", f"t{day}", at=moment))
        events.append(purchase(f"p{day}", "mug", "hat", at=moment + DAY))
        if day % 5 == 0:
            events.append(cancel(f"x{day}", f"p{day}", at=moment + 2 * DAY))
    records: list[Record] = [*answers, *events]
    records.sort(key=sent)
    world = World()
    for start in range(0, len(records), chunk):
        world.take(records[start : start + chunk])
    assert world.figures == oracle(answers, events)
    assert len(trail_of(world).shown) < 12


def test_programs_do_not_fill_a_trail() -> None:
    """Of lists, acts, lines and experiments only so many stay, the newest."""
    shown = [answer_facts(answer(f"t{n}", at=NOON + n * timedelta(seconds=1)), LATER)[0]
             for n in range(LISTS + 5)]  # fmt: skip
    acts = [Act(n, n, "cart", lines=(Line("mug", 1),)) for n in range(1, ACTS + 5)]
    exposures = [Exposure(f"e{n:03}", "a", 0, 0, False, n) for n in range(EXPOSURES + 5)]
    trail = Trail(SHOP, 0, tuple(shown), (), tuple(acts), (), tuple(exposures))
    kept = pruned(trail)
    assert kept.shown == trail.shown[5:]
    assert kept.acts == trail.acts[4:]
    assert kept.exposures == trail.exposures[5:]
    large = Act(9, 9, "purchase", lines=(Line("mug", 1),) * LINES)
    small = Act(8, 8, "purchase", lines=(Line("mug", 1),))
    assert pruned(replace(trail, acts=(small, large))).acts == (large,)


def test_a_trail_expires_with_what_is_longest_in_it() -> None:
    """A list by its window and a week, a purchase after 92 days."""
    world = World()
    world.take([answer("t", rule=Attribution(window_hours=24))])
    assert expires_at(trail_of(world)) == micros(NOON + 8 * DAY)
    world.take([purchase(1, "mug")])
    assert expires_at(trail_of(world)) == micros(NOON + 92 * DAY)


@pytest.mark.parametrize("value", [b"", b"\x02abc", b"\x01", b"\x01abcdefgh"])
def test_bytes_that_are_no_trail(value: bytes) -> None:
    """They are refused, not taken for an empty one."""
    with pytest.raises(TrailUnreadable):
        read_trail(value)
