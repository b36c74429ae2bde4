"""One experiment: from its lines in the shop's document to what shoppers did, and the report."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import msgspec
from attune.recommendations.v1.recommendation_service_pb2 import (
    SOURCE_PERSONAL,
    RecommendResponse,
)

from deploy.local.demo.complete_journey import CatalogProduct
from deploy.local.demo.narration import Narrator
from deploy.local.demo.records import Record
from deploy.local.demo.sending import EVENTS, Lag, producer, send_all
from deploy.local.demo.staging import promise, shown
from deploy.local.demo.storefront import Storefront
from deploy.local.demo_serving.commands import Operator
from deploy.local.demo_serving.editing import Document
from deploy.local.demo_serving.shoppers import CHOSEN, VIEWED, Guest, guests
from deploy.local.kept import REPORTS
from deploy.local.metrics import metric
from deploy.local.stack import Addresses
from deploy.local.told import SHOP

TRIAL: Final = Path(__file__).with_name("trial.yaml")
EXPERIMENT: Final = "other-homes"
CONTROL, BETTER, BROKEN = "usual", "varied", "again"
ATTRIBUTION: Final = "services.attribution"
SERVER_LOG, ATTRIBUTION_LOG = "recommendations-server.log", "attribution.log"
GUESTS: Final = 600
SEED: Final = 7
WITHIN_SECONDS: Final = 60.0
EACH_SECONDS: Final = 0.05
HEAD: Final = ("arm", "#shoppers", "#window over", "#fallbacks (control)", "#evidence", "decision")

Answered = Sequence[tuple[Guest, RecommendResponse]]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of the step."""

    decisions: dict[str, str]
    """By arm, without the control."""
    exposed: int
    """Shoppers of all arms, as the report counts them."""
    counted_in: float
    """Seconds from the last event sent until attribution had joined all."""
    page: str


