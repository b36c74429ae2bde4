"""Experiments: who is in which, and in which of its arms.

Experiments live in *layers*. A layer divides all shoppers into 10,000 buckets; an experiment has a
span of them, so that a shopper is in at most one experiment of a layer. Layers are independent:
being in an arm of one says nothing about the arms of another (Tang, Agarwal, O'Brien and Meyer,
"Overlapping Experiment Infrastructure", KDD 2010). ::

    bucket = hash(salt of the layer, unit) · 10,000 / 2⁶⁴
    arm    = the arm of the least -ln(hash(salt of the experiment, arm, unit) / 2⁶⁴) / share

The arm is the winner of a race (weighted rendezvous hashing; Schindelhauer and Schomaker,
SPAA 2005) rather than a place on a line cut by shares. A race moves only those who must move when
one arm's share changes beside all others, also among more than two arms: whoever moves, moves
to or from that arm.

Nothing is stored: any process that reads the same file assigns a shopper to the same arms, and
whoever knows the file can tell later who was in which.

The unit is a shopper, named as in :mod:`services.shared.subject`: ``shop_id/subject``. The structs
are what a scenario's file holds; one that breaks a rule below is refused with a sentence, by
``msgspec.convert`` as a ValidationError that names the place, made by hand as a ValueError.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec
import xxhash
from msgspec import Meta

BUCKETS: Final = 10_000
"""Of a layer: a hundredth of a per cent is the least traffic."""
TOLERANCE: Final = 1e-6
"""How far shares may be from 1 in sum: decimals round."""
ARMS: Final = 8
"""Of one experiment, at most; more would each need too many shoppers."""

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
Share = Annotated[float, Meta(gt=0, lt=1)]
Text = Annotated[str, Meta(min_length=1, max_length=1_000)]
Days = Annotated[int, Meta(ge=0, le=90)]

Outcome = Literal["spend", "attributed_spend", "conversion"]
"""Of a shopper within the window: money for all that was bought, money for what was bought
from a list of ours, or whether anything was bought."""

Harm = Literal["fallback", "late", "no_purchase"]
"""What a guard watches: something that befalls a shopper or not. The first answer was a fallback;
it took longer than ``limit_ms``; within the window nothing was bought."""


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What arms are compared by: the mean of an outcome over shoppers."""

    outcome: Outcome
    currency: Annotated[str, Meta(pattern=r"^([A-Z]{3})?\Z")] = ""
    """Of spends; purchases in another one count nothing."""
    cap: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    """Of spends, in units of the currency: what a shopper spends beyond it does not count. Fixed
    before the experiment, from spends of before; see the decision on experiments."""
    least_uplift: Annotated[float, Meta(gt=0, lt=1)] = 0.01
    """The least difference that would matter, as a share of the control's mean."""

    def __post_init__(self) -> None:
        """Money has a currency and a cap, a share has neither."""
        if self.outcome == "conversion":
            if self.currency or self.cap:
                raise ValueError("a conversion has neither currency nor cap")
        elif not self.currency or not self.cap:
            raise ValueError("a spend needs its currency, and a cap taken from earlier spends")


class Guard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An arm is stopped where a harm befalls more of its shoppers than of the control's.

    Attribution finds that out at its next look and tells the servers, see
    :mod:`services.shared.stopped_arms`; to them it is then as if its file said ``stopped``.
    """

    harm: Harm
    margin: Share
    """By how much the share may be above the control's: 0.01 allows 3 % beside 2 %."""
    usual: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """About what the share is without the experiment; the nearer, the sooner harm is seen."""
    window_days: Days = 0
    """Of ``no_purchase``; what the first answer was is known at once."""
    limit_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    """Of ``late``: milliseconds."""

    def __post_init__(self) -> None:
        """Each harm is told what it needs, and no more."""
        if bool(self.window_days) != (self.harm == "no_purchase"):
            raise ValueError("a guard has window_days where its harm is no_purchase, only there")
        if bool(self.limit_ms) != (self.harm == "late"):
            raise ValueError("a guard has limit_ms where its harm is late, and only there")


class Arm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way of serving shoppers."""

    name: Name
    share: Share
    """Of the experiment's shoppers."""
    stopped: bool = False
    """Its shoppers are served as the control's from now on. They stay its own, so that nobody
    else's arm changes and the shares of all arms can still be checked."""


class Experiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is tried, on whom, and how it will be judged; all of it fixed before the first one."""

    name: Name
    layer: Name
    salt: Name
    """Other shoppers in other arms under another salt; unlike all other salts of the file."""
    traffic: tuple[int, int]
    """Buckets of the layer from the first up to but without the second: [0, 5000] is half."""
    arms: tuple[Arm, ...]
    """The control first."""
    hypothesis: Text
    """What is expected, and why, in words."""
    metric: Metric
    window_days: Annotated[int, Meta(ge=1, le=90)]
    """Days from a shopper's first exposure within which the outcome counts."""
    planned_shoppers: Annotated[int, Meta(ge=100, le=10**9)]
    """Of all arms. The experiment may be read sooner and later; here it tells most."""
    guards: tuple[Guard, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where traffic, arms or guards are not as they must be."""
        first, end = self.traffic
        if not 0 <= first < end <= BUCKETS:
            raise ValueError(f"{self.name}: traffic is [first, end] within 0 and {BUCKETS}")
        if not 2 <= len(self.arms) <= ARMS:
            raise ValueError(f"{self.name}: an experiment has 2 to {ARMS} arms, the control first")
        _refuse_twice(f"{self.name}: arms are named", (arm.name for arm in self.arms))
        total = math.fsum(arm.share for arm in self.arms)
        if abs(total - 1) > TOLERANCE:
            raise ValueError(f"{self.name}: the arms' shares sum to {total:g}, not to 1")
        if self.control.stopped:
            raise ValueError(f"{self.name}: the control cannot be stopped")
        _refuse_twice(f"{self.name}: guards watch", (guard.harm for guard in self.guards))

    @property
    def control(self) -> Arm:
        """The arm that all others are compared with."""
        return self.arms[0]

    def has(self, bucket: int) -> bool:
        """Whether shoppers of a bucket of its layer are in it."""
        return self.traffic[0] <= bucket < self.traffic[1]


class Layer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Experiments that share no shopper."""

    name: Name
    salt: Name


class Experiments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that run at a time."""

    layers: tuple[Layer, ...] = ()
    experiments: tuple[Experiment, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a name or salt used twice, or spans that overlap."""
        _refuse_twice("layers are named", (layer.name for layer in self.layers))
        _refuse_twice("experiments are named", (each.name for each in self.experiments))
        salts = [each.salt for each in self.layers] + [each.salt for each in self.experiments]
        _refuse_twice("layers and experiments are salted with", salts)
        layers = {layer.name for layer in self.layers}
        for each in self.experiments:
            if each.layer not in layers:
                raise ValueError(f"{each.name}: there is no layer {each.layer}")
        for layer in self.layers:
            _refuse_overlap(self.of(layer))

    def of(self, layer: Layer) -> Sequence[Experiment]:
        """The experiments of a layer."""
        return [each for each in self.experiments if each.layer == layer.name]


class Assignment(msgspec.Struct, frozen=True):
    """Where a shopper is in one experiment."""

    experiment: str
    arm: str
    """Whose figures the shopper counts in."""
    served: str
    """The arm by which the shopper is served: the control where ``arm`` is stopped."""


def assigned(experiments: Experiments, unit: str) -> tuple[Assignment, ...]:
    """Where a shopper is: in at most one experiment of each layer, in the layers' order."""
    found = []
    for layer in experiments.layers:
        bucket = bucket_of(layer.salt, unit)
        for each in experiments.experiments:
            if each.layer == layer.name and each.has(bucket):
                arm = arm_of(each, unit)
                served = each.control if arm.stopped else arm
                found.append(Assignment(each.name, arm.name, served.name))
    return tuple(found)


def with_stopped(experiments: Experiments, arms: Container[tuple[str, str]]) -> Experiments:
    """The same, with these arms stopped as well, each named by its experiment and itself.

    A control is never stopped, even if a file has made a control of what was an arm.
    """

    def of(each: Experiment) -> Experiment:
        told = (
            msgspec.structs.replace(arm, stopped=True) if (each.name, arm.name) in arms else arm
            for arm in each.arms[1:]
        )
        return msgspec.structs.replace(each, arms=(each.control, *told))

    found = tuple(of(each) for each in experiments.experiments)
    return msgspec.structs.replace(experiments, experiments=found)


def bucket_of(salt: str, unit: str) -> int:
    """The bucket of a shopper in the layer of that salt, from 0."""
    return (_hash(salt, unit) * BUCKETS) >> 64


def arm_of(experiment: Experiment, unit: str) -> Arm:
    """The arm of a shopper who is in the experiment, by the race that the module describes."""

    def arrival(arm: Arm) -> float:
        return -math.log((_hash(experiment.salt, arm.name, unit) + 0.5) / 2**64) / arm.share

    return min(experiment.arms, key=arrival)


def _hash(*names: str) -> int:
    """64 bits of names, of which all but the last have no slash."""
    return xxhash.xxh3_64_intdigest("/".join(names).encode())


def _refuse_twice(said: str, names: Iterable[str]) -> None:
    name, times = max(Counter(names).items(), key=lambda each: each[1], default=("", 0))
    if times > 1:
        raise ValueError(f"{said} {name} {times} times")


def _refuse_overlap(experiments: Sequence[Experiment]) -> None:
    for one, other in pairwise(sorted(experiments, key=lambda each: each.traffic)):
        if other.traffic[0] < one.traffic[1]:
            raise ValueError(f"{one.name} and {other.name} share buckets of layer {one.layer}")
