"""Whether an object in JSON names a key twice: msgspec takes the last, Protobuf refuses."""

from __future__ import annotations

import re
from typing import Final

_SPACED_KEY: Final = re.compile(rb'"[ \t\r\n]+:')


def each_key_once(value: bytes, keys: int) -> bool:
    """Whether ``value`` has no more than the ``keys`` that were read of it, at all depths.

    Counts ``":``, which also stands in some texts, and refuses space before a colon: False
    means that a slower reader must look, True that no key stands twice.
    """
    return value.count(b'":') == keys and not _SPACED_KEY.search(value)
