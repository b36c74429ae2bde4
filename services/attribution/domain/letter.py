"""What is told from one trail to another one, in another partition, as bytes.

Whose trail it is for stands in front, in the clear, so that an erasure finds what is on its way.
"""

from __future__ import annotations

from typing import Final

import msgspec

from services.shared.trail import Act, Cancel


class _Content(msgspec.Struct, frozen=True, array_like=True):
    act: Act | None
    cancel: Cancel | None


_END: Final = b"\n"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Content).decode


def write_letter(name: str, fact: Act | Cancel) -> bytes:
    """A letter to the trail of a name, ``shop_id/pseudonym``, which tells it on to nobody."""
    told = msgspec.structs.replace(fact, to="")
    content = _Content(told, None) if isinstance(told, Act) else _Content(None, told)
    return name.encode() + _END + _encode(content)


def read_letter(value: bytes) -> tuple[str, tuple[Act | Cancel, ...]]:
    """Name and what is told."""
    name, _, rest = value.partition(_END)
    read = _decode(rest)
    return name.decode(), tuple(fact for fact in (read.act, read.cancel) if fact is not None)
