"""Which profiles are the present ones, and whether a rebuild is making the next.

Every profile's key holds the number of its generation. While the next one is being made,
whoever writes profiles writes both, the next one first; so at each moment the next generation
has whatever a batch has brought to the present one since, and the switch, one key, changes no
answer.
"""

from __future__ import annotations

from typing import Final, NamedTuple, cast

from services.shared.redis_connection import Redis
from services.shared.subject import GENERATION_REDIS_KEY

CHANGE: Final = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
"""KEYS: generations. ARGV: what the key must hold ('' for nothing), what it then holds."""


class Generations(NamedTuple):
    """The generation that is read, and the one that is being made, if any."""

    present: int
    making: int | None


def read_generations(text: bytes | None) -> Generations:
    """What the key says; nothing means that the first generation, 0, is the present one."""
    present, _, making = (text or b"0").partition(b" ")
    return Generations(int(present), int(making) if making else None)


async def change(redis: Redis, before: Generations, after: Generations) -> bool:
    """Make the key say ``after``; False where it does not say ``before``.

    Raises RedisUnavailable; then it may have been changed.
    """
    (text,) = await redis.ask([("GET", GENERATION_REDIS_KEY)])
    found = cast("bytes | None", text)
    if read_generations(found) != before:
        return False
    told = ("EVAL", CHANGE, 1, GENERATION_REDIS_KEY, found or b"", _text(after))
    return (await redis.ask([told])) == [1]


def _text(generations: Generations) -> bytes:
    return b" ".join(b"%d" % each for each in generations if each is not None)
