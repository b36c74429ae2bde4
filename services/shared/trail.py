"""What one shopper was shown and did about it, for as long as purchases may be credited.

A trail is a **set**, as a profile is: lists by their tokens, carts and purchases by their events'
ids, and of each product in a list when it was *first* seen and first chosen. Facts may come in any
order and more than once; the trail is the same, and so is all that is counted of it.

It names nobody: Redis keeps it under the person's pseudonym. Tokens, event and order ids are 64-bit
hashes and the products of a list 32-bit ones: in one trail 10,000 products of lists meet one that
was bought by chance once in 400,000 purchases. Times are microseconds since 1970 where nothing else
is said, amounts millionths of a currency's unit.
"""

from __future__ import annotations

from typing import Final, Literal

import cramjam
import msgspec
import xxhash

from services.shared.attribution_rule import After, Credit

LAYOUT: Final = b"\x01"

HOUR: Final = 3_600_000_000
"""Microseconds."""
DAY: Final = 24 * HOUR

Arms = tuple[tuple[str, str], ...]
"""Pairs of experiment and arm."""


class Labels(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a list was made: what figures are told apart by."""

    scenario: str
    method: str
    source: int
    """The contract's number of ``Source``."""
    model_version: str = ""
    arms: Arms = ()


class Shown(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A list that the shopper was answered with."""

    at: int
    token: int
    labels: Labels
    window_hours: int
    credit: Credit
    after: After
    products: tuple[int, ...]
    """Hashes, in the list's order."""
    seen: dict[int, int] = {}
    """Place in the list → milliseconds after the answer at which it was first seen."""
    chosen: dict[int, int] = {}
    """The same of the first click, or of being put into the cart right from the list."""
    clicked: frozenset[int] = frozenset()
    """Places that were clicked."""


class Touch(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """Something that happened to a product in a list which has not come yet."""

    at: int
    token: int
    kind: Literal["seen", "clicked", "carted"]
    product: int
    """Hash."""


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """One product of a cart or an order."""

    product_id: str
    quantity: int
    amount: int = 0
    """For all pieces; 0 where it is not said."""
    currency: str = ""
    is_credited: bool = False
    """Whether a list of another trail has the credit."""


class Act(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """Something put into the cart, or bought."""

    at: int
    event: int
    kind: Literal["cart", "purchase"]
    token: int = 0
    """Of the list that it follows from, as the shop says; 0: it does not say."""
    order: int = 0
    lines: tuple[Line, ...] = ()
    """None once it is too old to be credited anew."""
    spent: dict[str, int] = {}
    """By currency; only where there are no lines any more."""
    credited: dict[str, int] = {}
    """The part of it for which lists had credit."""
    to: str = ""
    """Which trail hears of it, too: that of the visitor who had signed in, with its partition."""


class Cancel(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """An order, or lines of one, taken back."""

    at: int
    event: int
    order: int
    lines: tuple[tuple[str, int], ...] = ()
    """Products and how many pieces; none: the whole order."""
    to: str = ""
    """See :class:`Act`."""


class Exposure(msgspec.Struct, frozen=True, array_like=True, gc=False, order=True):
    """The first answer that a shopper got in an experiment."""

    experiment: str
    arm: str
    at: int
    took: int
    """Microseconds that the answer took."""
    is_fallback: bool
    last: int
    """The newest answer in it."""
    has_outcome: bool = False
    """Whether the outcome was taken in; from then on it is final."""
    is_watched: bool = False
    """Whether it was taken in that somebody bought nothing, or did."""


class Trail(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All of it; each kind in the order of its fields."""

    shop_id: str
    horizon: int = 0
    """The newest moment of any fact so far: what is too old is judged by it, never by a clock."""
    shown: tuple[Shown, ...] = ()
    touches: tuple[Touch, ...] = ()
    acts: tuple[Act, ...] = ()
    cancels: tuple[Cancel, ...] = ()
    exposures: tuple[Exposure, ...] = ()


class TrailUnreadable(ValueError):
    """The bytes are no trail that this release knows."""


def name_hash(name: str) -> int:
    """What stands for a token, an event's or an order's id; never 0, which says none."""
    return xxhash.xxh3_64_intdigest(name.encode()) or 1


def product_hash(product_id: str) -> int:
    """What stands for a product in a list."""
    return xxhash.xxh32_intdigest(product_id.encode())


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Trail).decode


def write_trail(trail: Trail) -> bytes:
    """Layout, then LZ4 of a MessagePack array: labels and products repeat from list to list."""
    return LAYOUT + bytes(cramjam.lz4.compress_block(_encode(trail)))


def read_trail(value: bytes) -> Trail:
    """The trail of these bytes. Raises TrailUnreadable."""
    if value[:1] != LAYOUT:
        raise TrailUnreadable(f"trail of {len(value)} bytes has layout {value[:1].hex()}")
    try:
        return _decode(bytes(cramjam.lz4.decompress_block(value[1:])))
    except (msgspec.MsgspecError, cramjam.DecompressionError) as error:
        raise TrailUnreadable(f"trail of {len(value)} bytes does not decode: {error}") from error
