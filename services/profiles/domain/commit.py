"""What is committed of a partition: where to read on, and what that was true of.

Whoever reads on compares the note. Of a topic that was made anew under the same name
everything is read; and where Redis has failed over since, the last minutes are folded again,
as the replica may not have had them.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is committed beside an offset; "" for what is not known."""

    topic_id: str = ""
    replication_id: str = ""
    """Redis' own: it changes with each failover, and with each start."""
    generation: int = 0
    """Of the profiles that the events were folded into."""


class Commit(NamedTuple):
    """An offset to read on from, and its note."""

    offset: int
    note: Note


def start_after(commit: Commit | None, now: Note, *, rewound: int) -> int | None:
    """Where to read on; None: from the topic's first event.

    ``commit`` is what the group has committed, ``now`` what a commit would note now, and
    ``rewound`` the offset of as long ago as Redis may have lost something.
    """
    if commit is None or (commit.note.topic_id not in ("", now.topic_id)):
        return None
    if commit.note.replication_id in ("", now.replication_id):
        return commit.offset
    return min(commit.offset, rewound)
