"""What is committed of a partition: where to read on, and what that was true of.

Whoever reads on compares the note. Of a topic that was made anew under the same name
everything is read. And where Redis has failed over since, the last minute's work is done
again, as the replica that took over may not have had it; what was the last minute's work only
whoever did it can tell, for in that time it may have folded an hour's events, or none.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is committed beside an offset; "" for what is not known."""

    topic_id: str = ""
    replication_id: str = ""
    """Redis' own: it changes with each failover, and with each start."""
    since: int = 0
    """The offset from which to fold again if that Redis has failed over."""


class Commit(NamedTuple):
    """An offset to read on from, and its note."""

    offset: int
    note: Note


class Start(NamedTuple):
    """Where reading begins, and from where to fold again if Redis fails over soon."""

    offset: int
    since: int


def start_after(commit: Commit | None, *, topic_id: str, replication_id: str) -> Start | None:
    """Where to read on; None: from the topic's first event.

    ``commit`` is what the group has committed, the others are what topic and Redis are now.
    """
    if commit is None or commit.note.topic_id not in ("", topic_id):
        return None
    if not commit.note.replication_id:  # not ours: another program has set the group's offset
        return Start(commit.offset, commit.offset)
    if commit.note.replication_id == replication_id:
        return Start(commit.offset, commit.note.since)
    return Start(commit.note.since, commit.note.since)
