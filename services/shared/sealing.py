"""Sealing what names a person or was said by one, under keys that can be thrown away.

One master key, from a file, is the only secret of an installation. From it come, by HKDF
(RFC 5869), keys that are never kept: one that makes pseudonyms, one that wraps the key of each
person, one for what belongs to a shop and to nobody in particular. A person's key is random and
is kept only wrapped; whoever deletes it has erased, for good, all that was sealed under it,
wherever copies of that may lie.

Sealed bytes are a format byte, a nonce and AES-256-GCM's ciphertext with its tag (NIST SP
800-38D); ``about`` says what they belong to, is not contained in them, and must be the same to
open them, so that one person's bytes cannot be passed off as another's. Nonces are random: of
one key at most 2³² things may be sealed. ::

    python -m services.shared.sealing new --file master-key
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hmac
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.shared.errors import BadSetting

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
PSEUDONYM_BYTES: Final = 16
FILE_LIMIT: Final = 1024
FORMAT: Final = b"\x01"
SEALED_EXTRA: Final = len(FORMAT) + NONCE_BYTES + 16
"""So many bytes more than what it holds a sealed thing has."""


class SealBroken(ValueError):
    """The bytes were not sealed by this key, about this; or they are damaged."""


class Seal:
    """One key, ready to seal and open; keeps no more than the key."""

    __slots__ = ("_decrypt", "_encrypt")

    def __init__(self, key: bytes) -> None:
        """``key`` has 32 bytes."""
        cipher = AESGCM(key)
        self._encrypt, self._decrypt = cipher.encrypt, cipher.decrypt

    def seal(self, plain: bytes, *, about: bytes, nonce: bytes = b"") -> bytes:
        """``plain``, sealed: :data:`SEALED_EXTRA` bytes longer.

        ``nonce`` is for who has drawn many at once: :data:`NONCE_BYTES` random ones, used once.
        """
        nonce = nonce or os.urandom(NONCE_BYTES)
        return FORMAT + nonce + self._encrypt(nonce, plain, about)

    def open(self, sealed: bytes, *, about: bytes) -> bytes:
        """What was sealed. Raises SealBroken."""
        if sealed[:1] != FORMAT or len(sealed) < SEALED_EXTRA:
            raise SealBroken(f"{len(sealed)} bytes that were not sealed here")
        try:
            return self._decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], about)
        except InvalidTag as error:
            raise SealBroken("sealed by another key, about another, or damaged") from error


class MasterKey:
    """The one secret, and what is made of it; lives as long as the process."""

    def __init__(self, key: bytes) -> None:
        """``key`` has 32 bytes."""
        self._key = key
        self._naming = self.derive("pseudonyms")
        self._wrapping = Seal(self.derive("keys of persons"))

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for ``purpose``, always the same."""
        made = HKDF(SHA256(), KEY_BYTES, salt=None, info=b"attune " + purpose.encode())
        return made.derive(self._key)

    def pseudonym(self, name: bytes) -> bytes:
        """What stands for ``shop_id/subject`` where nobody is named: 16 bytes, HMAC-SHA-256."""
        return hmac.digest(self._naming, name, "sha256")[:PSEUDONYM_BYTES]

    def new_person_key(self) -> bytes:
        """A random key for a person."""
        return os.urandom(KEY_BYTES)

    def wrap(self, key: bytes, *, pseudonym: bytes) -> bytes:
        """A person's key as it may be kept."""
        return self._wrapping.seal(key, about=pseudonym)

    def unwrap(self, wrapped: bytes, *, pseudonym: bytes) -> bytes:
        """The person's key. Raises SealBroken."""
        return self._wrapping.open(wrapped, about=pseudonym)

    def shop_seal(self, shop_id: str) -> Seal:
        """For what belongs to a shop and to no person that could be told; "" for no shop."""
        return Seal(self.derive(f"shop {shop_id}"))


def read_master_key(path: Path) -> MasterKey:
    """The key of a file. Raises BadSetting that names the file and what is wrong with it."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise BadSetting(f"master key file {path} cannot be read: {error.strerror}") from error
    try:
        key = base64.b64decode(content.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(content) > FILE_LIMIT or len(key) != KEY_BYTES:
        raise BadSetting(
            f"master key file {path} must hold {KEY_BYTES} bytes in base64; "
            "make one: python -m services.shared.sealing new --file …"
        )
    return MasterKey(key)


def new_master_key(path: Path) -> None:
    """Make a key in a new file that only its owner reads.

    Raises BadSetting, also where the file is there: without the old key nothing that was
    sealed under it opens any more.
    """
    text = base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise BadSetting(f"{path} is there already; a key is never replaced") from error
    except OSError as error:
        raise BadSetting(f"{path} cannot be made: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def main(arguments: Sequence[str]) -> int:
    """``new``: make a master key. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m services.shared.sealing",
        description="The master key, under which what names a person is sealed. Keep a copy of it "
        "apart: what was sealed under a key that is lost is lost.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    new = commands.add_parser("new", help="make a key in a new file")
    new.add_argument("--file", required=True, type=Path, help="must not be there yet")
    told = parser.parse_args(arguments)
    try:
        new_master_key(told.file)
    except BadSetting as error:
        print(f"{error.code}: {error}", file=sys.stderr)  # noqa: T201 - a command's answer
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
