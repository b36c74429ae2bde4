"""A profile as the bytes that Redis keeps.

::

    byte 0        layout: which of the forms below the body has
    bytes 1-8     revision: big-endian, one more with each write; compare-and-set goes by it
    bytes 9-      body; layout 1 is the profile as a MessagePack array

A reader knows its own layout and the one before, so workers and servers of two
neighbouring releases can run side by side and a rollback works.
"""

from __future__ import annotations

from typing import Final

import msgspec

from services.shared.profile import Profile

LAYOUT: Final = 1
HEADER_SIZE: Final = 9

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Profile)


class LayoutUnknown(ValueError):
    """The bytes are of a layout that this release cannot read, or of none."""


def encode(profile: Profile, revision: int) -> bytes:
    """The bytes of ``profile`` at ``revision`` (1 for the first write)."""
    return header(revision) + _encoder.encode(profile)


def header(revision: int) -> bytes:
    """The first 9 bytes of a profile at ``revision``; what compare-and-set compares."""
    return bytes((LAYOUT,)) + revision.to_bytes(8, "big")


def decode(value: bytes) -> tuple[Profile, int]:
    """The profile and its revision. Raises LayoutUnknown."""
    if len(value) < HEADER_SIZE or value[0] != LAYOUT:
        raise LayoutUnknown(f"profile of {len(value)} bytes has layout {value[:1].hex() or 'none'}")
    try:
        profile = _decoder.decode(memoryview(value)[HEADER_SIZE:])
    except msgspec.MsgspecError as error:
        raise LayoutUnknown(f"profile body does not decode: {error}") from error
    return profile, int.from_bytes(value[1:HEADER_SIZE], "big")
