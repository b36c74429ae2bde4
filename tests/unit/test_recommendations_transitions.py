"""How the document that says which bundle answers may change."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recommendations.domain.serving import (
    NOTHING,
    Canary,
    Guards,
    Published,
    Role,
    Serving,
    Shadow,
    bucket_of,
    is_canarys,
)
from services.recommendations.domain.transitions import (
    PUBLISHED,
    canary,
    promote,
    publish,
    rollback,
    shadow,
    stop_canary,
    stop_shadow,
)
from services.shared.errors import ServingRefused


def bundle(version: str, digit: str = "0") -> Published:
    return Published(version=version, manifest_sha256=digit * 64)


def having(*versions: str, served: str | None = None) -> Serving:
    """A document with these published, and one promoted."""
    serving = NOTHING
    for version in versions:
        serving = publish(serving, bundle(version))
    return serving if served is None else promote(serving, served)


def test_the_usual_way_of_a_bundle() -> None:
    """Published, in the shadow, canary, promoted; and back by one step."""
    serving = having("a", "b", served="a")
    serving = shadow(serving, "b", 0.5)
    assert serving.roles() == {Role.SERVED: "a", Role.SHADOW: "b"}
    serving = canary(serving, "b", 0.05)
    assert serving.roles() == {Role.SERVED: "a", Role.CANARY: "b"}
    serving = promote(serving)
    assert serving.roles() == {Role.SERVED: "b"}
    assert serving.former == "a"
    assert serving.number == 6
    serving = rollback(serving, "worse")
    assert (serving.served, serving.former, serving.withdrawn) == ("a", None, "b")


def test_a_rollback_that_is_repeated_goes_back_once() -> None:
    """The second one has nothing to do: it must not bring back what the first took away."""
    once = rollback(promote(having("a", "b", served="a"), "b"), "worse")
    assert rollback(once, "worse") is once
    again = promote(once, "b")
    assert rollback(again, "still worse").served == "a"


def test_a_rollback_ends_the_canary() -> None:
    """Whoever goes back wants no experiment beside it; the reason stands in the document."""
    serving = canary(promote(having("a", "b", "c", served="a"), "b"), "c", 0.1)
    assert rollback(serving, "worse").canary == Canary(version="c", share=0, stopped="worse")


def test_a_canary_that_a_guard_stops() -> None:
    """Its share is 0 and says why; who stops it second, or another one, has nothing to do."""
    serving = canary(having("a", "b", "c", served="a"), "b", 0.1)
    stopped = stop_canary(serving, "too slow", "b")
    assert stopped.canary == Canary(version="b", share=0, stopped="too slow")
    assert Role.CANARY not in stopped.roles()
    assert stop_canary(stopped, "too slow, too", "b") is stopped
    assert stop_canary(canary(stopped, "c", 0.1), "late news of b", "b").roles()[Role.CANARY] == "c"
    assert canary(stopped, "b", 0.1).roles()[Role.CANARY] == "b"


def test_stopping_by_hand() -> None:
    """Canary and shadow end one by one; where there is none, nothing changes."""
    serving = shadow(canary(having("a", "b", "c", served="a"), "b", 0.1), "c", 1.0)
    assert stop_canary(serving, "enough").roles() == {Role.SERVED: "a", Role.SHADOW: "c"}
    assert stop_shadow(serving).roles() == {Role.SERVED: "a", Role.CANARY: "b"}
    quiet = stop_shadow(stop_canary(serving, "enough"))
    assert stop_shadow(quiet) is quiet
    assert stop_canary(quiet, "enough") is quiet


Refused = Callable[[], Serving]


@pytest.mark.parametrize(
    ("refused", "sentence"),
    [
        (lambda: shadow(having("a"), "b", 0.1), "no bundle is published as b"),
        (lambda: shadow(having("a", served="a"), "a", 0.1), "a is served to everybody already"),
        (lambda: shadow(having("a"), "a", 0.0), "sample 0: a shadow needs one above 0"),
        (lambda: shadow(canary(having("a", "b", served="a"), "b", 0.1), "b", 0.1), "stop it first"),
        (lambda: canary(having("a"), "a", 0.1), "nothing is served that a canary could"),
        (lambda: canary(having("a", served="a"), "a", 0.1), "a is served to everybody already"),
        (lambda: canary(having("a", "b", served="a"), "b", 0.6), "share 0.6: .* at most 0.5"),
        (lambda: canary(having("a", "b", served="a"), "b", 0.0), "share 0: "),
        (lambda: promote(having("a", "b")), "there is no canary to promote"),
        (lambda: promote(having("a", served="a")), "there is no canary to promote"),
        (lambda: promote(having("a"), "b"), "no bundle is published as b"),
        (lambda: rollback(having("a", served="a"), "why"), "no former bundle to go back to"),
        (lambda: publish(having("a"), bundle("a", "1")), "another bundle is published as a"),
    ],
)
def test_what_may_not_be_is_refused_with_a_sentence(refused: Refused, sentence: str) -> None:
    """The sentence says what is in the way."""
    with pytest.raises(ServingRefused, match=sentence):
        refused()


def test_the_same_again_is_nothing_new() -> None:
    """A transition that is repeated answers the document itself."""
    serving = shadow(canary(having("a", "b", "c", served="a"), "b", 0.1), "c", 0.5)
    assert publish(serving, bundle("b")) is serving
    assert promote(serving, "a") is serving
    assert canary(serving, "b", 0.1) is serving
    assert shadow(serving, "c", 0.5) is serving
    assert canary(serving, "b", 0.2).number == serving.number + 1


def test_guards_stay_until_others_are_told() -> None:
    """A share that grows keeps the guards that were told before."""
    serving = canary(having("a", "b", served="a"), "b", 0.01, Guards(minimum=50))
    assert canary(serving, "b", 0.1).guards == Guards(minimum=50)


def test_the_oldest_without_a_role_is_forgotten() -> None:
    """A document stays small, and still names all that is in use or to go back to."""
    serving = promote(having("first", "second", served="first"), "second")
    for number in range(PUBLISHED + 10):
        serving = publish(serving, bundle(f"v{number}"))
    assert len(serving.published) == PUBLISHED
    assert serving.of("first")
    assert serving.of("second")
    assert not serving.of("v0")
    assert serving.of(f"v{PUBLISHED + 9}")


VERSIONS = st.sampled_from(["a", "b", "c", "d"])
SHARES = st.sampled_from([0.01, 0.25, 0.5])
TRANSITIONS = st.one_of(
    st.builds(lambda v: lambda s: publish(s, bundle(v)), VERSIONS),
    st.builds(lambda v, x: lambda s: shadow(s, v, x), VERSIONS, SHARES),
    st.builds(lambda v, x: lambda s: canary(s, v, x), VERSIONS, SHARES),
    st.builds(lambda v: lambda s: promote(s, v), VERSIONS),
    st.just(promote),
    st.just(lambda s: rollback(s, "why")),
    st.just(lambda s: stop_canary(s, "why")),
    st.just(stop_shadow),
)


@given(st.lists(TRANSITIONS, max_size=30))
def test_any_sequence_of_changes(changes: list[Callable[[Serving], Serving]]) -> None:
    """Each counts one or changes nothing, no bundle has two roles, and all named are published.

    Whoever does it twice does it once, and the document survives being written.
    """
    serving = NOTHING
    for change in changes:
        try:
            after = change(serving)
        except ServingRefused:
            continue
        assert (
            after == serving
            if after.number == serving.number
            else (after.number == serving.number + 1)
        )
        named = [*after.roles().values(), *([after.former] if after.former else [])]
        assert all(after.of(version) for version in named)
        assert len(set(after.roles().values())) == len(after.roles())
        assert after.former != after.served or after.served is None
        if change is not promote:
            assert change(after) == after
        assert msgspec.json.decode(msgspec.json.encode(after), type=Serving) == after
        serving = after


def test_shoppers_of_a_canary_stay_its_own() -> None:
    """The share is kept, a greater one takes further shoppers and lets go of none."""
    people = [f"u:{number}" for number in range(20_000)]
    taken: list[set[str]] = []
    for share in (0.02, 0.1, 0.5):
        terms = Canary(version="b", share=share)
        chosen = {who for who in people if is_canarys(terms, "demo", who)}
        assert abs(len(chosen) / len(people) - share) < 0.01
        assert not taken or taken[-1] <= chosen
        taken.append(chosen)
    other = Canary(version="c", share=0.1)
    both = {who for who in taken[1] if is_canarys(other, "demo", who)}
    assert abs(len(both) / len(taken[1]) - 0.1) < 0.03


def test_buckets_never_change() -> None:
    """A release that put shoppers into others would exchange all canaries' shoppers."""
    assert [bucket_of("b", f"demo/u:{name}") for name in ("ana", "ben", "cy")] == GOLDEN


GOLDEN = [1189, 5324, 7503]


def test_a_document_that_no_release_wrote_is_refused() -> None:
    """A version is a name of a folder, never a way out of it."""
    for version in ("../b", "", "a/b", ".hidden", "x" * 129):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"version": version, "sample": 0.1}, Shadow)


def test_a_shops_first_bundle_needs_no_name() -> None:
    """There is nothing else that could be meant."""
    assert promote(having("a")).served == "a"
