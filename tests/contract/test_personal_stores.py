"""What every store of persons' data must do, on real Redis and Kafka; and that none is missing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.redis import EmbeddedRedis
from deploy.local.topics import TOPICS
from services.archive.domain.tables import TABLES
from services.attribution.adapters.redis_trails import RedisTrailStore
from services.attribution.adapters.trail_store import BatchWrite, Letter, Name, TrailWrite
from services.attribution.domain.fence import read_fence
from services.attribution.domain.letter import write_letter
from services.profiles.adapters.dead_letters import KafkaDeadLetters
from services.recommendations.adapters.log_topic import KafkaLogTopic
from services.shared import subject
from services.shared.archive_log import Partition
from services.shared.archive_persons import PLACE
from services.shared.archive_storage import open_storage
from services.shared.consent import Consent, read_consent, write_consent
from services.shared.dead_letter import Origin, Refused, Whose
from services.shared.errors import KafkaUnavailable
from services.shared.kafka import describe_topics, topic_settings
from services.shared.letter_keys import RedisLetterKeys
from services.shared.personal_data import AT_ONCE, Entry, Person, PersonalStore
from services.shared.personal_stores import NOTHING_PERSONAL, personal_stores
from services.shared.profile import Profile, Touch
from services.shared.profile_codec import encode
from services.shared.profile_generations import Generations, change
from services.shared.redis_connection import RedisConnection
from services.shared.redis_persons import RedisPersons
from services.shared.sealed_answers import SealedAnswers
from services.shared.sealed_letters import SealedLetters
from services.shared.subject import consent_redis_key, profile_redis_key
from services.shared.topic_persons import TopicPersons
from services.shared.trail import Act, Line, Trail, write_trail
from services.shared.trying import insist
from tests.archive_parts import MASTER, archivist, record_at
from tests.attribution_parts import answer
from tests.profile_events import view
from tests.worker_kafka import producer

NOW = 1_800_000_000_000_000
PARTITION = 3
SEEN = encode(Profile(first_seen=1, last_seen=2, views=(Touch(1, 1, 0, "mug"),)))


class Parts(NamedTuple):
    """The registry on real servers, and what it stands on."""

    stores: dict[str, PersonalStore]
    """By each of their places."""
    redis: RedisConnection
    redis_url: str
    kafka_servers: str
    prefix: str
    archive: Path


@pytest.fixture
async def parts(
    redis_url: str, kafka_servers: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Parts]:
    names = [topic_prefix + topic.name for topic in TOPICS]
    await insist(lambda: describe_topics(kafka_servers, names), doing="find the topics")
    redis = RedisConnection(redis_url)
    made = personal_stores(
        redis=redis,
        kafka_servers=kafka_servers,
        topics={topic.name: topic_prefix + topic.name for topic in TOPICS},
        archive=open_storage(str(tmp_path)),
        master=MASTER,
    )
    stores = {place: store for store in made for place in store.places}
    yield Parts(stores, redis, redis_url, kafka_servers, topic_prefix, tmp_path)
    await redis.close()


def places_there_are() -> set[str]:
    """Every key of Redis that is named, every topic, and every table of the archive."""
    keys = {name for name in vars(subject) if name.lower().endswith("_redis_key")}
    tables = {PLACE + table.name for table in TABLES}
    return keys | {topic.name for topic in TOPICS} | tables


def test_no_place_is_forgotten(parts: Parts) -> None:
    """A key or topic that no store answers for, and of which nobody said that it is harmless."""
    claimed = [place for store in set(parts.stores.values()) for place in store.places]
    assert len(claimed) == len(set(claimed))
    assert set(claimed) | set(NOTHING_PERSONAL) == places_there_are()
    assert not set(claimed) & set(NOTHING_PERSONAL)


async def put(parts: Parts, place: str, person: Person) -> None:
    """Have something of the person in a store."""
    seen = view(1, user=person.subject.removeprefix("u:")) | {"shopId": person.shop_id}
    if place in ("profile_redis_key", "consent_redis_key"):
        await parts.redis.ask([("SET", profile_redis_key(person.name), SEEN)])
    elif place in ("dead-letters", "letter_key_redis_key"):
        await put_letter(parts, refused(person))
    elif place == "recommendation-log":
        await log_answer(parts, person)
    elif place in ("trail_redis_key", "trail_dues_redis_key", "trail_inbox_redis_key"):
        await put_trail(parts, person)
    elif place.startswith(PLACE):
        partition = Partition(place.removeprefix(PLACE), "T0pic-id", 0)
        ours = archivist(open_storage(str(parts.archive)), partition)
        ours.archive([record_at(seen, ours.log.next)])
    else:
        async with producer(parts.kafka_servers) as to:
            await to.send_and_wait(parts.prefix + place, json.dumps(seen).encode(), person.name)


def people(shop_id: str) -> tuple[Person, Person]:
    return Person(shop_id, "u:ana"), Person(shop_id, "u:ben")


def refused(*people: Person) -> Refused:
    """A record about these that was refused."""
    whose = Whose(people[0].shop_id, tuple(person.name for person in people))
    origin = Origin("shopper-events", "id", 0, 0)
    return Refused(origin, 7, people[0].name, b"mug", (), "EVENT_NOT_JSON", "why", whose)


async def put_letter(parts: Parts, one: Refused) -> None:
    letters = SealedLetters(MASTER, RedisLetterKeys(parts.redis, MASTER))
    to = KafkaDeadLetters(parts.kafka_servers, parts.prefix + "dead-letters", letters)
    await to.send([one])
    await to.close()


async def log_answer(parts: Parts, person: Person) -> None:
    """Have the log hold an answer to the person."""
    answers = SealedAnswers(MASTER, RedisLetterKeys(parts.redis, MASTER))
    shop_id, user = person.shop_id, person.subject.removeprefix("u:")
    to = KafkaLogTopic(parts.kafka_servers, parts.prefix + "recommendation-log")
    await to.write(await answers.seal([answer("t", shop_id=shop_id, user=user)]))
    await to.close()


async def put_trail(parts: Parts, person: Person) -> None:
    """Have the person's trail hold a purchase."""
    store = RedisTrailStore(parts.redis)
    name = Name(person.shop_id, MASTER.pseudonym(person.name))
    bought = Act(NOW, 1, "purchase", lines=(Line("mug", 1),))
    trail = write_trail(Trail(person.shop_id, NOW, acts=(bought,)))
    before = await store.claim(PARTITION)
    fence = read_fence(before)._replace(number=read_fence(before).number + 1)
    ends = NOW // 1_000_000 + 3600
    wrote = BatchWrite(before, fence.text, [TrailWrite(name, trail, ends, None)], {}, 0)
    assert await store.write(PARTITION, wrote)


