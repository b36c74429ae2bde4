"""What is sealed opens by the same key, about the same, and no other way."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.errors import BadSetting
from services.shared.sealing import (
    SEALED_EXTRA,
    MasterKey,
    Seal,
    SealBroken,
    main,
    new_master_key,
    read_master_key,
)

MASTER = MasterKey(bytes(range(32)))


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_what_is_sealed_opens(plain: bytes, about: bytes) -> None:
    seal = Seal(bytes(32))
    sealed = seal.seal(plain, about=about)
    assert len(sealed) == len(plain) + SEALED_EXTRA
    assert seal.open(sealed, about=about) == plain


@given(st.integers(0, SEALED_EXTRA + 3), st.integers(0, 7))
def test_one_bit_changed(place: int, bit: int) -> None:
    """Whichever bit it is, the bytes do not open."""
    sealed = bytearray(Seal(bytes(32)).seal(b"blue", about=b"mug"))
    sealed[place] ^= 1 << bit
    with pytest.raises(SealBroken):
        Seal(bytes(32)).open(bytes(sealed), about=b"mug")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(20)])
def test_too_short_to_be_sealed(sealed: bytes) -> None:
    with pytest.raises(SealBroken, match="bytes"):
        Seal(bytes(32)).open(sealed, about=b"")


def test_another_key_or_another_person() -> None:
    """One person's bytes cannot be passed off as another's."""
    sealed = Seal(bytes(32)).seal(b"blue", about=b"ana")
    for seal, about in ((Seal(b"k" * 32), b"ana"), (Seal(bytes(32)), b"ben")):
        with pytest.raises(SealBroken):
            seal.open(sealed, about=about)


def test_the_same_twice_looks_different() -> None:
    seal = Seal(bytes(32))
    assert seal.seal(b"blue", about=b"") != seal.seal(b"blue", about=b"")


def test_pseudonyms() -> None:
    """Always the same of one person and key; nothing in common with others'."""
    ana = MASTER.pseudonym(b"shop/u:ana")
    assert ana == MasterKey(bytes(range(32))).pseudonym(b"shop/u:ana")
    assert (
        len({ana, MASTER.pseudonym(b"shop/u:ben"), MasterKey(bytes(32)).pseudonym(b"shop/u:ana")})
        == 3
    )


def test_known_values() -> None:
    """Keys and pseudonyms stay the same over releases: else nothing kept would be found."""
    assert MASTER.pseudonym(b"shop/u:ana").hex() == "c6bfd9c34c8a4d89c019d16133b20375"
    assert (
        MASTER.derive("shop demo").hex()
        == "09bde95ed0872e61ba54e51a70cdc720b769f9bc6c4c951acc5f6812e5704a60"
    )


def test_keys_of_persons() -> None:
    key, ana = MASTER.new_person_key(), MASTER.pseudonym(b"shop/u:ana")
    wrapped = MASTER.wrap(key, pseudonym=ana)
    assert MASTER.unwrap(wrapped, pseudonym=ana) == key
    with pytest.raises(SealBroken):
        MASTER.unwrap(wrapped, pseudonym=MASTER.pseudonym(b"shop/u:ben"))


def test_shops_have_seals_of_their_own() -> None:
    sealed = MASTER.shop_seal("one").seal(b"x", about=b"")
    assert MASTER.shop_seal("one").open(sealed, about=b"") == b"x"
    with pytest.raises(SealBroken):
        MASTER.shop_seal("two").open(sealed, about=b"")


def test_a_file_with_a_key(tmp_path: Path) -> None:
    """Only its owner reads it, and it is never replaced."""
    path = tmp_path / "key"
    assert main(["new", "--file", str(path)]) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_master_key(path).pseudonym(b"a") == read_master_key(path).pseudonym(b"a")
    before = path.read_bytes()
    assert main(["new", "--file", str(path)]) == 1
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="cannot be made: No such"):
        new_master_key(tmp_path / "no" / "key")


@pytest.mark.parametrize("content", [b"", b"short", b"?" * 44, b"A" * 5000, b"QUJD\n"])
def test_a_file_that_holds_no_key(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(BadSetting, match="must hold 32 bytes in base64"):
        read_master_key(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="cannot be read: No such"):
        read_master_key(tmp_path / "key")
