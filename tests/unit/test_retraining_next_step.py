"""How the trial of a retrained bundle goes on, and when it must not."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.recommendations.domain.comparison import Tally
from services.recommendations.domain.guards import Clicks
from services.recommendations.domain.next_step import RETRAINING, Counted, Seen, Terms, open_trial
from services.recommendations.domain.serving import Canary, Guards, Role, Shadow
from services.recommendations.domain.transitions import (
    Transition,
    canary,
    promote,
    rollback,
    shadow,
    stop_canary,
    stop_shadow,
)
from services.shared.errors import ServingRefused
from tests.trial_parts import Shop, tally

TERMS = Terms(shadow_hours=10, compared=500, canary_hours=20, patience_hours=100, share=0.05)
FINE = Seen(tally(1_000), Counted(Clicks(5_000, 260), Clicks(90_000, 4_500), 1_000))


@pytest.fixture
def shop() -> Shop:
    """``a`` is served, and retraining has brought ``b`` into its shadow."""
    shop = Shop()
    shop.publish("a")
    shop.change("ana", partial(promote, version="a"))
    assert shop.enter("b", "a") == "shadow"
    return shop


def to_canary(shop: Shop) -> None:
    shop.later(10)
    assert shop.advance(FINE, TERMS)
    assert shop.serving.roles()[Role.CANARY] == "b"


def test_the_way_of_a_good_bundle(shop: Shop) -> None:
    """Shadow, canary with its share, all shoppers: each once its time is over, with reasons."""
    shop.later(9.9)
    assert not shop.advance(FINE, TERMS)
    shop.later(0.1)
    assert shop.advance(FINE, TERMS)
    assert shop.serving.canary == Canary(version="b", share=0.05)
    assert shop.changes[0].why == "in the shadow for 10.0 h, 1000 answers compared"
    shop.later(19.9)
    assert not shop.advance(FINE, TERMS)
    shop.later(0.1)
    assert shop.advance(FINE, TERMS)
    assert (shop.serving.served, shop.serving.former) == ("b", "a")
    assert shop.changes[0].why == "canary for 20.0 h, 1000 answers counted, no guard fell"
    assert {change.who for change in shop.changes[:3]} == {RETRAINING}
    assert not shop.advance(FINE, TERMS)


@pytest.mark.parametrize(
    ("compared", "why"),
    [
        (tally(1_000, failed=60), "6.0% of 1000 answers failed in the shadow"),
        (tally(1_000, differing=150), "of 15.0% of 1000 answers only one of the two was personal"),
        (tally(1_000, shadow_ms=4.0), "99 % of 1000 answers took 4"),
        (tally(1_000, overlap=0.05), "5.0% of the ten first products are the served bundle's, too"),
    ],
)
def test_what_ends_a_shadow(shop: Shop, compared: Tally, why: str) -> None:
    """At once, before anybody sees an answer of it; the history says why."""
    shop.later(1)
    assert shop.advance(Seen(compared), TERMS)
    assert shop.serving.shadow is None
    assert shop.serving.served == "a"
    assert why in shop.changes[0].why


@pytest.mark.parametrize(
    "compared",
    [tally(100, failed=100), tally(1_000, failed=14), tally(1_000, shadow_ms=2.8)],
    ids=["few answers", "a few that failed", "a little slower"],
)
def test_what_chance_may_have_done_ends_nothing(shop: Shop, compared: Tally) -> None:
    """Too few answers, or no more than the guards of the document allow."""
    assert not shop.advance(Seen(compared), TERMS)


def test_too_few_answers_are_waited_for_and_not_for_ever(shop: Shop) -> None:
    """In the shadow and as canary alike; then the trial ends, and the next one may begin."""
    shop.later(99)
    few = Seen(tally(499), Counted(Clicks(1_000, 50), Clicks(9_000, 450), 199))
    assert not shop.advance(few, TERMS)
    assert shop.look(few, TERMS).why.endswith("499 answers compared; 500 are asked for")
    shop.advance(FINE, TERMS)
    shop.later(99)
    assert not shop.advance(few, TERMS)
    shop.later(1)
    assert shop.advance(few, TERMS)
    assert shop.serving.canary is not None
    assert shop.serving.canary.stopped.endswith("and 100 h are over")
    assert shop.enter("c", "a") == "shadow"


def test_a_canary_that_is_clicked_too_seldom_goes_back(shop: Shop) -> None:
    """By the guard of clicks, also after its time is over; where nobody counts, time decides."""
    to_canary(shop)
    shop.later(30)
    seldom = Seen(counted=Counted(Clicks(20_000, 500), Clicks(90_000, 4_500), 2_000))
    assert shop.advance(seldom, TERMS)
    assert shop.serving.canary is not None
    assert shop.serving.canary.stopped == "2.50% of 20000 were clicked, of others' 5.00%"
    assert shop.serving.served == "a"


def test_without_counts_time_and_the_servers_guards_decide(shop: Shop) -> None:
    """For shops without attribution."""
    to_canary(shop)
    shop.later(20)
    assert shop.advance(Seen(), TERMS)
    assert shop.serving.served == "b"


def test_what_a_guard_has_stopped_is_over(shop: Shop) -> None:
    """It is not promoted, and no later round tries the same bundle again."""
    to_canary(shop)
    shop.change("server 1", partial(stop_canary, why="too slow", version="b"))
    shop.later(50)
    assert not shop.advance(FINE, TERMS)
    assert shop.enter("b", "a") == "nothing new"
    assert shop.enter("c", "a") == "shadow"


@pytest.mark.parametrize(
    "act",
    [
        partial(shadow, version="b", sample=0.5),
        partial(canary, version="b", share=0.2),
        partial(canary, version="b", share=0.05, guards=Guards(minimum=50)),
        partial(stop_shadow),
    ],
    ids=["sample", "canary", "guards", "stop"],
)
def test_a_trial_that_a_person_changed_is_theirs(shop: Shop, act: partial[object]) -> None:
    """However long it takes, whatever is seen, the document stays as the person has left it."""
    assert shop.change("ben", act)  # type: ignore[arg-type]  # partial of a transition
    before = shop.serving
    for _ in range(3):
        shop.later(200)
        assert not shop.advance(Seen(tally(1_000, failed=900)), TERMS)
    assert shop.serving == before
    assert shop.enter("c", "a") == ("shadow" if act.func is stop_shadow else "waiting")


def test_guards_that_a_person_changes_make_a_canary_theirs(shop: Shop) -> None:
    """Although its share is the same."""
    to_canary(shop)
    shop.change("ben", partial(canary, version="b", share=0.05, guards=Guards(minimum=50)))
    shop.later(50)
    assert shop.look(FINE, TERMS).why == "the trial of b is led by ben"


def test_another_served_bundle_ends_the_trial(shop: Shop) -> None:
    """What it was held to and compared with is gone; a person's promotion is not overrun."""
    shop.publish("z")
    shop.change("ben", partial(promote, version="z"))
    assert shop.advance(FINE, TERMS)
    assert (shop.serving.served, shop.serving.shadow) == ("z", None)
    assert shop.changes[0].why == "z is served now, and it was held to a"


