"""Who calls: API keys, each of one shop and with scopes.

A key is shown once, when it is made; the keys file keeps only its SHA-256, so reading the
file opens no door. A key is 256 random bits, so a plain hash is enough: there is nothing to
guess and nothing to slow down. ::

    python -m services.shared.identity new --shop demo --scopes profiles.read --file keys.json

The file is JSON: ``{"keys": [{"key_id", "shop_id", "scopes", "sha256"}, …]}``. It is read
once, at start: a key added later counts after a restart.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec

from services.shared.errors import BadSetting, Unauthenticated

FILE_LIMIT: Final = 1_048_576
"""Bytes; about 4,000 keys."""

KEY_LIMIT: Final = 256
"""Characters; a longer credential is refused unread."""

_KEY = re.compile(r"attune_([a-z0-9][a-z0-9-]{0,62})_([A-Za-z0-9_-]{43})\Z")
_NO_DIGEST: Final = hashlib.sha256(b"").hexdigest()

ShopId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
Scope = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+(\.[a-z_]+)+\Z", max_length=64)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key as the keys file has it: all but the key itself."""

    key_id: ShopId
    shop_id: ShopId
    scopes: tuple[Scope, ...]
    sha256: Digest

    def may(self, scope: str) -> bool:
        """Whether the key holds ``scope``."""
        return scope in self.scopes


class _KeysFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[ApiKey, ...]


class ApiKeys:
    """The keys that a server knows; lives as long as the server."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._by_id = {key.key_id: key for key in keys}

    def __len__(self) -> int:
        return len(self._by_id)

    def verify(self, authorization: str | bytes | None) -> ApiKey:
        """The key of an ``authorization`` header, ``Bearer <key>``.

        The same work is done whether the key id is known or not, and digests are compared
        in constant time. Raises Unauthenticated, which does not repeat what was sent.
        """
        text = (
            authorization.decode("latin-1") if isinstance(authorization, bytes) else authorization
        )
        if not text:
            raise Unauthenticated("send the metadata 'authorization: Bearer <API key>'")
        scheme, _, credential = text[: KEY_LIMIT + 8].partition(" ")
        match = _KEY.match(credential) if len(credential) <= KEY_LIMIT else None
        if scheme.lower() != "bearer" or match is None:
            raise Unauthenticated("authorization must be 'Bearer attune_<key id>_<secret>'")
        known = self._by_id.get(match[1])
        expected = known.sha256 if known else _NO_DIGEST
        if not hmac.compare_digest(_digest(credential), expected) or known is None:
            raise Unauthenticated("the API key is not known here")
        return known


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> ApiKeys:
    """The keys of a file. Raises BadSetting that names the file and what is wrong in it."""
    return ApiKeys(_read(path))


def _read(path: Path) -> tuple[ApiKey, ...]:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise BadSetting(f"keys file {path} cannot be read: {error.strerror}") from error
    if len(content) > FILE_LIMIT:
        raise BadSetting(f"keys file {path} is larger than {FILE_LIMIT} bytes")
    try:
        keys = msgspec.json.decode(content, type=_KeysFile).keys
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadSetting(f"keys file {path}: {error}") from error
    if len({key.key_id for key in keys}) < len(keys):
        raise BadSetting(f"keys file {path}: a key_id occurs twice")
    return keys


def new_key(*, shop_id: str, scopes: Sequence[str], key_id: str) -> tuple[str, ApiKey]:
    """A fresh key's text, to be shown once, and what the keys file keeps of it.

    Raises BadSetting if the shop, a scope or the id is not well formed.
    """
    text = f"attune_{key_id}_{secrets.token_urlsafe(32)}"
    fields = {"key_id": key_id, "shop_id": shop_id, "scopes": scopes, "sha256": _digest(text)}
    try:
        return text, msgspec.convert(fields, ApiKey)
    except msgspec.ValidationError as error:
        raise BadSetting(f"a key cannot be made like this: {error}") from error


def add_key(path: Path, *, shop_id: str, scopes: Sequence[str], key_id: str = "") -> str:
    """Make a key, add its hash to the file (made if absent, mode 0600), return its text.

    The file is replaced in one step, so a reader never sees half of it. ``key_id`` ""
    takes the shop's name and a number. Raises BadSetting, also for an id that is taken.
    """
    keys = _read(path) if path.exists() else ()
    taken = {key.key_id for key in keys}
    free = (f"{shop_id[:52]}-{number}" for number in range(len(keys) + 1, len(keys) * 2 + 3))
    key_id = key_id or next(name for name in (shop_id, *free) if name not in taken)
    if key_id in taken:
        raise BadSetting(f"keys file {path} has a key {key_id!r} already")
    text, key = new_key(shop_id=shop_id, scopes=scopes, key_id=key_id)
    _replace(path, msgspec.json.format(msgspec.json.encode(_KeysFile((*keys, key)))))
    return text


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one step, readable to its owner only (mkstemp makes it 0600)."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise BadSetting(f"keys file {path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def main(arguments: Sequence[str]) -> int:
    """``new``: make a key. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m services.shared.identity", description="API keys of Attune's servers."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    new = commands.add_parser("new", help="make a key, add it to the file, print it once")
    new.add_argument("--shop", required=True, help="the shop whose data the key opens")
    new.add_argument(
        "--scopes",
        required=True,
        help="what it may do, separated by commas, such as recommendations.read,profiles.read",
    )
    new.add_argument("--file", required=True, type=Path, help="the keys file; made if absent")
    new.add_argument("--key-id", default="", help="its name; by default after the shop")
    told = parser.parse_args(arguments)
    scopes = [scope.strip() for scope in told.scopes.split(",")]
    try:
        text = add_key(told.file, shop_id=told.shop, scopes=scopes, key_id=told.key_id)
    except BadSetting as error:
        print(f"{error.code}: {error}", file=sys.stderr)  # noqa: T201 - a command's answer
        return 1
    print(text)  # noqa: T201 - a command's answer
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
