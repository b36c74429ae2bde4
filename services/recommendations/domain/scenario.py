"""Scenarios: how the lists of one kind of place in a shop are made, as its operators say it.

A document has scenarios by name, and experiments; it is one YAML file for each shop. What it leaves
out is as the defaults here say, which ``docs/guides/scenarios.md`` shows as a table.

A list is made from *sources*, tried in their order until it is full: the first is what the list is
meant to be, those behind it are what comes back instead. Filters, boosts, pins, caps and variety
act on each alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from services.shared.attribution_rule import Attribution
from services.shared.experiments import Experiment, Experiments, Layer

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
Condition = Annotated[str, Meta(max_length=2_000)]
ProductId = Annotated[str, Meta(min_length=1, max_length=128)]
Share = Annotated[float, Meta(gt=0, le=1)]
Weight = Annotated[float, Meta(ge=0, le=1)]
Path = tuple[str | int, ...]
"""Names and numbers of places, from the document's top down."""

SourceName = Literal[
    "personal",
    "session",
    "similar",
    "bought-together",
    "buy-again",
    "trending-in-category",
    "trending",
    "popular",
]
Action = Literal["view", "click", "cart", "purchase"]

BOOSTS: Final = 50
"""Of one scenario, at most; each is a condition over the whole catalogue."""
PINS: Final = 20
SCENARIOS: Final = 100


class Boost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Products that meet ``when`` count more, or less where ``by`` is below 0."""

    when: Annotated[Condition, Meta(min_length=1)]
    by: Annotated[float, Meta(ge=-1, le=1)]
    """In parts of the way from the average product's score to the best one's: 0.2 lifts a product
    by a fifth of it, -1 puts the best one with the average ones. The same whatever the model."""


class Pin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product at a fixed place, while it is for sale and passes the filters."""

    product: ProductId
    place: Annotated[int, Meta(ge=1, le=100)]
    """From 1 on; a list of which fewer are asked for goes without, one that has fewer ends with it.
    Of several at one place the first that may be shown counts."""
    when: Condition = ""
    """Over the shopper and this product; none if empty."""


class LeaveOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the shopper is not shown, as the profile knows it."""

    bought_days: Annotated[int, Meta(ge=0, le=3_650)] = 0
    """Products bought in the last so many days; 0 leaves none out."""
    in_cart: bool = False
    """Products that are in the cart."""


class Variety(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How unlike the products of a list are to be; shares are of the list."""

    strength: Weight = 0.2
    """0 goes by scores alone, 1 by unlikeness alone."""
    category: Share = 0.4
    brand: Share = 1.0
    merchant: Share = 1.0


class Exposure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Merchants who are shown less than their share of the catalogue are lifted."""

    strength: Weight = 0.0
    """In parts of the way from the average product's score to the best one's, for a merchant who is
    never shown; 0 lifts nobody."""
    half_life_hours: Annotated[float, Meta(ge=0.1, le=8_760)] = 24.0
    """After so long, having been shown counts half."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one kind of list is made."""

    sources: Annotated[tuple[SourceName, ...], Meta(min_length=1, max_length=8)] = (
        "personal",
        "session",
        "trending-in-category",
        "trending",
        "popular",
    )
    actions: dict[Action, Weight] = {}
    """What the model is to foretell, by weight; what the bundle says where there are none."""
    filter: Condition = ""
    boosts: Annotated[tuple[Boost, ...], Meta(max_length=BOOSTS)] = ()
    pins: Annotated[tuple[Pin, ...], Meta(max_length=PINS)] = ()
    leave_out: LeaveOut = LeaveOut()
    variety: Variety = Variety()
    exposure: Exposure = Exposure()
    personal_weight: Weight = 0.5
    """Of given products: 0 keeps the request's order, 1 goes by the model alone."""
    attribution: Attribution = Attribution()
    """Which purchases count for its lists."""
    arms: dict[Name, dict[Name, Name]] = {}
    """Experiment → arm → the scenario that the arm's shoppers get; others get this one. All of one
    layer, so that nobody is in two."""

    def __post_init__(self) -> None:
        """Raise ValueError for weights of nothing, or a source or a pin that stands twice."""
        if self.actions and not any(self.actions.values()):
            raise ValueError("actions: one of them must weigh more than 0")
        if len(set(self.sources)) < len(self.sources):
            raise ValueError("sources: each may stand once")
        pins = [(pin.product, pin.place) for pin in self.pins]
        if len(set(pins)) < len(pins):
            raise ValueError("pins: one stands twice at the same place")

    def conditions(self) -> Iterator[tuple[Path, str]]:
        """Each condition that it has, with its path within the scenario."""
        if self.filter:
            yield ("filter",), self.filter
        for place, boost in enumerate(self.boosts):
            yield ("boosts", place, "when"), boost.when
        for place, pin in enumerate(self.pins):
            if pin.when:
                yield ("pins", place, "when"), pin.when