def test_a_rollback_is_final_for_the_bundle(shop: Shop) -> None:
    """What a person has taken away does not come back by a later round."""
    to_canary(shop)
    shop.later(20)
    shop.advance(FINE, TERMS)
    shop.change("ben", partial(rollback, why="complaints"))
    assert shop.enter("b", "a") == "nothing new"
    assert shop.serving.served == "a"


def test_what_else_a_round_may_meet_at_its_end(shop: Shop) -> None:
    """Another trial goes first, another served bundle asks the gate again, none asks a person."""
    assert shop.enter("c", "a") == "waiting"
    shop.change("ben", stop_shadow)
    assert shop.enter("c", "other") == "gate again"
    assert shop.enter("a", "a") == "nothing new"
    fresh = Shop()
    assert fresh.enter("a", None) == "published"
    assert fresh.serving.served is None


def test_a_person_s_shadow_beside_a_canary_is_no_matter(shop: Shop) -> None:
    """The canary goes on, and the shadow stays."""
    to_canary(shop)
    shop.publish("z")
    shop.change("ben", partial(shadow, version="z", sample=0.2))
    shop.later(20)
    assert shop.advance(FINE, TERMS)
    assert shop.serving.served == "b"
    assert shop.serving.shadow == Shadow(version="z", sample=0.2)


PERSONS = ("shadow", "canary", "promote", "rollback", "stop canary", "stop shadow")
ACTS = st.one_of(
    st.tuples(st.just("advance"), st.sampled_from(["fine", "bad", "nothing"])),
    st.tuples(st.just("enter"), st.sampled_from("bcd")),
    st.tuples(st.just("guard"), st.just("")),
    st.tuples(st.just("later"), st.sampled_from(["1", "10", "25", "120"])),
    st.tuples(st.sampled_from(PERSONS), st.sampled_from("abcd")),
)
SEEN = {
    "fine": FINE,
    "nothing": Seen(),
    "bad": Seen(tally(1_000, failed=500), Counted(Clicks(9_000, 9), Clicks(9_000, 900), 900)),
}


def person(shop: Shop, act: str, version: str) -> None:
    transitions: dict[str, Transition] = {
        "shadow": partial(shadow, version=version, sample=0.2),
        "canary": partial(canary, version=version, share=0.1),
        "promote": partial(promote, version=version),
        "rollback": partial(rollback, why="ben"),
        "stop canary": partial(stop_canary, why="ben"),
        "stop shadow": stop_shadow,
    }
    try:
        shop.change("ben", transitions[act])
    except ServingRefused:
        return


@settings(max_examples=400, deadline=None)
@given(st.lists(ACTS, max_size=40))
def test_whatever_happens_in_whatever_order(acts: list[tuple[str, str]]) -> None:
    """Nothing stopped, taken away or a person's is promoted by retraining, and nothing twice."""
    shop = Shop()
    shop.publish("a", "b", "c", "d")
    shop.change("ana", partial(promote, version="a"))
    for act, told in acts:
        before, changes = shop.serving, list(shop.changes)
        if act == "later":
            shop.later(float(told))
        elif act == "enter":
            shop.enter(told, before.served)
            assert before.served == shop.serving.served
            assert before.canary == shop.serving.canary
        elif act == "guard":
            shop.change("server 1", partial(stop_canary, why="too slow"))
        elif act != "advance":
            person(shop, act, told)
        elif shop.advance(SEEN[told], TERMS):
            trial = open_trial(changes)
            assert trial is not None
            assert trial.lead == RETRAINING
            assert not shop.advance(SEEN[told], TERMS), "one step at a time"
            if shop.serving.served != before.served:
                promoted = shop.serving.served
                assert before.canary is not None
                assert promoted is not None
                assert (before.canary.version, before.served) == (promoted, trial.against)
                assert shop.now - trial.since >= 20 * 3_600_000_000
                assert told != "bad"
                assert not any(
                    change.serving.canary == Canary(version=promoted, share=0, stopped=why)
                    for change in changes
                    for why in ("too slow", "ben")
                )
                assert promoted not in {change.serving.served for change in changes}
