"""When a profile is believed to know an event."""

from __future__ import annotations

import pytest

from services.shared.folded import Folded, read_folded, servers_text

ONE, OTHER, NEW = "a" * 40, "b" * 40, "c" * 40
KNOWN = Folded(10, 20, frozenset({ONE, OTHER}))


@pytest.mark.parametrize(
    ("offset", "servers", "is_known"),
    [
        (10, {ONE}, True),
        (19, {ONE, OTHER}, True),
        (20, {ONE}, False),  # not folded yet
        (9, {ONE}, False),  # folded into a Redis that is gone, perhaps
        (15, {NEW}, False),  # which may have lost it
        (15, {ONE, NEW}, False),
    ],
)
def test_which_events_are_known(offset: int, servers: set[str], is_known: bool) -> None:
    """Those of the span, in profiles that lie where the span says that they were written."""
    assert KNOWN.has(offset, frozenset(servers)) is is_known


def test_what_is_told_is_what_is_read() -> None:
    """The value in Redis says the same again; the same servers in another order are the same."""
    assert servers_text([OTHER, ONE]) == servers_text([ONE, OTHER])
    assert read_folded(f"10 20 {servers_text(KNOWN.servers)}".encode()) == KNOWN
    assert read_folded(None) is None


def test_a_redis_that_does_not_tell_its_id() -> None:
    """Nobody could see that it has lost something: nothing is believed of it."""
    nameless = read_folded(f"10 20 {servers_text([''])}".encode())
    assert nameless is not None
    assert not nameless.has(15, frozenset({""}))
