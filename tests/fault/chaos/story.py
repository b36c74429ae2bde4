"""A seed makes a story: waves of records, and the faults that strike while they are sent."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from tests.fault.chaos.shopping import Sent, Shops

WAVES = 3
WAVE_RECORDS = (600, 1_400)
AT_ONCE = 1_000_000
"""A rate, in records a second, that no producer reaches."""

RATES = (400, 800, AT_ONCE)
FAULTS_A_WAVE = (2, 3)

KINDS: dict[str, int] = {
    "worker_killed": 6,
    "worker_ended": 2,
    "worker_comes_and_goes": 2,
    "zombie": 2,
    "zombie_in_the_middle": 3,
    "redis_killed": 3,
    "redis_behind": 3,
    "redis_full": 2,
    "redis_still": 4,
    "kafka_killed": 1,
    "kafka_still": 1,
    "sent_again": 2,
}
"""What may strike during a wave, and how often; see :mod:`tests.fault.chaos.faults`."""

SET_BACK = "set_back"
"""What may strike after a wave."""

SET_BACK_SHARE = 0.2


class Fault(NamedTuple):
    """Something that breaks."""

    kind: str
    after: int
    """So many records of the wave are sent first."""
    delay: float
    """And then so many seconds pass."""
    lasts: float
    """Seconds."""
    pick: float
    """From 0 to 1: which of the workers, or which place in a topic."""


class Wave(NamedTuple):
    """Records, how fast they are sent, and what breaks meanwhile and afterwards."""

    records: Sequence[Sent]
    rate: int
    """Records a second."""
    faults: Sequence[Fault]
    set_back: Sequence[Fault]
    """After all is folded: the group is set back while no worker runs. None, or one."""

    def strikes_at(self, fault: Fault) -> float:
        """Seconds after the wave has begun, if the fault has to wait for nothing."""
        return fault.after / self.rate + fault.delay

    def flows_on(self, fault: Fault) -> float:
        """Seconds for which records are sent after it has struck; below 0 if none are."""
        return len(self.records) / self.rate - self.strikes_at(fault)


class Story(NamedTuple):
    """All that happens, but for the moments that only a machine decides."""

    seed: int
    shops: Sequence[str]
    static: bool
    """Whether workers have names in their group, that they keep when they start again."""
    waves: Sequence[Wave]

    @property
    def faults(self) -> Counter[str]:
        """How many of each kind."""
        return Counter(
            fault.kind for wave in self.waves for fault in (*wave.faults, *wave.set_back)
        )


def story(
    seed: int, *, name: str, now: datetime, only: Sequence[str] = tuple(KINDS), waves: int = WAVES
) -> Story:
    """The story of ``seed``; of shops named after ``name``, with faults of the kinds ``only``."""
    chance = random.Random(seed)
    shops = [f"{name}-{letter}" for letter in "ab"]
    shopping = Shops(chance, shops, now)
    static = chance.random() < 0.3
    return Story(seed, shops, static, [_wave(chance, shopping, only) for _ in range(waves)])


def _wave(chance: random.Random, shopping: Shops, only: Sequence[str]) -> Wave:
    records = shopping.records(chance.randint(*WAVE_RECORDS))
    rate = chance.choice(RATES)
    kinds = chance.choices(only, [KINDS[kind] for kind in only], k=chance.randint(*FAULTS_A_WAVE))
    faults = [_fault(chance, kind, len(records)) for kind in kinds]
    goes_back = chance.random() < SET_BACK_SHARE
    set_back = [_fault(chance, SET_BACK, len(records))] if goes_back else []
    return Wave(records, rate, faults, set_back)


def _fault(chance: random.Random, kind: str, records: int) -> Fault:
    """Most last for a moment, some for longer than those who wait are ready to."""
    lasts = chance.choices((0.3, 2.0, 7.0), (60, 30, 10))[0] * chance.uniform(0.5, 1.0)
    return Fault(
        kind, chance.randrange(records * 4 // 5), chance.uniform(0, 0.3), lasts, chance.random()
    )
