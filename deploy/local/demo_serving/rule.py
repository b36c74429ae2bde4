"""What the operator of the demo wants of the home page, as a document and in words."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from attune.recommendations.v1.recommendation_service_pb2 import (
    RankedProduct,
    Reason,
    RecommendResponse,
)

from deploy.local.demo.complete_journey import CatalogProduct
from deploy.local.demo.households import Household
from deploy.local.demo.staging import promise

PLACE: Final = 3
"""Where the pinned product goes."""
LIFT: Final = 0.4
BILLIONTH: Final = 1e-9
CENTS: Final = 100

NOTHING: Final = "version: 1\n"
"""A document that leaves every scenario as it comes."""

_DOCUMENT: Final = """\
version: 1
scenarios:
  home:
    filter: product.has_price && product.price <= {most:.2f}
    boosts:
      - {{when: '"{category}" in product.categories', by: {lift}}}
    pins:
      - {{product: "{pinned}", place: {place}}}
"""


class Rule(NamedTuple):
    """A filter, a boost and a pin."""

    most: float
    """What a product may cost."""
    category: str
    """What is lifted."""
    pinned: str
    """The product's id."""
    title: str
    """Of the pinned product."""

    @property
    def document(self) -> str:
        """As it stands in the shop's file."""
        told = self._asdict()
        return _DOCUMENT.format(**told, lift=LIFT, place=PLACE)

    @property
    def mistaken(self) -> str:
        """The same with a slip of the pen."""
        return self.document.replace("product.price", "product.pirce")

    def sentences(self) -> Iterator[str]:
        """What the document says."""
        yield f"a filter: nothing above {self.most:.2f} dollars"
        yield f"a boost: {self.category.lower()} are lifted, for a campaign"
        yield f"a pin: “{self.title}” at place {PLACE}"

    def is_in_force(self, answer: RecommendResponse) -> bool:
        """Whether a list was made by it."""
        at = answer.products[PLACE - 1 : PLACE]
        return any(each.reason.kind == Reason.KIND_PINNED for each in at)

    def check(self, answer: RecommendResponse) -> None:
        """Raise DemoFailed where a list does not keep to it."""
        costs = [price(each) for each in answer.products]
        promise(max(costs) <= self.most, f"the filter lets through what costs {max(costs):.2f}")
        promise(
            any(self.category in each.category_path for each in answer.products),
            f"the boost brings nothing of {self.category}",
        )
        promise(answer.products[PLACE - 1].product_id == self.pinned, "the pin is somewhere else")

    def mark(self, product: RankedProduct) -> str:
        """Which of the three has brought a product, in a word."""
        if product.product_id == self.pinned:
            return "pinned"
        return "lifted" if self.category in product.category_path else ""


def rule_for(
    household: Household, before: RecommendResponse, products: Iterable[CatalogProduct]
) -> Rule:
    """One that changes this list: half of it costs more than the filter allows.

    What is pinned is of another kind than the household's own and the lifted, so that it is seen
    that only the pin has brought it.
    """
    known = [price(each) for each in before.products if each.HasField("price")]
    most, story = statistics.median(known), household.story
    others = [
        each
        for each in products
        if each.deliverable
        and 0 < (each.price or 0) <= most * CENTS
        and not {story.buys, story.turns_to} & set(each.category_path)
    ]
    pinned = max(others, key=lambda each: (each.price or 0, each.product_id))
    return Rule(most, story.turns_to, pinned.product_id, pinned.title)


def price(product: RankedProduct) -> float:
    """In the shop's currency; 0 where it is not known."""
    return float(product.price.units + product.price.nanos * BILLIONTH)
