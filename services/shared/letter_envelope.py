"""A dead letter's two parts: the address, which anybody may read, and what is sealed.

Sealed is all that somebody has sent: key, value, headers, and the reason, which quotes them;
also the value's SHA-256, as whoever knows a short value's could try out what it was. A letter
about two people, where key and value do not agree, is sealed under the keys of both, one around
the other: it goes when either is erased.

Letters of the first releases were in the clear. They are read likewise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from services.shared.dead_letter import DeadLetter, Headers, Origin, Refused
from services.shared.event_age import APPENDED_AT
from services.shared.sealing import Seal

VALUE_KEPT: Final = 65_536
"""Bytes of the original value that are kept; the checksum is of all of them."""

REASON_KEPT: Final = 1_000
KEY_KEPT: Final = 4_096
"""Bytes of the original key that are kept: a valid one has at most 578."""

HEADERS_KEPT: Final = 65_536
"""Bytes of original headers that are kept; a record's headers have no limit of their own."""

SEALED: Final = "attune_sealed"
FORMAT: Final = "1"
SEALED_UNDER: Final = "attune_sealed_under"
SHOP: Final = "shop"
"""Under the shop's key; else the pseudonyms of those whom the letter is about."""

MASTER_KEY: Final = "attune_master_key"
CODE: Final = "attune_error_code"
SHOP_ID: Final = "attune_shop_id"

_NUMBER_DIGITS: Final = 19


class Content(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed."""

    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    reason: str
    sha256: bytes
    """Of the whole value."""


class Address(NamedTuple):
    """What is not sealed. Numbers are -1 where a letter does not say them."""

    origin: Origin
    appended: int
    code: str
    shop_id: str
    value_size: int
    """Of the whole value; -1: there was none."""


class Opened(NamedTuple):
    """A letter that can be read."""

    address: Address
    content: Content


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Content).decode


class LetterDamaged(ValueError):
    """What was sealed is not a letter's content."""


def close(
    refused: Refused, seals: Iterable[Seal], *, key: bytes | None, under: str, master_key: str
) -> DeadLetter:
    """The letter of a refused record, sealed by each of ``seals``, the last outermost.

    What is kept of key, value and headers stays far below the 1 MiB that a topic takes by
    default, so no record is too large to become a dead letter. ``key`` is the letter's own.
    """
    about = _about(refused.origin)
    sealed = _encode(_content(refused))
    for seal in seals:
        sealed = seal.seal(sealed, about=about)
    told = {
        "attune_topic": refused.origin.topic,
        "attune_topic_id": refused.origin.topic_id,
        "attune_partition": str(refused.origin.partition),
        "attune_offset": str(refused.origin.offset),
        APPENDED_AT: str(refused.appended),
        CODE: refused.code,
        SHOP_ID: refused.whose.shop_id,
        "attune_key_size": _size(refused.key),
        "attune_value_size": _size(refused.value),
        SEALED: FORMAT,
        SEALED_UNDER: under,
        MASTER_KEY: master_key,
    }
    return DeadLetter(key, sealed, [(name, text.encode()) for name, text in told.items()])


def open_sealed(letter: DeadLetter, seals: Sequence[Seal]) -> Opened:
    """What is in a sealed letter; ``seals`` as for :func:`close`.

    Raises SealBroken, and LetterDamaged for what no release of ours has sealed.
    """
    address, opened = address_of(letter), letter.value
    about = _about(address.origin)
    for seal in reversed(seals):
        opened = seal.open(opened, about=about)
    try:
        return Opened(address, _decode(opened))
    except msgspec.MsgspecError as error:
        raise LetterDamaged(str(error)) from error


def read_clear(letter: DeadLetter) -> Opened:
    """What is in a letter of a release that did not seal."""
    told = dict(letter.headers)
    checksum = _text(told, "attune_value_sha256")
    content = Content(
        letter.key,
        letter.value,
        tuple(pair for pair in letter.headers if not pair[0].startswith("attune_")),
        _text(told, "attune_error_reason"),
        bytes.fromhex(checksum) if _is_hex(checksum) else b"",
    )
    return Opened(address_of(letter), content)


def address_of(letter: DeadLetter) -> Address:
    """The part of a letter that anybody may read."""
    told = dict(letter.headers)
    shop_id, slash, _ = (letter.key or b"").decode("utf-8", "replace").partition("/")
    return Address(
        Origin(
            _text(told, "attune_topic"),
            _text(told, "attune_topic_id"),
            _number(told, "attune_partition"),
            _number(told, "attune_offset"),
        ),
        _number(told, APPENDED_AT),
        _text(told, CODE),
        _text(told, SHOP_ID) if SHOP_ID in told else shop_id * bool(slash),
        _number(told, "attune_value_size"),
    )


def _content(refused: Refused) -> Content:
    value = refused.value or b""
    return Content(
        None if refused.key is None else refused.key[:KEY_KEPT],
        value[:VALUE_KEPT],
        _kept(refused.headers),
        refused.reason[:REASON_KEPT].encode("utf-8", "replace").decode(),
        hashlib.sha256(value).digest(),
    )


def _about(origin: Origin) -> bytes:
    """What a letter's bytes belong to: they are no other record's."""
    return "\n".join(("dead letter", *map(str, origin))).encode()


def _kept(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    """The original headers, but none in our names and not beyond the limit."""
    kept = []
    room = HEADERS_KEPT
    for name, text in headers:
        room -= len(name.encode()) + len(text or b"")
        if room < 0:
            break
        if not name.startswith("attune_"):
            kept.append((name, text or b""))
    return tuple(kept)


def _size(original: bytes | None) -> str:
    return str(-1 if original is None else len(original))


def _text(told: dict[str, bytes], name: str) -> str:
    return (told.get(name) or b"").decode("utf-8", "replace")


def _number(told: dict[str, bytes], name: str) -> int:
    text = told.get(name) or b""
    return int(text) if text.isdigit() and len(text) <= _NUMBER_DIGITS else -1


def _is_hex(text: str) -> bool:
    return len(text) == 2 * hashlib.sha256().digest_size and all(
        one in "0123456789abcdef" for one in text
    )
