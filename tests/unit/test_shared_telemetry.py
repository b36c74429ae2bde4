"""What libraries say is passed on, but not the same thing many times a second."""

from __future__ import annotations

import logging

from services.shared.telemetry import REPEAT_SECONDS, TEXTS_KEPT, OnceInAWhile


def record(name: str, text: str, *values: object, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, text, values, None)


def test_a_library_repeats_itself_once_in_a_while() -> None:
    """The same text with other values is the same; another text, level or logger is not."""
    now = [0.0]
    once = OnceInAWhile(lambda: now[0])
    assert once.filter(record("aiokafka", "no node %s", 1))
    assert not once.filter(record("aiokafka", "no node %s", 2))
    assert once.filter(record("aiokafka", "no topic %s", 1))
    assert once.filter(record("aiokafka", "no node %s", 1, level=logging.WARNING))
    assert once.filter(record("kafka", "no node %s", 1))
    now[0] = REPEAT_SECONDS
    assert once.filter(record("aiokafka", "no node %s", 3))


def test_ours_are_never_held_back() -> None:
    """What the services say once for each batch or call is all there."""
    once = OnceInAWhile(lambda: 0.0)
    assert all(once.filter(record("services.profiles.worker", "trying_again")) for _ in range(3))


def test_what_is_remembered_is_bounded() -> None:
    """A library that puts its values into the text itself fills no memory."""
    once = OnceInAWhile(lambda: 0.0)
    assert all(once.filter(record("lib", f"text {n}")) for n in range(3 * TEXTS_KEPT))
    assert len(once._said) <= TEXTS_KEPT
