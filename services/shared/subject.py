"""How a shopper, and what belongs to one, is named in Kafka and in Redis.

A *subject* is ``u:`` + user id where there is a user, else ``v:`` + visitor id. The key of
a ``shopper-events`` record is ``shop_id/subject``; all Redis keys that name a shopper share the
hash tag ``{shop_id/subject}``, so a Redis Cluster keeps them in one slot.
"""

from __future__ import annotations

from typing import Final


def subject_of(user_id: str, visitor_id: str) -> str:
    """``u:`` + the user, else ``v:`` + the visitor. One of them must be set."""
    return f"u:{user_id}" if user_id else f"v:{visitor_id}"


def event_key(shop_id: str, subject: str) -> bytes:
    """The key of a ``shopper-events`` record."""
    return f"{shop_id}/{subject}".encode()


def product_key(shop_id: str, product_id: str) -> bytes:
    """The key of a ``catalog`` or ``offers`` record."""
    return f"{shop_id}/{product_id}".encode()


def split_key(key: bytes) -> tuple[str, str]:
    """The two parts of a key; a shop id has no slash, so the first one parts them.

    Raises ValueError for a key without a slash or that is not UTF-8.
    """
    shop_id, slash, rest = key.decode().partition("/")
    if not (shop_id and slash and rest):
        raise ValueError("a key must be shop_id/id")
    return shop_id, rest


GENERATION_REDIS_KEY: Final = b"attune:profiles:generation"
"""Where Redis keeps which generation of profiles is the present one, and which is being made."""


def profile_redis_key(name: bytes, generation: int = 0) -> bytes:
    """Where Redis keeps a profile; ``name`` is ``shop_id/subject``."""
    return b"attune:profile:%d:{%b}" % (generation, name)


def consent_redis_key(name: bytes) -> bytes:
    """Where Redis keeps what a shopper has allowed; ``name`` is ``shop_id/subject``."""
    return b"attune:consent:{%b}" % name


def letter_key_redis_key(pseudonym: bytes) -> bytes:
    """Where Redis keeps the wrapped key of a person's dead letters, by the person's pseudonym.

    Without the hash tag: a letter names nobody, and its key must be found from the letter.
    """
    return b"attune:letter-key:" + pseudonym.hex().encode()


def folded_redis_key(topic_id: str, partition: int) -> str:
    """Where Redis keeps how far a partition is folded; ``topic_id`` is Kafka's own.

    See :mod:`services.shared.folded`.
    """
    return f"attune:folded:{topic_id}:{partition}"


def trend_redis_key(shop_id: str, partition: int, hour: int) -> str:
    """Where Redis keeps one hour's counts of one partition; ``hour`` is Unix time // 3600."""
    return f"attune:trend:{{{shop_id}/{partition}}}:{hour}"


def trend_fence_redis_key(shop_id: str, partition: int) -> str:
    """Where Redis keeps the offset up to which a partition's events are counted."""
    return f"attune:trend:{{{shop_id}/{partition}}}:fence"


def trend_partitions_redis_key(shop_id: str) -> str:
    """Where Redis keeps the set of partitions that have trend counts."""
    return f"attune:trend:{{{shop_id}}}:partitions"


ATTRIBUTION_PARTITIONS_REDIS_KEY: Final = b"attune:attribution:partitions"
"""Where Redis keeps the numbers of the partitions that have figures."""


def attribution_fence_redis_key(partition: int) -> bytes:
    """Where Redis keeps up to which records of a partition all of its figures are counted."""
    return b"attune:attribution:{%d}:fence" % partition


def trail_redis_key(partition: int, pseudonym: bytes) -> bytes:
    """Where Redis keeps what a shopper was shown and did; with the figures that follow from it."""
    return b"attune:attribution:{%d}:trail:%b" % (partition, pseudonym.hex().encode())


def trail_dues_redis_key(partition: int) -> bytes:
    """Where Redis keeps when the next window of which trail closes."""
    return b"attune:attribution:{%d}:dues" % partition


def trail_inbox_redis_key(partition: int) -> bytes:
    """Where Redis keeps what users did on whose devices, until it is added to those trails."""
    return b"attune:attribution:{%d}:inbox" % partition


def figures_redis_key(partition: int, shop_id: str, day: int) -> bytes:
    """Where Redis keeps a day's figures of one partition; ``day`` is Unix time // 86400."""
    return b"attune:attribution:{%d}:figures:%b:%d" % (partition, shop_id.encode(), day)


def experiments_redis_key(partition: int, shop_id: str) -> bytes:
    """Where Redis keeps what was counted of a shop's experiments in one partition."""
    return b"attune:attribution:{%d}:experiments:%b" % (partition, shop_id.encode())


def experiment_course_redis_key(shop_id: str, experiment: str) -> bytes:
    """Where Redis keeps what became of an experiment from look to look."""
    return b"attune:attribution:course:%b/%b" % (shop_id.encode(), experiment.encode())


def stopped_arms_redis_key(shop_id: str) -> bytes:
    """Where Redis keeps which arms of a shop's experiments a guard has stopped.

    See :mod:`services.shared.stopped_arms`.
    """
    return b"attune:attribution:stopped:%b" % shop_id.encode()
