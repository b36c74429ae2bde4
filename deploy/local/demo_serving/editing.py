"""One scenario edited live: the lists before and after, and a mistake that changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Final, NamedTuple

import msgspec
from attune.recommendations.v1.recommendation_service_pb2 import RecommendResponse

from deploy.local.demo.complete_journey import CatalogProduct
from deploy.local.demo.households import Household
from deploy.local.demo.narration import Narrator
from deploy.local.demo.staging import promise, shown
from deploy.local.demo.storefront import Storefront
from deploy.local.demo_serving.commands import Operator
from deploy.local.demo_serving.rule import NOTHING, Rule, price, rule_for
from deploy.local.metrics import metric

WITHIN_SECONDS: Final = 15.0
"""A document counts after a second; on a busy machine later."""
EACH_SECONDS: Final = 0.02
REFUSED: Final = "scenarios_refused_total"
TITLE: Final = 36
"""Letters of a title, so that two lists stand side by side."""


class Edited(msgspec.Struct, frozen=True):
    """What the edits did. Milliseconds are from the file's writing to the first list by it."""

    milliseconds: float
    milliseconds_back: float
    before: list[str]
    after: list[str]
    explained: str
    """The mistake, as the check prints it."""


class Document(NamedTuple):
    """The shop's file of scenarios."""

    path: Path

    def write(self, text: str) -> None:
        """Put a new one in its place in one step, as the guide says."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.path)


class Editing(NamedTuple):
    """What the step works with."""

    document: Document
    storefront: Storefront
    operator: Operator
    narrator: Narrator
    server_metrics: str

    def show(self, household: Household, products: Sequence[CatalogProduct]) -> Edited:
        """Edit, show both lists, make a mistake, take all back. Raises DemoFailed."""
        say, user_id = self.narrator.say, household.user_id
        before = self.storefront.recommend(user_id)
        rule = rule_for(household, before, products)
        self.narrator.tell(
            f"Household {user_id} buys a lot of {household.story.buys.lower()}. For all shoppers "
            f"the operator writes into {shown(self.document.path)}:"
        )
        for sentence in rule.sentences():
            say(f"    - {sentence}")
        took = self._write(rule.document, user_id, rule.is_in_force)
        after = self.storefront.recommend(user_id)
        rule.check(after)
        say(f"  → the lists follow {took:.0f} ms after the file was written:\n")
        self._side_by_side(before, after, rule)
        explained = self._mistake(rule, user_id, after)
        back = self._write(NOTHING, user_id, lambda answer: not rule.is_in_force(answer))
        promise(
            ids(self.storefront.recommend(user_id)) == ids(before), "the list of before is gone"
        )
        say(f"  The rules are taken out again: the list of before is back after {back:.0f} ms.")
        return Edited(took, back, ids(before), ids(after), explained)

    def _write(self, text: str, user_id: str, is_so: Callable[[RecommendResponse], bool]) -> float:
        """Write the file; milliseconds until a list is as it should be."""
        started = time.perf_counter()
        self.document.write(text)
        while not is_so(self.storefront.recommend(user_id)):
            took = time.perf_counter() - started
            promise(took < WITHIN_SECONDS, f"no list follows the document within {took:.0f} s")
            time.sleep(EACH_SECONDS)
        return (time.perf_counter() - started) * 1000

    def _side_by_side(
        self, before: RecommendResponse, after: RecommendResponse, rule: Rule
    ) -> None:
        rows = [
            (
                f"{place}",
                shorten(old.title, TITLE, placeholder="…"),
                f"{price(old):.2f}",
                shorten(new.title, TITLE, placeholder="…"),
                f"{price(new):.2f}",
                rule.mark(new),
            )
            for place, (old, new) in enumerate(
                zip(before.products, after.products, strict=False), start=1
            )
        ]
        self.narrator.table(("#", "before", "#$", "after", "#$", ""), rows)

    def _mistake(self, rule: Rule, user_id: str, after: RecommendResponse) -> str:
        """Write a document with a mistake; how it is explained."""
        refused = metric(self.server_metrics, REFUSED)
        self.narrator.say()
        self.narrator.tell(
            "A slip of the pen is written into the file. What is wrong is said by line, by the "
            "check as by the server's log, and the document of before goes on."
        )
        self.document.write(rule.mistaken)
        told = f"services.recommendations check-scenarios {shown(self.document.path)}"
        explained = self.operator.types(told, status=1)
        deadline = time.monotonic() + WITHIN_SECONDS
        while metric(self.server_metrics, REFUSED) == refused:
            promise(time.monotonic() < deadline, "the server does not refuse the mistake")
            time.sleep(EACH_SECONDS)
        now = self.storefront.recommend(user_id)
        promise(ids(now) == ids(after), "a document with a mistake has changed a list")
        self.narrator.say(
            f"  → {REFUSED} counts it, and the list is the same as before the slip.\n"
        )
        return explained


def ids(answer: RecommendResponse) -> list[str]:
    """Of its products, in order."""
    return [product.product_id for product in answer.products]
