"""What a shopper has allowed, as the bytes that Redis keeps beside the profile.

The key shares the profile's hash tag and never expires: what a person has asked to forget
must not come back with an event that arrives late. No key means that nothing was asked.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Consent(msgspec.Struct, frozen=True):
    """What is allowed, and since when the past is forgotten."""

    personalization: bool = True
    """Whether a profile may be kept."""
    erased_at: int = 0
    """Microseconds since 1970: what happened, or reached the broker, until then is forgotten."""

    def allows(self, *, at: int, appended: int) -> bool:
        """Whether an event may be kept that happened ``at`` and was ``appended`` then."""
        return self.personalization and min(at, appended) > self.erased_at


NOTHING_ASKED: Final = Consent()

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Consent).decode


class ConsentUnknown(ValueError):
    """The bytes are no consent that this release can read; nothing may be kept on them."""


def write_consent(consent: Consent) -> bytes:
    """The bytes of ``consent``."""
    return _encode(consent)


def read_consent(value: bytes) -> Consent:
    """The consent; NOTHING_ASKED for no bytes. Raises ConsentUnknown."""
    if not value:
        return NOTHING_ASKED
    try:
        return _decode(value)
    except msgspec.MsgspecError as error:
        raise ConsentUnknown(f"consent of {len(value)} bytes does not decode: {error}") from error
