"""Which scenario a call gets: its shop's, the default one's, what comes ready, or an arm's."""

from __future__ import annotations

from collections import Counter

import pytest

from services.recommendations.domain.policies import DEFAULT, Policies
from services.recommendations.domain.scenario import READY, Scenario, Scenarios
from services.recommendations.domain.scenario_document import read_scenarios
from services.shared.errors import ScenarioUnknown
from services.shared.experiments import arm_of

TRIED = """
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
    sources: [popular]
    arms: {ranking: {b: home-b}}
  home-b:
    sources: [trending, popular]
"""
PLAIN = Scenario(sources=("popular",))
OTHER = Scenario(sources=("trending",))
SHOPPERS = [f"demo/u:{number}" for number in range(400)]


def of_home(scenario: Scenario, **others: Scenario) -> Scenarios:
    """A document."""
    return Scenarios(version="1", scenarios={"home": scenario, **others})


def test_a_shops_own_document_comes_before_the_default_one() -> None:
    """Which comes before what is there without any; a document replaces only what it names."""
    policies = Policies()
    assert policies.of("demo", "home", "demo/u:1").scenario == READY["home"]
    policies.put({DEFAULT: of_home(PLAIN), "demo": of_home(OTHER, own=PLAIN)})
    assert policies.of("demo", "home", "demo/u:1").scenario == OTHER
    assert policies.of("other", "home", "other/u:1").scenario == PLAIN
    assert policies.of("demo", "cart", "demo/u:1").scenario == READY["cart"]
    assert policies.of("demo", "own", "demo/u:1").name == "own"
    policies.put({"demo": of_home(OTHER)})
    assert policies.of("other", "home", "other/u:1").scenario == READY["home"]
    assert policies.scenarios("other").scenarios == {}


@pytest.mark.parametrize("name", ["own", "default", "ho"])
def test_a_scenario_that_the_shop_does_not_have_is_unknown(name: str) -> None:
    """Also where another shop has it, or the default document that the shop's own replaces."""
    policies = Policies()
    policies.put(
        {
            DEFAULT: of_home(PLAIN, own=PLAIN),
            "demo": of_home(PLAIN),
            "other": of_home(PLAIN, own=PLAIN),
        }
    )
    with pytest.raises(ScenarioUnknown) as caught:
        policies.of("demo", name, "demo/u:1")
    assert (caught.value.code, caught.value.grpc_status.name) == ("SCENARIO_UNKNOWN", "NOT_FOUND")


@pytest.fixture
def tried() -> tuple[Policies, Scenarios]:
    """A home page of which half of all shoppers try another one."""
    document = read_scenarios(TRIED)
    policies = Policies()
    policies.put({"demo": document})
    return policies, document


def test_shoppers_get_the_scenario_of_their_arm(tried: tuple[Policies, Scenarios]) -> None:
    """Each always the same, and the answer says which; who is in no experiment gets `home`."""
    policies, document = tried
    (experiment,) = document.experiments
    counted: Counter[str] = Counter()
    for unit in SHOPPERS:
        policy = policies.of("demo", "home", unit)
        assert policy == policies.of("demo", "home", unit)
        assert policy.name == "home"
        if policy.arms:
            (assignment,) = policy.arms
            assert assignment.arm == arm_of(experiment, unit).name
            assert policy.served == ("home-b" if assignment.arm == "b" else "home")
        counted[policy.served if policy.arms else "outside"] += 1
        assert policy.scenario == document.scenarios[policy.served]
    assert 150 < counted["outside"] < 250
    assert 60 < counted["home"] < 140
    assert 60 < counted["home-b"] < 140


def test_a_stopped_arm_is_served_as_the_control(tried: tuple[Policies, Scenarios]) -> None:
    """Its shoppers stay in it for the figures."""
    policies, _ = tried
    stopped = TRIED.replace("{name: b, share: 0.5}", "{name: b, share: 0.5, stopped: true}")
    before = [policies.of("demo", "home", unit) for unit in SHOPPERS]
    policies.put({"demo": read_scenarios(stopped)})
    for unit, old in zip(SHOPPERS, before, strict=True):
        policy = policies.of("demo", "home", unit)
        assert policy.served == "home"
        assert [each.arm for each in policy.arms] == [each.arm for each in old.arms]


def test_an_arm_that_a_guard_stops_is_served_as_one_that_the_document_stops(
    tried: tuple[Policies, Scenarios],
) -> None:
    """From the next call on, also by the documents to come, and in no other shop."""
    policies, document = tried
    policies.put({"demo": document, "other": document})
    before = [policies.of("demo", "home", unit) for unit in SHOPPERS]
    for arm in (("ranking", "b"), ("gone", "b")):
        policies.stop("demo", frozenset({arm}))
    told = Policies()
    told.put(
        {"demo": read_scenarios(TRIED.replace("b, share: 0.5", "b, share: 0.5, stopped: true"))}
    )
    for documents in ({"demo": document}, {DEFAULT: document}, {"demo": document}):
        after = [policies.of("demo", "home", unit) for unit in SHOPPERS]
        assert after == [told.of("demo", "home", unit) for unit in SHOPPERS]
        assert after != before
        policies.put(documents)
    policies.put({"demo": document, "other": document})
    assert {policies.of("other", "home", unit).served for unit in SHOPPERS} == {"home", "home-b"}


def test_a_control_is_never_stopped(tried: tuple[Policies, Scenarios]) -> None:
    """There would be nothing to serve its shoppers by; a document may make one of an arm."""
    policies, _ = tried
    before = [policies.of("demo", "home", unit) for unit in SHOPPERS]
    policies.stop("demo", frozenset({("ranking", "a")}))
    assert [policies.of("demo", "home", unit) for unit in SHOPPERS] == before


def test_who_is_not_named_is_in_no_experiment() -> None:
    """All of them would be one and the same shopper; also where every other one is in it."""
    policies, document = Policies(), read_scenarios(TRIED.replace("[0, 5000]", "[0, 10000]"))
    policies.put({"demo": document})
    assert policies.of("demo", "home", "demo/u:1").arms
    policy = policies.of("demo", "home", "")
    assert (policy.scenario, policy.arms) == (document.scenarios["home"], ())


def test_other_scenarios_take_no_part(tried: tuple[Policies, Scenarios]) -> None:
    """An experiment is in the answers of the scenarios that name it."""
    policies, _ = tried
    assert {policies.of("demo", "cart", unit).arms for unit in SHOPPERS} == {()}
    assert {policies.of("demo", "home-b", unit).arms for unit in SHOPPERS} == {()}
