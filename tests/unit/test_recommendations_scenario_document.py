"""A shop's document of scenarios: what it may say, and what is said of what it may not."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.recommendations.domain.scenario import (
    READY,
    Boost,
    Exposure,
    LeaveOut,
    Pin,
    Scenario,
    Variety,
)
from services.recommendations.domain.scenario_document import read_scenarios
from services.shared.attribution_rule import Attribution
from services.shared.yaml_document import BadDocument

WHOLE = """\
version: 1
layers: [{name: pages, salt: s1}]
experiments:
  - name: ranking
    layer: pages
    salt: s2
    traffic: [0, 5000]
    arms: [{name: a, share: 0.5}, {name: b, share: 0.5}]
    hypothesis: more of what trends is bought
    metric: {outcome: conversion}
    window_days: 7
    planned_shoppers: 1000
scenarios:
  home:
    sources: [personal, trending, popular]
    actions: {purchase: 1, click: 0.25}
    filter: product.price < 100.0
    boosts:
      - when: product.brand == "Acme" && shopper.signed_in
        by: 0.2
      - when: |
          product.age_days < 30.0 &&
            product.has_price
        by: -0.5
    pins:
      - {product: mug, place: 1}
      - {product: cup, place: 1, when: 'shopper.country == "DE"'}
    leave_out: {bought_days: 7, in_cart: true}
    variety: {strength: 0.4, category: 0.5, brand: 0.3, merchant: 0.2}
    exposure: {strength: 0.3, half_life_hours: 12}
    personal_weight: 0.7
    attribution: {window_hours: 24, credit: first, after: impression}
    arms: {ranking: {b: other}}
  other:
    sources: [popular]
"""


def test_a_document_says_what_it_says() -> None:
    """Every key of a scenario is read; what is not said is as it comes."""
    scenarios = read_scenarios(WHOLE)
    assert scenarios.scenarios["home"] == Scenario(
        sources=("personal", "trending", "popular"),
        actions={"purchase": 1.0, "click": 0.25},
        filter="product.price < 100.0",
        boosts=(
            Boost(when='product.brand == "Acme" && shopper.signed_in', by=0.2),
            Boost(when="product.age_days < 30.0 &&\n  product.has_price\n", by=-0.5),
        ),
        pins=(
            Pin(product="mug", place=1),
            Pin(product="cup", place=1, when='shopper.country == "DE"'),
        ),
        leave_out=LeaveOut(bought_days=7, in_cart=True),
        variety=Variety(strength=0.4, category=0.5, brand=0.3, merchant=0.2),
        exposure=Exposure(strength=0.3, half_life_hours=12.0),
        personal_weight=0.7,
        attribution=Attribution(window_hours=24, credit="first", after="impression"),
        arms={"ranking": {"b": "other"}},
    )
    assert scenarios.scenarios["other"] == Scenario(sources=("popular",))
    assert scenarios.of("cart") == READY["cart"]
    assert scenarios.of("nowhere") is None
    (experiment,) = scenarios.running.experiments
    assert experiment.traffic == (0, 5_000)


MISTAKES = [
    # what is changed to what, and what is then said of it
    ("version: 1", "version: 2", "line 1, column 10: 2 is not known here; there are 1"),
    ("[personal, trending", "[persnal, trending", "line 15, column 15: persnal is not known here"),
    (
        "[personal, trending",
        "[popular, trending",
        "line 15, column 5: sources: each may stand once",
    ),
    ("[personal, trending, popular]", "[]", "line 15, column 14: Expected a list of length >= 1"),
    ("{purchase: 1, click: 0.25}", "{buy: 1}", "line 16, column 15: buy is not known here"),
    ("{purchase: 1, click: 0.25}", "{click: 0}", "line 16, column 5: actions: one of them must"),
    ("product.price < 1", "product.pirce < 1", "line 17, column 20: there is no 'product.pirce'"),
    ("price < 100.0", "price <", "line 17, column 28: something is missing"),
    ("price < 100.0", "price", "line 17, column 13: an expression must be"),
    ("age_days < 30.0", "age_days * 2 > 3", "line 22, column 28: '*' does not take (double, int)"),
    ("  product.has_price", "  product.has_pric", "line 23, column 20: there is no"),
    ("by: 0.2", "by: 2", "line 20, column 13: Expected a number <= 1.0"),
    ("by: 0.2", "bye: 0.2", "line 20, column 9: bye is not known here; there are when, by"),
    ("{product: mug, place: 1}", "{place: 1}", "line 26, column 9: missing here: `product`"),
    (
        "{product: mug, place: 1}",
        "{product: mug, place: 0}",
        "line 26, column 31: Expected a whole",
    ),
    ("product: cup", "product: mug", "line 25, column 5: pins: one stands twice"),
    ("shopper.country", "shopper.land", "line 27, column 48: there is no 'shopper.land' here"),
    ("bought_days: 7", "bought_days: week", "line 28, column 30: Expected a whole number"),
    ("credit: first", "credit: all", "line 32, column 45: all is not known here; there are last"),
    ("arms: {ranking: {b", "arms: {rank: {b", "line 33, column 12: there is no experiment rank"),
    ("{ranking: {b: other", "{ranking: {c: other", "line 33, column 22: ranking has no arm c"),
    ("{b: other}", "{b: others}", "line 33, column 22: there is no scenario others"),
    ("  other:", "  Other:", "line 34, column 3: Expected a text matching regex"),
    ("share: 0.5}]", "share: 0.6}]", "line 4, column 5: ranking: the arms' shares sum to 1.1"),
    ("layer: pages", "layer: page", "line 3, column 1: ranking: there is no layer page"),
    ("salt: s2", "salt: s1", "line 3, column 1: layers and experiments are salted with s1 2 times"),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES)
def test_a_mistake_is_told_with_line_and_column(old: str, new: str, said: str) -> None:
    """Whether of YAML, of a value, of a name that is not there, or within a condition."""
    assert WHOLE.count(old) == 1
    with pytest.raises(BadDocument) as caught:
        read_scenarios(WHOLE.replace(old, new))
    assert str(caught.value.mistakes[0]).startswith(said)


def test_mistakes_of_conditions_and_names_are_told_together() -> None:
    """In the order of their places."""
    text = WHOLE.replace("price <", "pirce <").replace("{b: other}", "{b: nowhere}")
    text = text.replace("shopper.country", "shopper.land")
    with pytest.raises(BadDocument) as caught:
        read_scenarios(text)
    assert [each.line for each in caught.value.mistakes] == [17, 27, 33]


def test_experiments_of_two_layers_cannot_choose_one_list() -> None:
    """A shopper could be in both, and would get one of the two scenarios only."""
    second = """\
  - name: tone
    layer: words
    salt: s4
    traffic: [5000, 9000]
    arms: [{name: a, share: 0.5}, {name: b, share: 0.5}]
    hypothesis: a warmer tone sells
    metric: {outcome: conversion}
    window_days: 7
    planned_shoppers: 1000
