"""Whether an object in JSON names a key twice: msgspec takes the last, Protobuf refuses."""

from __future__ import annotations

import re
from typing import Final

_ESCAPED_COLON: Final = re.compile(rb"\\u003[aA]")


def each_key_once(value: bytes, written: bytes) -> bool:
    """Whether ``value`` has no key but those in ``written``: what was read of it, as JSON again.

    Each key has a colon, and so may texts; a key that stands twice has one that is lost in
    reading, and perhaps more in what belongs to it. So the same number of colons means that
    nothing was lost, unless a text hides one in an escape, which is written again without:
    then False, as where a key does stand twice, and a slower reader must look.
    """
    if value.count(b":") != written.count(b":"):
        return False
    return b"\\u" not in value or not _ESCAPED_COLON.search(value)
