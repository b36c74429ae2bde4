"""A profile as the bytes that Redis keeps.

A reader knows its own layout and the one before, so workers and servers of two neighbouring
releases can run side by side, and a rollback works: what one has written the other reads,
and writes back in the layout that it is told to write.

* Layout 2, see :mod:`services.shared.profile_layout`.
* Layout 1: byte 0 is 1, bytes 1-8 differ with each content, then the profile as a MessagePack
  array, its events named by text.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import xxhash

from services.shared.profile import BOUNDS, EMPTY, KINDS, Profile, event_hash
from services.shared.profile_layout import (
    KIND,
    LAYOUT,
    NAMES,
    VERSION_SIZE,
    LayoutUnknown,
    is_whole,
    read_entries,
    read_sections,
    write_entries,
    write_sections,
)

LAYOUTS: Final = (1, LAYOUT)
"""Those that this release reads, and can write."""

_encode_plain = msgspec.msgpack.Encoder().encode
_decode_plain = msgspec.msgpack.Decoder(tuple[Any, ...]).decode


def version_of(value: bytes) -> bytes:
    """What compare-and-set tells two contents of a profile apart by; b"" where there is none."""
    return value[:VERSION_SIZE]


def encode(profile: Profile, layout: int = LAYOUT) -> bytes:
    """The bytes of ``profile``, which is not empty."""
    if layout == 1:
        return _encode_1(profile)
    sections = {
        KIND[name]: write_entries(KIND[name], entries)
        for name in BOUNDS
        if (entries := getattr(profile, name))
    }
    return write_sections(profile.first_seen, profile.last_seen, sections)


def decode(value: bytes) -> Profile:
    """The profile; EMPTY for no bytes. Raises LayoutUnknown."""
    if not value:
        return EMPTY
    if value[0] == 1 and len(value) > VERSION_SIZE:
        return _decode_1(value)
    if value[0] != LAYOUT:
        raise LayoutUnknown(f"profile of {len(value)} bytes has layout {value[:1].hex()}")
    first, last, sections = read_sections(value)
    if not is_whole(value):
        raise LayoutUnknown(f"profile of {len(value)} bytes is damaged: its checksum differs")
    kinds = {NAMES[kind]: tuple(read_entries(kind, each)) for kind, each in sections.items()}
    return Profile(first, last, **kinds)


def _encode_1(profile: Profile) -> bytes:
    first, last, *kinds = msgspec.structs.astuple(profile)
    texts = [
        [(at, f"{event:016x}", *rest) for at, event, *rest in map(msgspec.structs.astuple, kind)]
        for kind in kinds
    ]
    body = _encode_plain((first, last, *texts))
    return b"\x01" + xxhash.xxh3_64_digest(body) + body


def _decode_1(value: bytes) -> Profile:
    try:
        first, last, *kinds = _decode_plain(memoryview(value)[VERSION_SIZE:])
        hashed = {
            name: [
                (at, int.from_bytes(event_hash(event_id), "big"), *rest)
                for at, event_id, *rest in entries
            ]
            for name, entries in zip(KINDS, kinds, strict=True)
        }
        made = {
            name: tuple(msgspec.convert(entry, KINDS[name]) for entry in entries)
            for name, entries in hashed.items()
        }
    except (msgspec.MsgspecError, ValueError, TypeError, AttributeError) as error:
        raise LayoutUnknown(f"profile body does not decode: {error}") from error
    ordered = {name: tuple(sorted(entries)) for name, entries in made.items()}
    return Profile(first, last, **ordered)  # type: ignore[arg-type]  # each kind holds entries of its own class
