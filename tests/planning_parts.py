"""A machine and a learning curve of round figures, for tests of plans."""

from __future__ import annotations

from model_export.planning.costs import PHASES
from model_export.planning.facts import assumed
from model_export.planning.learning import Curve, Point
from model_export.planning.machine import Machine
from model_export.planning.workload import Workload, workload
from model_export.settings import TrainSettings, train_settings
from model_export.training.rules import derived


def settings_of(users: int, items: int, events: int) -> TrainSettings:
    """What the rules derive for data of this size."""
    return train_settings(dict(derived(assumed(users, items, events).told)))


def work_of(users: int, items: int, events: int, **told: object) -> Workload:
    """The work of data of this size, with the settings that the rules derive and those told."""
    facts = assumed(users, items, events)
    return workload(facts, train_settings({**derived(facts.told), **told}))


def machine(*, threads: int = 1, device: str = "cpu", each: float = 1e-9) -> Machine:
    """Every term of every phase takes ``each`` seconds."""
    terms = {phase: terms_of(work_of(300, 50, 3_000)) for phase, terms_of in PHASES.items()}
    return Machine(
        processor="a test's",
        cores=2,
        threads=threads,
        device=device,
        torch="2",
        loaded=2.0,
        base_bytes=100_000_000,
        seconds={phase: dict.fromkeys(names, each) for phase, names in terms.items()},
        clock=1.0,
        error=0.1,
    )


def curve(a: float, b: float, c: float, *, width: float = 0.0, most: int = 1_000_000) -> Curve:
    """Points of a - b · n^-c at 10, 25, 50 and 100 % of ``most``, intervals so wide."""
    points = []
    for share in (0.1, 0.25, 0.5, 1.0):
        y = a - b * (share * most) ** -c
        points.append(Point(share, round(share * most), (y, y - width / 2, y + width / 2)))
    return Curve("a shop", points)
