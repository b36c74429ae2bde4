"""Layout 2 of a profile: bytes that an event can be added to without reading all of them.

::

    byte 0        2, the layout
    bytes 1-8     XXH3-64 of all that follows; compare-and-set goes by bytes 0-8
    bytes 9-16    first seen: microseconds since 1970 plus 2^63, as all times here
    bytes 17-24   last seen
    bytes 25-26   which kinds there are: bit 0 is the first of ``profile.KINDS``
    then          for each of them how many entries (1 byte) and how many bytes (4)
    then          for each of them its section

A *section* has the keys of all its entries, in order, then their items in the same order. A
key is time (8 bytes) and event (8), and of kinds whose events have lines the line (2), so
keys compare as the entries do. An item is all else of its entry in MessagePack: the one
field, or an array of them. Numbers are unsigned and big-endian.

The bytes follow from the shopper's events alone: whoever folds the same events, in whatever
order, comes to the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
import xxhash

from services.shared.profile import KINDS, Entry

LAYOUT: Final = 2
VERSION_SIZE: Final = 9
BIAS: Final = 2**63
"""Added to times, so that those before 1970 come first, too."""

NAMES: Final = tuple(KINDS)
KIND: Final = {name: kind for kind, name in enumerate(NAMES)}
"""A kind's number, which is its bit."""

ENTRIES: Final = tuple(KINDS.values())
WITH_LINES: Final = frozenset((KIND["purchases"], KIND["cancels"]))
KEY_SIZES: Final = tuple(18 if kind in WITH_LINES else 16 for kind in range(len(NAMES)))
ONE_FIELD: Final = tuple(len(entry.__struct_fields__) == 4 for entry in ENTRIES)
"""Whether an entry of this kind has one field beside its key."""

HEAD: Final = struct.Struct(">QQH")
KEY: Final = struct.Struct(">QQ")
KEY_OF_LINE: Final = struct.Struct(">QQH")
_KEYS: Final = tuple(KEY_OF_LINE if kind in WITH_LINES else KEY for kind in range(len(NAMES)))
_AFTER_HEAD: Final = VERSION_SIZE + HEAD.size
_ENTRIES_LIMIT: Final = 255

encode_item: Final = msgspec.msgpack.Encoder().encode
_decode_items: Final = msgspec.msgpack.Decoder(list[Any]).decode


class LayoutUnknown(ValueError):
    """The bytes are of a layout that this release cannot read, or of none."""


Section: TypeAlias = tuple[int, bytes, bytes]
"""The entries of one kind as bytes: how many, their keys, their items."""


class _Shape(NamedTuple):
    """How the head and the directory of a profile with certain kinds are read and written."""

    kinds: tuple[int, ...]
    directory: struct.Struct
    both: struct.Struct


def _shape(mask: int) -> _Shape:
    kinds = tuple(kind for kind in range(len(NAMES)) if mask >> kind & 1)
    directory = "BI" * len(kinds)
    return _Shape(kinds, struct.Struct(">" + directory), struct.Struct(HEAD.format + directory))


_SHAPES: Final = tuple(map(_shape, range(2 ** len(NAMES))))


def read_sections(value: bytes) -> tuple[int, int, dict[int, Section]]:
    """First seen, last seen, and the section of each kind there is. Raises LayoutUnknown."""
    try:
        first, last, mask = HEAD.unpack_from(value, VERSION_SIZE)
        kinds, directory, _ = _SHAPES[mask]
        numbers = directory.unpack_from(value, _AFTER_HEAD)
    except (struct.error, IndexError) as error:
        raise LayoutUnknown(f"profile of {len(value)} bytes has no such head: {error}") from error
    at = _AFTER_HEAD + directory.size
    sections: dict[int, Section] = {}
    for place, kind in enumerate(kinds):
        count, end = numbers[2 * place], at + numbers[2 * place + 1]
        middle = at + count * KEY_SIZES[kind]
        sections[kind] = (count, value[at:middle], value[middle:end])
        at = end
    if at != len(value):
        raise LayoutUnknown(f"profile of {len(value)} bytes tells of {at}")
    return first - BIAS, last - BIAS, sections


