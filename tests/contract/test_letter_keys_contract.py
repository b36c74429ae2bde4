"""Keys of dead letters, the same cases on the fake and on real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from deploy.local.redis import EmbeddedRedis
from services.shared.consent import Consent, write_consent
from services.shared.errors import RedisUnavailable
from services.shared.letter_keys import (
    KEPT,
    LetterKeys,
    MemoryLetterKeys,
    RedisLetterKeys,
)
from services.shared.redis_connection import DEADLINE_SECONDS, Command, RedisConnection, Reply
from services.shared.sealing import MasterKey, Seal, SealBroken
from services.shared.subject import consent_redis_key, event_key, letter_key_redis_key

MASTER = MasterKey(bytes(range(32)))


class CountedRedis:
    """Redis, with the number of round trips."""

    is_cluster = False

    def __init__(self, url: str) -> None:
        self.trips = 0
        self.connection = RedisConnection(url)

    async def ask(
        self, commands: Sequence[Command], *, within: float = DEADLINE_SECONDS
    ) -> list[Reply]:
        self.trips += 1
        return await self.connection.ask(commands, within=within)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[CountedRedis]:
    counted = CountedRedis(redis_url)
    yield counted
    await counted.connection.close()


@pytest.fixture(params=["memory", "redis"])
def keys(request: pytest.FixtureRequest, redis: CountedRedis) -> LetterKeys:
    return MemoryLetterKeys(MASTER) if request.param == "memory" else RedisLetterKeys(redis, MASTER)


@pytest.fixture
def ana(shop_id: str) -> bytes:
    return event_key(shop_id, "u:ana")


@pytest.fixture
def bob(shop_id: str) -> bytes:
    return event_key(shop_id, "u:bob")


async def opens(keys: LetterKeys, person: bytes, sealed: bytes) -> bool | None:
    """Whether the person's key opens it; None: there is no key."""
    (seal,) = await keys.for_opening([MASTER.pseudonym(person)])
    if seal is None:
        return None
    try:
        return seal.open(sealed, about=b"") == b"plain"
    except SealBroken:
        return False


async def seal_of(keys: LetterKeys, person: bytes) -> Seal:
    return (await keys.for_sealing([person]))[0].seal


async def test_what_is_sealed_for_a_person_opens(keys: LetterKeys, ana: bytes, bob: bytes) -> None:
    """By the same key each time that it is asked for, and by nobody else's."""
    sealed = (await seal_of(keys, ana)).seal(b"plain", about=b"")
    again = (await seal_of(keys, ana)).seal(b"plain", about=b"")
    await keys.for_sealing([bob])
    assert [await opens(keys, ana, one) for one in (sealed, again)] == [True, True]
    assert await opens(keys, bob, sealed) is False


async def test_a_person_without_letters(keys: LetterKeys, ana: bytes) -> None:
    """There is no key, and asking to open makes none."""
    for _ in range(2):
        assert await keys.for_opening([MASTER.pseudonym(ana)]) == [None]


async def test_who_is_erased(keys: LetterKeys, ana: bytes, bob: bytes) -> None:
    """No letter of before opens any more, also not by the key of a later one; others' do."""
    of = {person: (await seal_of(keys, person)).seal(b"plain", about=b"") for person in (ana, bob)}
    await keys.erase([ana])
    assert await opens(keys, ana, of[ana]) is None
    later = (await seal_of(keys, ana)).seal(b"plain", about=b"")
    assert [await opens(keys, ana, one) for one in (of[ana], later)] == [False, True]
    assert await opens(keys, bob, of[bob]) is True


async def test_an_erasure_is_told(
    keys: LetterKeys, redis: CountedRedis, ana: bytes, bob: bytes
) -> None:
    """With the key, from the consent that stands beside the profile."""
    consent = write_consent(Consent(erased_at=42))
    if isinstance(keys, MemoryLetterKeys):
        keys.consents[ana] = consent
    else:
        await redis.connection.ask([("SET", consent_redis_key(ana), consent)])
    assert [one.erased_at for one in await keys.for_sealing([ana, bob])] == [42, 0]


async def test_one_round_trip_for_a_batch(redis: CountedRedis, shop_id: str) -> None:
    """However many people, and whether they have keys or not; none for nobody."""
    keys = RedisLetterKeys(redis, MASTER)
    people = [event_key(shop_id, f"u:{number}") for number in range(2000)]
    for trips in (1, 2):
        assert len(await keys.for_sealing(people)) == 2000
        assert redis.trips == trips
    assert None not in await keys.for_opening([MASTER.pseudonym(person) for person in people])
    assert redis.trips == 3


async def test_a_key_lives_a_day_longer_than_its_last_letter(
    redis: CountedRedis, ana: bytes
) -> None:
    """Each letter has it live on; what Redis holds is wrapped, under a name that names nobody."""
    keys, name = RedisLetterKeys(redis, MASTER), letter_key_redis_key(MASTER.pseudonym(ana))
    assert b"ana" not in name
    await keys.for_sealing([ana])
    await redis.connection.ask([("PEXPIRE", name, 5000)])
    await keys.for_sealing([ana])
    left, wrapped = await redis.connection.ask([("PTTL", name), ("GET", name)])
    assert isinstance(left, int)
    assert isinstance(wrapped, bytes)
    assert 0 <= KEPT.total_seconds() * 1000 - left < 60_000
    assert len(MASTER.unwrap(wrapped, pseudonym=MASTER.pseudonym(ana))) == 32


async def test_a_key_expires() -> None:
    """The fake's clock."""
    now = [0.0]
    keys = MemoryLetterKeys(MASTER, clock=lambda: now[0])
    await keys.for_sealing([b"demo/u:ana"])
    now[0] = KEPT.total_seconds() - 1
    assert await keys.for_opening([MASTER.pseudonym(b"demo/u:ana")]) != [None]
    now[0] += 1
    assert await keys.for_opening([MASTER.pseudonym(b"demo/u:ana")]) == [None]


async def test_redis_is_away(own_redis: EmbeddedRedis, ana: bytes) -> None:
    """It is something to wait for: nothing is sealed under a key that is not kept."""
    connection = RedisConnection(own_redis.url)
    keys = RedisLetterKeys(connection, MASTER)
    own_redis.kill()
    for asked in (keys.for_sealing([ana]), keys.for_opening([ana]), keys.erase([ana])):
        with pytest.raises(RedisUnavailable):
            await asked
    await connection.close()
