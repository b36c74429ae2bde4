"""How much memory profiles of fifty events take in Redis.

The fold makes a profile of each of so many shoppers; the store keeps each under ten names, as
long as real ones: what Redis spends on a profile is the same, and folding takes a tenth.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np

from services.profiles.domain.draft import Draft
from services.profiles.domain.fold import addition
from services.shared.event_codec import decode_event
from services.shared.profile_store import NOTHING, RedisProfileStore, Write
from tests.bench.stream.legs import SEED
from tests.bench.stream.load import events, json_record
from tests.bench.stream.servers import Servers, connection

EVENTS: Final = 50
NAMES: Final = 10
RETENTION: Final = timedelta(days=90)


async def bytes_a_profile(servers: Servers, shoppers: int) -> float:
    """What Redis' memory grows by for each profile kept."""
    await servers.empty(append_only=False)
    before = await servers.memory()
    kept = 0
    async with connection(servers.redis.url) as redis:
        store = RedisProfileStore(redis)
        for name, value in profiles(shoppers):
            writes = [Write(name + b"%d" % n, NOTHING, value) for n in range(NAMES)]
            kept += sum(await store.save(writes, retention=RETENTION))
    return ((await servers.memory()).used - before.used) / kept


def profiles(shoppers: int) -> Iterator[tuple[bytes, bytes]]:
    """So many shoppers' names less their last letter, and their profiles."""
    random = np.random.default_rng(SEED)
    each = events(np.repeat(np.arange(shoppers), EVENTS), random=random, until=datetime.now(UTC))
    for key, records in groupby(map(json_record, each), key=itemgetter(0)):
        draft = Draft(b"")
        for record in records:
            draft.add(addition(decode_event(key, record.value, ())))
        yield key[:-1], draft.value()
