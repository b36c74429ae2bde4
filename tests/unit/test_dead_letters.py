"""Dead letters: what is in the clear, what is sealed, and who may open it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from services.shared.consent import Consent, write_consent
from services.shared.dead_letter import DeadLetter, Origin, Refused, Whose, whose
from services.shared.letter_envelope import SEALED, SEALED_UNDER, Opened
from services.shared.letter_keys import MemoryLetterKeys
from services.shared.sealed_letters import (
    DAMAGED,
    ERASED,
    OTHER_MASTER_KEY,
    UNKNOWN_FORMAT,
    SealedLetters,
    Unopened,
)
from services.shared.sealing import MasterKey
from tests.profile_events import FakeRecord, record, view
from tests.worker_in_memory import batches

MASTER = MasterKey(bytes(range(32)))
ANA, BOB = b"demo/u:ana", b"demo/u:bob"
ORIGIN = Origin("shopper-events", "id", 3, 42)
PLAIN = Refused(
    ORIGIN,
    1_700_000_000_000,
    ANA,
    b'{"query": "blue mug"}',
    (("trace", b"\xff"), ("none", None), ("attune_offset", b"7")),
    "EVENT_NOT_JSON",
    "the value is JSON, but not a ShopperEvent: blue mug",
    Whose("demo", (ANA,)),
)


def refused(**changed: Any) -> Refused:
    return PLAIN._replace(**changed)


@pytest.fixture
def keys() -> MemoryLetterKeys:
    return MemoryLetterKeys(MASTER)


@pytest.fixture
def letters(keys: MemoryLetterKeys) -> SealedLetters:
    return SealedLetters(MASTER, keys)


async def sealed(letters: SealedLetters, one: Refused) -> DeadLetter:
    (letter,) = await letters.seal([one])
    return letter


async def opened(letters: SealedLetters, letter: DeadLetter) -> Opened:
    (read,) = await letters.open([letter])
    assert isinstance(read, Opened)
    return read


async def why(letters: SealedLetters, letter: DeadLetter) -> str:
    (read,) = await letters.open([letter])
    assert isinstance(read, Unopened)
    return read.why


async def test_a_letter_opens(letters: SealedLetters) -> None:
    """All that came is there again, but headers in our names."""
    address, content = await opened(letters, await sealed(letters, PLAIN))
    assert address == (ORIGIN, 1_700_000_000_000, "EVENT_NOT_JSON", "demo", 21)
    assert (content.key, content.value, content.reason) == (PLAIN.key, PLAIN.value, PLAIN.reason)
    assert content.headers == (("trace", b"\xff"), ("none", b""))
    assert content.sha256 == hashlib.sha256(PLAIN.value or b"").digest()


async def test_what_is_in_the_clear(letters: SealedLetters) -> None:
    """Where the record was, why it was refused, and sizes; nothing that somebody has sent."""
    letter = await sealed(letters, PLAIN)
    pseudonym = MASTER.pseudonym(ANA).hex()
    told = {name: text.decode() for name, text in letter.headers}
    assert len(told.pop("attune_master_key")) == 8
    assert told == {
        "attune_topic": "shopper-events",
        "attune_topic_id": "id",
        "attune_partition": "3",
        "attune_offset": "42",
        "attune_appended_at": "1700000000000",
        "attune_error_code": "EVENT_NOT_JSON",
        "attune_shop_id": "demo",
        "attune_key_size": "10",
        "attune_value_size": "21",
        "attune_sealed": "1",
        "attune_sealed_under": pseudonym,
    }
    assert letter.key == f"demo/{pseudonym}".encode()
    whole = repr(letter)
    for secret in ("ana", "mug", "trace", hashlib.sha256(PLAIN.value or b"").hexdigest()):
        assert secret not in whole


@pytest.mark.parametrize("erased", [ANA, BOB])
async def test_a_letter_about_two_people_goes_with_either(
    letters: SealedLetters, keys: MemoryLetterKeys, erased: bytes
) -> None:
    """As long as neither is erased it opens."""
    letter = await sealed(letters, refused(whose=Whose("demo", (ANA, BOB))))
    await opened(letters, letter)
    await keys.erase([erased])
    assert await why(letters, letter) == ERASED


async def test_an_erased_person_may_have_letters_again(
    letters: SealedLetters, keys: MemoryLetterKeys
) -> None:
    """The new key opens the new letters and not the old."""
    old = await sealed(letters, PLAIN)
    await keys.erase([ANA])
    new = await sealed(letters, PLAIN)
    assert await why(letters, old) == ERASED
    await opened(letters, new)


@pytest.mark.parametrize(("later", "is_forgotten"), [(0, True), (1, False)])
async def test_what_was_erased_does_not_come_back(
    letters: SealedLetters, keys: MemoryLetterKeys, later: int, is_forgotten: bool
) -> None:
    """A record of before an erasure that is read and refused again leaves its place and code."""
    keys.consents[ANA] = write_consent(Consent(erased_at=PLAIN.appended * 1000))
    letter = await sealed(letters, refused(appended=PLAIN.appended + later))
    assert dict(letter.headers)["attune_error_code"] == b"EVENT_NOT_JSON"
    (read,) = await letters.open([letter])
    assert (read == Unopened(ERASED)) is is_forgotten


@pytest.mark.parametrize("shop_id", ["demo", ""])
async def test_of_nobody_that_can_be_told(letters: SealedLetters, shop_id: str) -> None:
    """The shop's seal, or that of no shop, holds what cannot be anybody's."""
    one = refused(key=b"\xff", whose=Whose(shop_id, ()))
    letter = await sealed(letters, one)
    assert dict(letter.headers)[SEALED_UNDER] == b"shop"
    assert (await opened(letters, letter)).content.key == b"\xff"
    other = DeadLetter(letter.key, letter.value, [*letter.headers, ("attune_shop_id", b"other")])
    assert await why(letters, other) == DAMAGED


async def test_another_master_key(letters: SealedLetters) -> None:
    """It is told apart from an erasure."""
    other = MasterKey(bytes(32))
    letter = await sealed(letters, PLAIN)
    assert await why(SealedLetters(other, MemoryLetterKeys(other)), letter) == OTHER_MASTER_KEY


async def test_one_letter_s_content_at_another_s_place(letters: SealedLetters) -> None:
    """What is sealed belongs to its record."""
    one = await sealed(letters, refused(key=None, whose=Whose("demo", ())))
    moved = DeadLetter(one.key, one.value, [*one.headers, ("attune_offset", b"43")])
    assert await why(letters, moved) == DAMAGED


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ((SEALED, b"2"), UNKNOWN_FORMAT),
        ((SEALED_UNDER, b"zz"), DAMAGED),
        ((SEALED_UNDER, bytes(16).hex().encode()), ERASED),
    ],
)
async def test_headers_that_were_changed(
    letters: SealedLetters, header: tuple[str, bytes], says: str
) -> None:
    letter = await sealed(letters, PLAIN)
    assert await why(letters, letter._replace(headers=[*letter.headers, header])) == says


async def test_sealed_by_us_but_no_letter(letters: SealedLetters) -> None:
    """Bytes that open and mean nothing."""
    about = "\n".join(("dead letter", *map(str, ORIGIN))).encode()
    letter = await sealed(letters, refused(whose=Whose("demo", ())))
    strange = letter._replace(value=MASTER.shop_seal("demo").seal(b"\xc1", about=about))
    assert await why(letters, strange) == DAMAGED


async def test_a_letter_of_an_older_release(letters: SealedLetters) -> None:
    """It lies in the topic in the clear, and is read as it is; so is one with nothing told."""
    told = {
        "attune_topic": b"shopper-events",
        "attune_partition": b"3",
        "attune_offset": b"42",
        "attune_error_code": b"EVENT_NOT_JSON",
        "attune_error_reason": b"why",
        "attune_value_size": b"1",
        "attune_value_sha256": hashlib.sha256(b"{").hexdigest().encode(),
        "trace": b"abc",
    }
    address, content = await opened(letters, DeadLetter(ANA, b"{", list(told.items())))
    assert address == (Origin("shopper-events", "", 3, 42), -1, "EVENT_NOT_JSON", "demo", 1)
    assert (content.key, content.value, content.reason) == (ANA, b"{", "why")
    assert content.headers == (("trace", b"abc"),)
    assert content.sha256 == hashlib.sha256(b"{").digest()
    address, content = await opened(letters, DeadLetter(None, b"", []))
    assert address == (Origin("", "", -1, -1), -1, "", "", -1)
    assert (content.sha256, content.reason) == (b"", "")


async def test_a_vast_record_fits_into_a_topic(letters: SealedLetters) -> None:
    """Whatever a record carries, its letter is far smaller than a topic's 1 MiB."""
    vast = b"k" * 1_000_000
    one = Refused(
        Origin("t" * 249, "i" * 36, 2**31, 2**63 - 1),
        2**62,
        vast,
        vast,
        [("big", b"x" * 60_000), ("more", b"x" * 60_000)] + [("", b"")] * 100,
        "EVENT_KEY_MISMATCH",
        "ü\ud800" * 9_000,
        Whose("d" * 63, (ANA, BOB)),
    )
    letter = await sealed(letters, one)
    told = sum(len(name.encode()) + len(text) for name, text in letter.headers)
    assert len(letter.key or b"") + len(letter.value) + told < 200_000
    address, content = await opened(letters, letter)
    assert (content.key, content.value) == (vast[:4096], vast[:65_536])
    assert content.sha256 == hashlib.sha256(vast).digest()
    assert [name for name, _ in content.headers] == ["big"]
    assert content.reason == "ü?" * 500
    assert (address.value_size, address.origin) == (1_000_000, one.origin)