scenarios:
"""
    text = WHOLE.replace(
        "[{name: pages, salt: s1}]", "[{name: pages, salt: s1}, {name: words, salt: s3}]"
    )
    text = text.replace("scenarios:\n", second, 1).replace(
        "{ranking: {b: other}}", "{ranking: {b: other}, tone: {b: other}}"
    )
    with pytest.raises(BadDocument, match="several layers"):
        read_scenarios(text)
    read_scenarios(text.replace("layer: words", "layer: pages"))


def test_what_comes_ready_is_right_in_itself() -> None:
    """Written out as a document it would be taken."""
    assert {name: scenario.sources[0] for name, scenario in READY.items()} == {
        "home": "personal",
        "product-page": "similar",
        "cart": "bought-together",
        "search": "personal",
        "buy-again": "buy-again",
        "e-mail": "personal",
    }


LINES = WHOLE.splitlines(keepends=True)


def edits() -> st.SearchStrategy[str]:
    """The document with lines missing, doubled, cut or mixed with noise."""
    cut = st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 40), st.text(max_size=5))
    lines = st.lists(st.sampled_from(LINES), max_size=40)
    return st.one_of(
        st.text(),
        lines.map("".join),
        cut.map(lambda told: WHOLE[: told[0]] + told[2] + WHOLE[told[0] + told[1] :]),
    )


@settings(max_examples=300)
@given(edits())
def test_any_text_is_a_document_or_is_refused(text: str) -> None:
    """Whatever is written, no other error comes of it."""
    with suppress(BadDocument):
        read_scenarios(text)


def test_all_conditions_of_a_scenario_are_known() -> None:
    """Of filter, boosts and pins; so that each is compiled before it is used."""
    home = read_scenarios(WHOLE).scenarios["home"]
    assert [path for path, _ in home.conditions()] == [
        ("filter",),
        ("boosts", 0, "when"),
        ("boosts", 1, "when"),
        ("pins", 1, "when"),
    ]