class Trying(NamedTuple):
    """What the step works with."""

    document: Document
    storefront: Storefront
    operator: Operator
    narrator: Narrator
    addresses: Addresses
    folder: Path
    """Of the stack."""

    def show(self, products: Sequence[CatalogProduct]) -> Tried:
        """Begin the experiment, answer and count, report. Raises DemoFailed."""
        random = Random(SEED)  # noqa: S311 - nothing secret hangs on it
        some = guests(GUESTS, products, random)
        self._begin()
        asyncio.run(self._arrive(some))
        answered = [(guest, self.storefront.recommend(guest.user_id)) for guest in some]
        self._say_rule()
        records, sent = _followed(answered, random)
        asyncio.run(self._send(records))
        counted_in = self._counted(sent)
        self.narrator.tell(
            f"{sent['impressions']:,} products seen, {sent['clicks']:,} chosen and "
            f"{sent['purchases']:,} bought went through Kafka; {counted_in:.1f} s after the last "
            "was sent all were joined to their lists:"
        )
        self.operator.types(f"{ATTRIBUTION} figures --shop {SHOP} --arms")
        tried = self._report(answered, counted_in)
        self._see_it_stopped(answered)
        return tried

    def _begin(self) -> None:
        """Write the document; return once the server and attribution have it."""
        self.narrator.tell(
            f"Into {shown(self.document.path)} goes an experiment on the home page, three arms:"
        )
        for sentence in (
            f"{CONTROL}: the list as it comes, for 4 shoppers in 10",
            f"{BETTER}: more variety, for 4 in 10",
            f"{BROKEN}: what is due to be bought again, for 2 in 10, by mistake: most guests have "
            "bought nothing yet",
        ):
            self.narrator.say(f"    - {sentence}")
        taken = self._logged(SERVER_LOG, "scenarios_taken")
        self.document.write(TRIAL.read_text())
        _until(lambda: self._logged(SERVER_LOG, "scenarios_taken") > taken, "the server has it")
        read = partial(self._logged, ATTRIBUTION_LOG, "experiments_read", experiments=1)
        _until(read, "attribution has it")

    async def _arrive(self, some: Sequence[Guest]) -> None:
        """Have the guests look at products, and the worker fold that."""
        now = time.time_ns() // 1000
        await self._send([record for guest in some for record in guest.arrives(now)])
        async with Lag(self.addresses.kafka) as lag:
            await lag.until_none(lambda *_: None, within=WITHIN_SECONDS)
        self.narrator.tell(
            f"{len(some)} guests arrive, look at {VIEWED} products each, and get a home page."
        )

    async def _send(self, records: Sequence[Record]) -> None:
        async with producer(self.addresses.kafka) as sender:
            await send_all(sender, EVENTS, records, lambda _: None)

    def _counted(self, sent: Counter[str]) -> float:
        """Seconds until attribution has counted all that was sent."""
        started = time.monotonic()

        def all_there() -> bool:
            return all(self._figure(measure) >= sent[measure] for measure in sent)

        _until(all_there, f"attribution has counted {dict(sent)}")
        return time.monotonic() - started

    def _figure(self, measure: str) -> float:
        start = f'attribution_figures_total{{measure="{measure}"'
        return metric(self.addresses.attribution_metrics, start)

    def _report(self, answered: Answered, counted_in: float) -> Tried:
        """Have it written; show what it says, and hold it to what must come of the rule."""
        folder = self.folder / REPORTS
        self.narrator.say("\n  And the report, which may be read at any time:")
        told = f"report --shop {SHOP} --experiment {EXPERIMENT} --to {shown(folder)}"
        self.operator.types(f"{ATTRIBUTION} {told}")
        page = folder / f"{EXPERIMENT}.html"
        report = msgspec.json.decode(page.with_suffix(".json").read_bytes())
        self.narrator.say()
        self.narrator.table(HEAD, list(report_rows(report)))
        self.narrator.tell(
            f"“{BETTER}” is not judged yet: whether a shopper buys within a day of the first list "
            f"is known when the day is over. The guard speaks at once: “{BROKEN}” gave fallbacks "
            "to nearly all of its shoppers, until it was stopped."
        )
        arms = {each["figures"]["arm"]: each for each in report["arms"]}
        promise(arms[BROKEN]["decision"] == "stop_arm", f"{BROKEN} is not stopped by its guard")
        promise(arms[BETTER]["decision"] == "continue", f"{BETTER} is decided without a window")
        exposed = sum(f["exposed"] for f in figures_of(report))
        promise(exposed == len(answered), f"{exposed} of {len(answered)} shoppers are counted")
        decisions = {name: str(each["decision"]) for name, each in arms.items()}
        return Tried(decisions=decisions, exposed=exposed, counted_in=counted_in, page=str(page))

    def _see_it_stopped(self, answered: Answered) -> None:
        """Show that a shopper of the broken arm, who got a fallback, is served as others are."""
        guest = next(
            each
            for each, answer in answered
            if arm_of(answer) == BROKEN and answer.source != SOURCE_PERSONAL
        )

        def is_personal() -> bool:
            return self.storefront.recommend(guest.user_id).source == SOURCE_PERSONAL

        _until(is_personal, f"{guest.user_id} gets the control's list")
        _until(partial(self._logged, SERVER_LOG, "arm_stopped", arm=BROKEN), "the server says so")
        self.narrator.say()
        self.narrator.tell(
            f"Nobody had to stop it, the guard has: {guest.user_id}, one of the shoppers of "
            f"“{BROKEN}”, got a fallback, gets the list of the control now, and stays counted in "
            "the arm. The server's log and attribution's say `arm_stopped`."
        )

    def _say_rule(self) -> None:
        usual, better = (f"{100 * CHOSEN[arm]:.0f}" for arm in (CONTROL, BETTER))
        self.narrator.tell(
            "Nobody sits at a screen here, so WHAT FOLLOWS IS SIMULATED, by a rule: of the "
            f"products seen {usual} in a hundred are chosen, in the arm “{BETTER}” {better}, at "
            "random, whatever they are. It shows that counting works, and says nothing about "
            "variety."
        )

    def _logged(self, name: str, event: str, **fields: object) -> int:
        """How many lines of a log are of that event, with those fields."""
        lines = (self.folder / name).read_text().splitlines()
        said = [msgspec.json.decode(line) for line in lines if line.startswith("{")]
        return sum({"event": event, **fields}.items() <= each.items() for each in said)


def _followed(answered: Answered, random: Random) -> tuple[list[Record], Counter[str]]:
    """What the guests do with their lists, and how many of each there are."""
    now, sent = time.time_ns() // 1000, Counter[str]()
    records = []
    for guest, answer in answered:
        for measure, count, record in guest.answers(answer, arm_of(answer), now, random):
            sent[measure] += count
            records.append(record)
    return records, sent


def arm_of(answer: RecommendResponse) -> str:
    """The arm in which a list was made. Raises DemoFailed where it was in none."""
    promise(answer.arms, "a list was made outside of the experiment")
    return answer.arms[0].arm


def figures_of(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of the control and each arm."""
    return [report["control"], *(arm["figures"] for arm in report["arms"])]


def report_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The report's JSON as a table."""
    control = report["control"]
    yield control["arm"], f"{control['exposed']:,}", f"{control['shoppers']:,}", "", "", "control"
    for arm in report["arms"]:
        (guard,) = arm["guards"]
        figures = arm["figures"]
        yield (
            figures["arm"],
            f"{figures['exposed']:,}",
            f"{figures['shoppers']:,}",
            f"{guard['share'] or 0:.0%} ({guard['control_share'] or 0:.0%})",
            f"{guard['evidence']:.3g} of {guard['needed']:g}",
            arm["decision"].replace("_", " "),
        )


def _until(condition: Callable[[], object], what: str) -> None:
    """Return once it is so. Raises DemoFailed, that it does not happen that ``what``."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not condition():
        promise(time.monotonic() < deadline, f"within {WITHIN_SECONDS:.0f} s it is not so: {what}")
        time.sleep(EACH_SECONDS)