def write_sections(first: int, last: int, sections: dict[int, Section]) -> bytes:
    """The bytes of a profile with these sections, none of them empty."""
    mask = 0
    numbers: list[int] = []
    parts = [b""]
    for kind in sorted(sections):
        count, keys, items = sections[kind]
        mask |= 1 << kind
        numbers += (count, len(keys) + len(items))
        parts += (keys, items)
    parts[0] = _SHAPES[mask].both.pack(first + BIAS, last + BIAS, mask, *numbers)
    body = b"".join(parts)
    return b"\x02" + xxhash.xxh3_64_digest(body) + body


def is_whole(value: bytes) -> bool:
    """Whether the bytes of a profile of this layout are those that were written."""
    body = memoryview(value)[VERSION_SIZE:]
    return value[1:VERSION_SIZE] == xxhash.xxh3_64_digest(body)


def read_entries(kind: int, section: Section) -> list[Any]:
    """The entries of a section, oldest first. Raises LayoutUnknown."""
    count, keys, items = section
    entry: Any = ENTRIES[kind]
    make = _KEYS[kind].iter_unpack
    try:
        read = _decode_items(b"\xdc" + count.to_bytes(2, "big") + items)
        told = zip(make(keys), read, strict=True)
        if kind in WITH_LINES:
            return [entry(at - BIAS, event, line, *item) for (at, event, line), item in told]
        if ONE_FIELD[kind]:
            if kind == _IMPRESSIONS:
                return [entry(at - BIAS, event, 0, tuple(item)) for (at, event), item in told]
            return [entry(at - BIAS, event, 0, item) for (at, event), item in told]
        return [entry(at - BIAS, event, 0, *item) for (at, event), item in told]
    except (msgspec.MsgspecError, struct.error, ValueError, TypeError) as error:
        raise LayoutUnknown(f"{NAMES[kind]} of a profile do not decode: {error}") from error


_IMPRESSIONS: Final = KIND["impressions"]


def write_entries(kind: int, entries: Sequence[Entry] | Iterable[Entry]) -> Section:
    """The section of entries that are in order."""
    keys, items = [], []
    for at, event, line, *fields in map(msgspec.structs.astuple, entries):
        key = (at + BIAS, event, line) if kind in WITH_LINES else (at + BIAS, event)
        keys.append(_KEYS[kind].pack(*key))
        items.append(encode_item(fields[0] if ONE_FIELD[kind] else fields))
    return len(keys), b"".join(keys), b"".join(items)


def skip_item(items: bytes, at: int) -> int:
    """Where the item after the one at ``at`` begins.

    Knows what items are made of, by the specification of MessagePack: texts, whole numbers,
    truth values, and arrays of them.
    """
    mark = items[at]
    if mark < 0x80 or mark >= 0xE0 or mark in (0xC2, 0xC3):
        return at + 1
    if 0xA0 <= mark < 0xC0:
        return at + 1 + (mark & 0x1F)
    if mark in _TEXTS:
        wide = _TEXTS[mark]
        return at + 1 + wide + int.from_bytes(items[at + 1 : at + 1 + wide], "big")
    if mark in _NUMBERS:
        return at + 1 + _NUMBERS[mark]
    return _skip_array(items, at, mark)


_TEXTS: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_NUMBERS: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}


def _skip_array(items: bytes, at: int, mark: int) -> int:
    if mark & 0xF0 == 0x90:
        count, at = mark & 0x0F, at + 1
    elif mark == 0xDC:
        count, at = int.from_bytes(items[at + 1 : at + 3], "big"), at + 3
    else:
        raise LayoutUnknown(f"an item of a profile begins with {mark:02x}")
    for _ in range(count):
        at = skip_item(items, at)
    return at
