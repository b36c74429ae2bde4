"""One model exchanged under load: published, in the shadow, canary, promoted, rolled back."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from deploy.local.demo.narration import Narrator
from deploy.local.demo.staging import promise, shown
from deploy.local.demo_serving.commands import Operator
from deploy.local.demo_serving.load import CALLS_A_SECOND, WARMING_UP, Load, Phase
from deploy.local.demo_serving.second_bundle import reblended
from deploy.local.kept import SECOND_BUNDLE
from deploy.local.metrics import metric
from deploy.local.told import BUNDLE, SHOP

MODELS: Final = "services.recommendations models"
FACTOR: Final = 3.0
SHARE: Final = 0.2
SAMPLE: Final = 0.5
QUIET_SECONDS: Final = 4.0
"""How long each state lasts, so that its calls can be told from those of the next."""
WITHIN_SECONDS: Final = 40.0
LEAST_COMPARED: Final = 50
"""Answers, before the comparison is shown."""
EACH_SECONDS: Final = 0.2
COMPARED_EACH_SECONDS: Final = 3.0
"""Asking is a process of its own, and servers say what they saw every quarter of a minute."""
COMPARED: Final = 'shadow_answers_total{outcome="compared"'

ALONE: Final = "one model"
PUBLISHED: Final = "the second is published"
SHADOW: Final = "in the shadow"
CANARY: Final = f"canary, {SHARE:.0%}"
PROMOTED: Final = "promoted"
ROLLED_BACK: Final = "rolled back"


class Exchanged(msgspec.Struct, frozen=True):
    """What became of the calls, and how the two models compare."""

    first: str
    second: str
    phases: list[Phase]
    overlap_at_10: float


class Exchanging(NamedTuple):
    """What the step works with."""

    load: Load
    operator: Operator
    narrator: Narrator
    server_metrics: str

    async def show(self, folder: Path, first: str) -> Exchanged:
        """Go through all states of a bundle. Raises DemoFailed."""
        place = folder / SECOND_BUNDLE
        second = await asyncio.to_thread(reblended, BUNDLE, place, factor=FACTOR)
        self.narrator.tell(
            f"A second bundle is made of the first: likeness to the history counts {FACTOR:g} "
            "times as much, and it is sealed anew. (A real one comes from `model_export`, and is "
            f"evaluated.) Now calls begin, {CALLS_A_SECOND:.0f} a second, which do not stop until "
            "the second model was there and is gone again."
        )
        self.narrator.say()
        async with self.load.running():
            await asyncio.sleep(QUIET_SECONDS)
            await self._quiet(ALONE)
            await self._command(PUBLISHED, f"publish {shown(place)}")
            overlap = await self._shadow(second)
            await self._command(CANARY, f"canary {second} --share {SHARE:g}")
            answered = await self.load.until_answered_by(second, within=WITHIN_SECONDS)
            promise(answered, "the canary answers nobody")
            await self._quiet(CANARY)
            await self._over_to(PROMOTED, f"promote --why demo {second}", second)
            await self._over_to(ROLLED_BACK, "rollback --why demo", first)
        return self._summed(Exchanged(first, second, self.load.phases(), overlap))

    async def _quiet(self, phase: str) -> None:
        self.load.phase = phase
        await asyncio.sleep(QUIET_SECONDS)

    async def _command(self, phase: str, command: str) -> None:
        self.load.phase = phase
        name, _, rest = command.partition(" ")
        told = f"{MODELS} {name} --shop {SHOP} {rest}"
        await asyncio.to_thread(self.operator.types, told)

    async def _shadow(self, second: str) -> float:
        """Have it in the shadow until servers have said how it compares; the overlap."""
        await self._command(SHADOW, f"shadow {second} --sample {SAMPLE:g}")
        never = "the comparison in the shadow does not come"
        await _eventually(lambda: metric(self.server_metrics, COMPARED) >= LEAST_COMPARED, never)
        ask = f"{MODELS} show --shop {SHOP} --compare --json"

        def compared() -> dict[str, Any] | None:
            home = json.loads(self.operator.asks(ask))["scenarios"].get("home", {})
            return home if home.get("compared", 0) >= LEAST_COMPARED else None

        found = await _eventually(compared, never, every=COMPARED_EACH_SECONDS)
        await self._command(SHADOW, "show --compare")
        return float(found["overlap_at_10"])

    async def _over_to(self, phase: str, command: str, version: str) -> None:
        """Have another model answer all, and let it do so for a while."""
        await self._command(f"{phase}: the change", command)
        info = f'model_info{{role="served",shop_id="{SHOP}",version="{version}"}}'
        await _eventually(
            lambda: metric(self.server_metrics, info) == 1, f"{version} does not answer everybody"
        )
        self.load.phase = WARMING_UP
        await asyncio.sleep(EACH_SECONDS)
        await self._quiet(phase)

    def _summed(self, done: Exchanged) -> Exchanged:
        """Show the table, and hold it to what was promised."""
        names = (done.first, done.second)
        rows = [
            (
                phase.name,
                f"{phase.calls:,}",
                f"{sum(phase.failed.values()):,}",
                f"{phase.p50:.1f}",
                f"{phase.p99:.1f}",
                *(f"{phase.answered_by.get(name, 0):,}" for name in names),
                f"{sum(phase.fallbacks.values()):,}",
            )
            for phase in done.phases
        ]
        head = ("while", "#calls", "#failed", "#p50 ms", "#p99 ms", "#by the first", "#the second")
        self.narrator.say()
        self.narrator.table((*head, "#no model"), rows)
        self._say_why(done)
        broken = {phase.name: phase.broken for phase in done.phases if phase.broken}
        promise(not broken, f"calls failed: {broken}")
        by_phase = {phase.name: set(phase.answered_by) for phase in done.phases}
        for name, expected in _expected(*names):
            promise(by_phase[name] == expected, f"{name}: answered by {by_phase[name]}")
        return done

    def _say_why(self, done: Exchanged) -> None:
        """Where calls fell back or failed: for which reason, as they themselves say."""
        causes, refused = Counter[str](), Counter[str]()
        for phase in done.phases:
            causes.update(phase.fallbacks)
            refused.update(phase.failed)
        if causes:
            self.narrator.tell(
                "“No model” are answers from what trends or is popular, which say why: "
                f"{_counted(causes)}. A machine with other work is late now and then, and the "
                "server answers then without the profile rather than late."
            )
        if refused:
            self.narrator.tell(
                f"Failed are {_counted(refused)}: THIS MACHINE HAS TOO MUCH ELSE TO DO for a "
                "server to answer so many calls, whatever is exchanged. On a quieter one none "
                "fails."
            )


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in names.most_common())


def _expected(first: str, second: str) -> Sequence[tuple[str, set[str]]]:
    """Which models answer in the states between changes."""
    return (
        (ALONE, {first}),
        (PUBLISHED, {first}),
        (SHADOW, {first}),
        (CANARY, {first, second}),
        (PROMOTED, {second}),
        (ROLLED_BACK, {first}),
    )


async def _eventually(
    condition: Callable[[], Any], sentence: str, *, every: float = EACH_SECONDS
) -> Any:
    """What ``condition`` answers once that is true. Raises DemoFailed with the sentence."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not (found := await asyncio.to_thread(condition)):
        promise(time.monotonic() < deadline, sentence)
        await asyncio.sleep(every)
    return found
