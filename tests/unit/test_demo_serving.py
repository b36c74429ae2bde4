"""Parts of the demo of the controls: its documents, its second bundle, its simulated shoppers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import msgspec
import pytest
from attune.recommendations.v1.recommendation_service_pb2 import RankedProduct, RecommendResponse

from deploy.local.demo.complete_journey import CatalogProduct
from deploy.local.demo.households import Household, Story
from deploy.local.demo_serving.load import Phase
from deploy.local.demo_serving.rule import NOTHING, rule_for
from deploy.local.demo_serving.second_bundle import reblended
from deploy.local.demo_serving.shoppers import VIEWED, guests
from deploy.local.demo_serving.trying import BETTER, BROKEN, CONTROL, EXPERIMENT, TRIAL
from deploy.local.told import EXAMPLE, scenarios
from services.recommendations.adapters.scenario_folder import document_of
from services.shared.bundle import load_bundle
from services.shared.event_codec import decode_event
from services.shared.yaml_document import BadDocument
from tests.tiny_bundle import add_neighbours, make_bundle, seal

VECTORS = {"mug": (1.0, 0.0), "lamp": (0.0, 1.0)}
MUG, CUP, LAMP, RAKE, SPADE = (
    CatalogProduct(name, "acme", name.title(), ["Home", shelf], {}, price, deliverable=True)
    for name, shelf, price in (
        ("mug", "Mugs", 300),
        ("cup", "Mugs", 500),
        ("lamp", "Lamps", 900),
        ("rake", "Garden", 400),
        ("spade", "Garden", 600),
    )
)
HOUSEHOLD = Household("841", Story("Mugs", "Lamps", "lamp"), (LAMP, CUP, MUG))


def test_another_blend_is_another_bundle(tmp_path: Path) -> None:
    """It is whole, has a version of its own, weighs neighbours anew and claims no figures."""
    first = make_bundle(tmp_path / "first", VECTORS, blend={"neighbours": 0.5})
    add_neighbours(first, {1: {2: 0.5}}, rows=3)
    seal(first, metrics={"ndcg_at_10_all": 0.5})
    versions = [
        reblended(first, tmp_path / name, factor=factor)
        for name, factor in (("a", 3.0), ("b", 3.0), ("c", 2.0))
    ]
    assert versions[0] == versions[1]
    assert versions[0] not in {versions[2], load_bundle(first).manifest.version}
    second = load_bundle(tmp_path / "a")
    assert second.manifest.version == versions[0]
    assert second.settings.blend.neighbours == 1.5
    assert (second.manifest.metrics, second.report) == ({}, {})


def shown(*products: CatalogProduct) -> RecommendResponse:
    """A list of products at their prices."""
    answer = RecommendResponse(attribution_token="token")
    for product in products:
        cents = product.price or 0
        told = RankedProduct(product_id=product.product_id, category_path=product.category_path)
        told.price.units, told.price.nanos = cents // 100, cents % 100 * 10_000_000
        answer.products.append(told)
    return answer


def test_the_operators_document_is_one_and_its_mistake_has_a_line() -> None:
    """The rule of the demo is taken as it is written; its slip of the pen is refused by line."""
    rule = rule_for(HOUSEHOLD, shown(MUG, CUP, LAMP), [MUG, CUP, LAMP, RAKE, SPADE])
    home = document_of("demo.yaml", rule.document.encode()).scenarios["home"]
    assert home.filter == "product.has_price && product.price <= 5.00"
    assert home.boosts[0].when == '"Lamps" in product.categories'
    assert [(pin.product, pin.place) for pin in home.pins] == [("rake", 3)]
    with pytest.raises(BadDocument, match=r"line 4, column 41: .*'product\.pirce'"):
        document_of("demo.yaml", rule.mistaken.encode())


def test_documents_that_come_with_the_stack_are_right(tmp_path: Path) -> None:
    """The example changes nothing, and does what it says once its marks are taken out."""
    for text in (NOTHING, EXAMPLE.read_text()):
        assert not document_of("demo.yaml", text.encode()).scenarios
    plain = EXAMPLE.read_text().replace("scenarios: {}", "scenarios:").replace("\n#  ", "\n  ")
    home = document_of("demo.yaml", plain.encode()).scenarios["home"]
    assert (home.filter, len(home.boosts)) == ("product.has_price && product.price <= 5.0", 1)
    folder = scenarios(tmp_path)
    (folder / "demo.yaml").write_text("mine")
    assert (scenarios(tmp_path) / "demo.yaml").read_text() == "mine"


def test_the_experiment_of_the_demo_is_one() -> None:
    """Three arms, none stopped yet, and a guard that sees to the one that is broken on purpose."""
    text = TRIAL.read_text()
    (trial,) = document_of("demo.yaml", text.encode()).experiments
    assert (trial.name, [arm.name for arm in trial.arms]) == (
        EXPERIMENT,
        [CONTROL, BETTER, BROKEN],
    )
    assert not any(arm.stopped for arm in trial.arms)
    assert [guard.harm for guard in trial.guards] == ["fallback"]


def test_simulated_shoppers_keep_to_the_stated_rule() -> None:
    """Valid events; in one arm twice as many products of a list are chosen as in the others."""
    random, chosen = Random(1), Counter[str]()
    some = guests(2_000, [MUG, CUP, LAMP], random)
    for guest in some:
        assert {product.product_id for product in guest.looks_at} == {"mug", "cup"}
        assert len([decode_event(*each, ()) for each in guest.arrives(10**15)]) == VIEWED
        for arm in (CONTROL, BETTER):
            answers = list(guest.answers(shown(MUG, CUP, LAMP), arm, 10**15, random))
            for _, _, record in answers:
                decode_event(*record, ())
            chosen.update({arm: sum(count for kind, count, _ in answers if kind == "clicks")})
    assert chosen[CONTROL] / (3 * len(some)) == pytest.approx(0.05, abs=0.01)
    assert chosen[BETTER] / (3 * len(some)) == pytest.approx(0.10, abs=0.01)
    assert msgspec.json.decode(next(some[0].arrives(10**15))[1])["userId"] == "guest-0"


def test_a_busy_machine_breaks_no_call() -> None:
    """What is refused or late is told apart from what an exchange would break."""
    failed = {"RESOURCE_EXHAUSTED": 4, "DEADLINE_EXCEEDED": 2, "UNAVAILABLE": 1}
    phase = Phase(
        name="any", calls=9, failed=failed, p50=1.0, p99=2.0, answered_by={}, fallbacks={}
    )
    assert phase.broken == {"UNAVAILABLE": 1}