READY: Final[Mapping[str, Scenario]] = {
    "home": Scenario(),
    "product-page": Scenario(
        sources=("similar", "bought-together", "trending-in-category", "popular"),
        leave_out=LeaveOut(in_cart=True),
    ),
    "cart": Scenario(
        sources=("bought-together", "personal", "trending", "popular"),
        leave_out=LeaveOut(in_cart=True),
    ),
    "search": Scenario(sources=("personal", "session")),
    "buy-again": Scenario(sources=("buy-again",), variety=Variety(strength=0.0, category=1.0)),
    "e-mail": Scenario(
        sources=("personal", "trending", "popular"), leave_out=LeaveOut(bought_days=7)
    ),
}
"""What is there without a document; one that names a scenario of these replaces it."""


class Wrong(NamedTuple):
    """What is wrong with a document that can be read, and the path to it."""

    path: Path
    message: str


class Scenarios(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document of one shop."""

    version: Literal["1"]
    scenarios: Annotated[dict[Name, Scenario], Meta(max_length=SCENARIOS)] = {}
    layers: tuple[Layer, ...] = ()
    experiments: tuple[Experiment, ...] = ()

    @property
    def running(self) -> Experiments:
        """Layers and experiments. Raises ValueError where they contradict each other."""
        return Experiments(layers=self.layers, experiments=self.experiments)

    def of(self, name: str) -> Scenario | None:
        """The scenario of a name, or one that comes ready; None where there is neither."""
        return self.scenarios.get(name) or READY.get(name)

    def wrong(self) -> Iterator[Wrong]:
        """Names that nothing has, of experiments, arms and scenarios; and arms of two layers."""
        try:
            self.running  # noqa: B018 - which checks them
        except ValueError as error:
            yield Wrong(("experiments",), str(error))
        known = {each.name: each for each in self.experiments}
        for name, scenario in self.scenarios.items():
            path = ("scenarios", name, "arms")
            layers = {known[each].layer for each in scenario.arms if each in known}
            if len(layers) > 1:
                yield Wrong(path, "they are of several layers, so a shopper could be in two")
            for experiment, told in scenario.arms.items():
                if experiment in known:
                    yield from self._wrong_arms((*path, experiment), known[experiment], told)
                else:
                    yield Wrong((*path, experiment), f"there is no experiment {experiment}")

    def _wrong_arms(
        self, path: Path, experiment: Experiment, told: Mapping[str, str]
    ) -> Iterator[Wrong]:
        names = {arm.name for arm in experiment.arms}
        for arm, other in told.items():
            if arm not in names:
                yield Wrong((*path, arm), f"{experiment.name} has no arm {arm}")
            if self.of(other) is None:
                yield Wrong((*path, arm), f"there is no scenario {other}")


NONE: Final = Scenarios(version="1")
"""Only what comes ready."""