async def test_no_value_and_an_empty_one(letters: SealedLetters) -> None:
    """They can be told apart; so can keys."""
    for value, size in ((None, -1), (b"", 0)):
        letter = await sealed(letters, refused(key=None, value=value))
        assert (letter.key, dict(letter.headers)["attune_key_size"]) == (None, b"-1")
        address, content = await opened(letters, letter)
        assert (address.value_size, content.value, content.key) == (size, b"", None)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, ("", ())),
        (b"", ("", ())),
        (b"demo", ("", ())),
        (b"Demo/u:ana", ("", ())),
        (b"demo/ana", ("demo", ())),
        (b"demo/u:", ("demo", ())),
        (b"demo/u:a{b", ("demo", ())),
        (b"demo/u:\xff", ("demo", ())),
        (b"demo/u:" + b"a" * 129, ("demo", ())),
        (b"demo/u:" + b"a" * 1_000_000, ("", ())),
        (b"demo/v:" + "漢".encode() * 128, ("demo", (b"demo/v:" + "漢".encode() * 128,))),
        (b"demo/u:a/b", ("demo", (b"demo/u:a/b",))),
    ],
)
def test_whom_a_key_names(key: bytes | None, expected: tuple[str, tuple[bytes, ...]]) -> None:
    """A shop, and a person, where the key is one that an event could have."""
    assert whose(key, None) == expected


def test_a_refused_record_is_that_of_whom_it_names() -> None:
    """By its key, and by its event where that can be read: of both where they do not agree."""
    through = batches()
    some = [
        FakeRecord(b"demo/u:ana", b"{"),
        record(view(1, user="bob"))._replace(key=b"demo/u:ana"),
        record(view(2, user="bob"))._replace(key=None),
        FakeRecord(b"demo/nobody", b"{"),
        FakeRecord(b"\xff", b"{"),
    ]
    refused = through.judge(0, some).refused
    assert [one.whose for one in refused] == [
        ("demo", (b"demo/u:ana",)),
        ("demo", (b"demo/u:ana", b"demo/u:bob")),
        ("demo", (b"demo/u:bob",)),
        ("demo", ()),
        ("", ()),
    ]


async def test_nothing_to_seal(letters: SealedLetters) -> None:
    assert (await letters.seal([]), await letters.open([])) == ([], [])
