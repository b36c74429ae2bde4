"""Joins what is known of data, machine and learning curve to a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from model_export.planning.costs import PHASES
from model_export.planning.facts import Facts
from model_export.planning.learning import Foretold
from model_export.planning.machine import Machine
from model_export.planning.memory import Memory, bundle_bytes, memory, state_bytes
from model_export.planning.workload import Workload, workload
from model_export.settings import TrainSettings

SUREST: Final = 0.2
"""No estimate claims to be nearer than this share: machines have neighbours."""


class Time(msgspec.Struct, frozen=True):
    """Seconds; the range is the middle less and more the machine's error."""

    processor: float
    clock: float
    low: float
    high: float
    """By the clock."""
    soonest: float
    """By the clock, if no epoch after the first is better and patience ends it."""
    phases: Mapping[str, float]
    """Processor seconds of all epochs by what was done."""


class Plan(msgspec.Struct, frozen=True):
    """All that ``plan --json`` prints."""

    data: str
    users: int
    items: int
    interactions: int
    settings: TrainSettings
    work: Workload
    machine: Machine
    note: str
    """Where the machine's figures are not of this machine; else empty."""
    time: Time
    memory: Memory
    bundle_bytes: int
    state_bytes: int
    accuracy: Foretold | None


def plan(
    facts: Facts,
    settings: TrainSettings,
    machine: Machine,
    *,
    note: str = "",
    accuracy: Foretold | None = None,
) -> Plan:
    """What training ``facts`` with ``settings`` on ``machine`` comes to."""
    work = workload(facts, settings)
    return Plan(
        data=facts.name,
        users=facts.users,
        items=facts.items,
        interactions=facts.told.interactions,
        settings=settings,
        work=work,
        machine=machine,
        note=note,
        time=_time(work, machine, settings),
        memory=memory(work, machine.base_bytes),
        bundle_bytes=bundle_bytes(work),
        state_bytes=state_bytes(work),
        accuracy=accuracy,
    )


def seconds(work: Workload, machine: Machine, epochs: int) -> dict[str, float]:
    """Processor seconds of each phase in so many epochs.

    Those that learn as codes come on top. Training again with the validation part is counted as
    if that part were nothing; what making codes takes, minutes for a million products, is not.
    """
    epochs += work.more
    times = {"begin": 1.0, "prepare": epochs, "step": work.steps * epochs, "validate": epochs}
    found = {"load": machine.loaded}
    for phase, terms in PHASES.items():
        constants = machine.seconds[phase]
        once = sum(constants[name] * amount for name, amount in terms(work).items())
        found[phase] = times[phase] * once
    if work.refit:
        found["refit"] = found["begin"] + found["prepare"] + found["step"]
    return found


def _time(work: Workload, machine: Machine, settings: TrainSettings) -> Time:
    phases = seconds(work, machine, work.epochs)
    whole = sum(phases.values())
    soonest = sum(seconds(work, machine, min(work.epochs, 1 + settings.patience)).values())
    wrong = 1 + max(SUREST, 2 * machine.error)
    clock = whole * machine.clock
    return Time(
        processor=whole,
        clock=clock,
        low=clock / wrong,
        high=clock * wrong,
        soonest=soonest * machine.clock,
        phases=phases,
    )