async def test_a_trail_that_is_written_while_it_is_forgotten(parts: Parts, shop_id: str) -> None:
    """What was made from a trail before it was forgotten is not written after."""
    store, ana = parts.stores["trail_redis_key"], people(shop_id)[0]
    await put_trail(parts, ana)
    kept = RedisTrailStore(parts.redis)
    name = Name(shop_id, MASTER.pseudonym(ana.name))
    held = await kept.read(PARTITION, [name])
    await store.erase(ana)
    late = TrailWrite(name, held.trails[0], NOW // 1_000_000 + 3600, None)
    assert not await kept.write(PARTITION, BatchWrite(held.fence, "9 a:1 b:1", [late], {}, 0))
    assert not await store.find(ana)


async def test_a_letter_on_its_way_to_a_trail(parts: Parts, shop_id: str) -> None:
    """It is found, and goes with the trail that it is for; another's stays."""
    store, (ana, ben) = parts.stores["trail_redis_key"], people(shop_id)
    kept = RedisTrailStore(parts.redis)
    await kept.claim(PARTITION)
    for person in (ana, ben):
        name = Name(shop_id, MASTER.pseudonym(person.name))
        letter = write_letter(name.text, Act(NOW, 1, "purchase", lines=(Line("mug", 1),)))
        await kept.post([Letter(PARTITION, letter)])
    assert await store.find(ana)
    await store.erase(ana)
    assert not await store.find(ana)
    assert await store.find(ben)


async def test_a_letter_about_two_people(parts: Parts, shop_id: str) -> None:
    """Each hears of it and not what is in it, as that is the other's, too; it goes with either."""
    store, ana, ben = parts.stores["dead-letters"], *people(shop_id)
    await put_letter(parts, refused(ana, ben))
    for person in (ana, ben):
        (entry,) = await told(store, person)
        assert (entry["code"], "value" in entry) == ("EVENT_NOT_JSON", False)
    assert await store.erase(ana) == AT_ONCE
    assert not await store.find(ben)


async def test_a_letter_in_the_clear(parts: Parts, shop_id: str) -> None:
    """One of an older release is found, and stays for as long as the topic keeps it."""
    store, ana, ben = parts.stores["dead-letters"], *people(shop_id)
    async with producer(parts.kafka_servers) as to:
        await to.send_and_wait(parts.prefix + "dead-letters", b"mug", ana.name)
    assert [entry["value"] for entry in await told(store, ana)] == ["mug"]
    assert await store.erase(ana) == timedelta(days=30)
    assert await store.erase(ben) == AT_ONCE


async def told(store: PersonalStore, person: Person) -> list[Entry]:
    return [entry async for entry in store.export(person)]


@pytest.mark.parametrize("place", sorted(places_there_are() - set(NOTHING_PERSONAL)))
async def test_found_told_and_forgotten(parts: Parts, place: str, shop_id: str) -> None:
    """Of one person, and of nobody else; what stays for a while is said to."""
    store = parts.stores[place]
    ana, ben = people(shop_id)
    assert not await store.find(ana)
    await put(parts, place, ana)
    await put(parts, place, ben)
    assert await store.find(ana)
    entries = await told(store, ana)
    assert len(entries) == 1
    assert "mug" in str(entries)
    assert "ben" not in str(entries)
    gone_after = await store.erase(ana)
    assert await store.erase(ana) == gone_after
    assert await store.find(ana) == (gone_after > AT_ONCE)
    assert await store.find(ben)


@pytest.mark.parametrize("allows", [True, False])
async def test_what_was_forgotten_stays_so(parts: Parts, shop_id: str, allows: bool) -> None:
    """The moment is kept beside what the person has allowed, which erasing does not change."""
    ana = Person(shop_id, "u:ana")
    key = consent_redis_key(ana.name)
    if not allows:
        asked = write_consent(Consent(personalization=False))
        await parts.redis.ask([("SET", key, asked)])
    store = RedisPersons(parts.redis, now_micros=lambda: NOW)
    await store.erase(ana)
    (kept,) = await parts.redis.ask([("GET", key)])
    assert read_consent(cast("bytes", kept)) == Consent(allows, NOW)
    assert await told(store, ana) == [
        {"kind": "consent", "personalization": allows, "erased_at": NOW}
    ]


async def test_profiles_of_every_generation_are_forgotten(own_redis: EmbeddedRedis) -> None:
    """Also of the one that a rebuild is making, and of the one before the last switch."""
    redis = RedisConnection(own_redis.url)
    await change(redis, Generations(0, None), Generations(1, 2))
    ana = Person("demo", "u:ana")
    keys = [profile_redis_key(ana.name, generation) for generation in range(3)]
    await redis.ask([("SET", key, SEEN) for key in keys])
    await RedisPersons(redis).erase(ana)
    assert await redis.ask([("EXISTS", *keys)]) == [0]
    await redis.close()


async def test_consent_that_changes_meanwhile(parts: Parts, shop_id: str) -> None:
    """What a person says while being forgotten is not lost."""
    ana = Person(shop_id, "u:ana")
    key = consent_redis_key(ana.name)

    class Changing(RedisConnection):
        """Redis, in which the person says something before the first write."""

        said = False

        async def ask(self, commands: Any, *, within: float = 5.0) -> Any:
            if commands[0][0] == "SCRIPT" and not self.said:
                self.said = True
                asked = write_consent(Consent(personalization=False))
                await super().ask([("SET", key, asked)])
            return await super().ask(commands, within=within)

    redis = Changing(parts.redis_url)
    await RedisPersons(redis, now_micros=lambda: NOW).erase(ana)
    (kept,) = await redis.ask([("GET", key)])
    assert read_consent(cast("bytes", kept)) == Consent(False, NOW)
    await redis.close()


async def test_a_topic_that_keeps_for_ever(parts: Parts) -> None:
    """Nothing in it could be forgotten; whoever asks is told to change that."""
    store = TopicPersons(parts.kafka_servers, parts.prefix + "eternal", place="eternal")
    admin = AIOKafkaAdminClient(bootstrap_servers=parts.kafka_servers)
    await admin.start()
    settings = {"retention.ms": "-1"}
    await admin.create_topics([NewTopic(parts.prefix + "eternal", 1, 1, topic_configs=settings)])
    await admin.close()
    name = parts.prefix + "eternal"
    await insist(lambda: topic_settings(parts.kafka_servers, name), doing="find the topic")
    with pytest.raises(KafkaUnavailable, match="keeps records for ever"):
        await store.erase(Person("demo", "u:ana"))
