"""What each check of the gate says, in words, of candidates that are made to fail it."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from model_export.dataset import Prepared
from model_export.errors import CheckUnusable, DataRefused
from model_export.gate.admission import check_candidate, check_current
from model_export.gate.comparison import Comparison
from model_export.gate.latency import EncoderLatency
from model_export.gate.plugins import plugged_in
from model_export.gate.quality import NoSegmentWorse, NotWorse
from model_export.gate.small_merchants import SmallMerchants, merchants_of, small
from model_export.gate.verdict import Check, Verdict
from services.shared.bundle import load_bundle
from tests.gate_parts import QUICK, comparison, shelf_bundle, shop

HERE = "tests.unit.test_model_gate_checks"


@pytest.fixture(scope="module")
def data() -> Prepared:
    return shop()


@pytest.fixture(scope="module")
def bundles(data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles that know all shelves, all but one, or put the small merchant's products last."""
    folder = tmp_path_factory.mktemp("bundles")
    for name, knows, lifts in (
        ("all", "abc", ""),
        ("ab", "ab", ""),
        ("ac", "ac", ""),
        ("large", "abc", "234567"),
        ("odd", "abc", "1357"),
        ("even", "abc", "0246"),
    ):
        shelf_bundle(folder / name, data, knows=knows, lifts=lifts)
    return folder


def between(data: Prepared, bundles: Path, candidate: str, current: str) -> Comparison:
    return comparison(data, bundles / candidate, bundles / current)


def test_a_candidate_that_is_worse(data: Prepared, bundles: Path) -> None:
    """Both figures, the interval, what it means and what to do."""
    said = NotWorse().judge(between(data, bundles, "ab", "all"))
    assert (said.check, said.outcome) == ("quality", "refused")
    (all_purchases, *_) = said.findings
    assert all_purchases.candidate < all_purchases.current
    assert all_purchases.change is not None
    assert all_purchases.change.high < -0.05
    for part in (
        "all purchases (240 baskets of 120 users): NDCG@10 0.",
        ", the current model's 0.",
        "The candidate is worse, and chance does not explain it; at most 5 % may be lost.",
        "train again",
    ):
        assert part in all_purchases.says
    assert said.says == " ".join(each.says for each in said.findings if each.outcome == "refused")


def test_a_candidate_of_which_too_little_is_known(data: Prepared, bundles: Path) -> None:
    """Where the interval is wide, it is said that users are too few, not that it is worse."""
    said = NotWorse().judge(between(data, bundles, "odd", "even"))
    (doubtful, *_) = said.findings
    assert doubtful.outcome == "refused"
    assert doubtful.change is not None
    assert doubtful.change.low < -0.05 < 0 < doubtful.change.high
    assert "these users are too few to show that no more is. Hold out more" in doubtful.says


def test_new_purchases_of_a_few_users(data: Prepared, bundles: Path) -> None:
    """They say too little to refuse by: the figures are told, and not judged."""
    mixed = between(data, bundles, "ab", "ac")
    for large, outcome in ((31, "refused"), (32, "not judged")):
        settings = msgspec.structs.replace(QUICK, large=large)
        said = NotWorse().judge(replace(mixed, settings=settings))
        assert [each.outcome for each in said.findings] == ["passed", outcome]
    assert "(32 baskets of 31 users)" in said.findings[1].says
    assert "Not judged: that takes 32 users." in said.findings[1].says


def test_a_candidate_as_good_as_the_current_one(data: Prepared, bundles: Path) -> None:
    """It passes both, and the figures stand with it all the same."""
    same = between(data, bundles, "all", "all")
    for check in (NotWorse(), NoSegmentWorse()):
        said = check.judge(same)
        assert said.outcome == "passed"
        assert all("+0.0 % [+0.0 %, +0.0 %]" in each.says for each in said.findings)
    assert NotWorse().judge(same).says == "keeps 95 % of NDCG@10 or more"


def test_a_segment_that_pays_for_the_others(data: Prepared, bundles: Path) -> None:
    """The whole gains, one group loses: it refuses, and so do the products that it buys."""
    mixed = between(data, bundles, "ab", "ac")
    assert NotWorse().judge(mixed).findings[0].outcome == "passed"
    said = NoSegmentWorse().judge(mixed)
    refused = [each for each in said.findings if each.outcome == "refused"]
    assert [each.about for each in refused] == ["tail products", "group c"]
    assert "the interval corrected for" in said.says
    assert "These lose by the candidate, whatever the whole gains." in said.says


def test_segments_too_small_to_judge(data: Prepared, bundles: Path) -> None:
    """They are named, with the option that judges smaller ones; nothing is refused by them."""
    mixed = between(data, bundles, "ab", "ac")
    said = NoSegmentWorse().judge(
        replace(mixed, settings=msgspec.structs.replace(QUICK, large=1000))
    )
    assert said.outcome == "not judged"
    assert "no segment has 1,000 users or more (" in said.says
    assert "--large" in said.says


def ticking(candidate: int, current: int) -> EncoderLatency:
    """A check whose clock says that a call takes so many milliseconds, some of them fifty times."""
    order = itertools.cycle(
        [
            *[current, candidate, candidate, current] * 8,
            *[candidate, current, current, candidate] * 8,
        ]
    )
    readings = itertools.count(1)
    now = 0

    def clock() -> int:
        nonlocal now
        reading = next(readings)
        if reading % 2 == 0:
            now += next(order) * (50 if reading % 14 == 0 else 1) * 1_000_000
        return now

    return EncoderLatency(clock)


def test_an_encoder_that_became_slow(data: Prepared, bundles: Path) -> None:
    """Both medians, the ratio with its interval, and what to train otherwise."""
    rounds = msgspec.structs.replace(QUICK, latency_rounds=41, latency_tolerance=1.1)
    same = replace(between(data, bundles, "all", "all"), settings=rounds)
    said = ticking(3, 2).judge(same)
    assert said.outcome == "refused"
    assert "takes 3.000 ms, the current model's 2.000 ms: 1.50 times as long" in said.says
    assert "allowed is 1.1" in said.says
    assert "--latency-tolerance" in said.says
    assert ticking(2, 2).judge(same).outcome == "passed"
    assert EncoderLatency().judge(between(data, bundles, "all", "all")).outcome == "passed"


def test_small_merchants_that_disappear(data: Prepared, bundles: Path) -> None:
    """The last places are worth little: the loss is shown and named."""
    said = SmallMerchants().judge(between(data, bundles, "large", "all"))
    assert (said.check, said.outcome) == ("small merchants", "refused")
    assert "exposure of small merchants 0." in said.says
    assert "at most 10 % may be lost" in said.says
    assert SmallMerchants(tolerance=0.9).judge(between(data, bundles, "large", "all")).outcome == (
        "passed"
    )
    assert SmallMerchants().judge(between(data, bundles, "all", "large")).outcome == "passed"


def test_the_small_merchants_have_a_fifth_together(data: Prepared) -> None:
    """As many of the smallest as stay below it; here the one that sells a tenth."""
    merchants = merchants_of(data)
    assert merchants is not None
    items = np.array(data.ids.items)
    assert {item[1] for item in items[small(merchants, data)]} == {"0", "1"}


def test_where_merchants_are_unknown(data: Prepared, bundles: Path) -> None:
    """The check does not judge, says why, and what would let it."""
    without = comparison(replace(data, content=None), bundles / "large", bundles / "all")
    said = SmallMerchants().judge(without)
    assert said.outcome == "not judged"
    assert "merchants unknown: the data has no feature whose name begins with 'merchant:'" in (
        said.says
    )


class Yes:
    """A check of somebody's own."""

    name = "yes"

    def judge(self, comparison: Comparison) -> Verdict:
        return Verdict(self.name, "passed", "yes")


NO_CHECK = object()


def test_checks_are_found_by_entry_point_and_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package's are always asked, the named ones besides; one is asked once."""
    about = tmp_path / "our_gates-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: our-gates\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[attune.gates]\nyes = {HERE}:{Yes.__name__}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    merchants = "model_export.gate.small_merchants:SmallMerchants"
    found = plugged_in([merchants, f"{HERE}:{Yes.__name__}"], taken=["quality"])
    assert [each.name for each in found] == ["yes", "small merchants"]
    assert all(isinstance(each, Check) for each in found)
    with pytest.raises(CheckUnusable, match="two checks are called yes"):
        plugged_in([], taken=["yes"])


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("nonsense", "nonsense names no check: write it as module:name"),
        ("no_such_module:Check", "cannot be loaded from no_such_module:Check"),
        (f"{HERE}:Missing", "cannot be loaded"),
        (f"{HERE}:NO_CHECK", "is no check: it needs a name and judge"),
    ],
)
def test_checks_that_cannot_be_used(named: str, says: str) -> None:
    """It is said what is wrong with the name, or with what it names."""
    with pytest.raises(CheckUnusable, match=says):
        plugged_in([named], taken=[])
    assert HERE in sys.modules


def test_bundles_of_other_data_or_splits(bundles: Path, data: Prepared) -> None:
    """Days that a model may have learned from prove nothing about it."""
    bundle = load_bundle(bundles / "all")
    check_candidate(bundle, data.source)
    check_current(bundle, data.source, older=False)
    other = msgspec.structs.replace(data.source, name="other.csv", sha256="ff" * 32)
    with pytest.raises(DataRefused, match=r"was made from hand\.csv, this folder from other data"):
        check_candidate(bundle, other)
    with pytest.raises(DataRefused, match="say --current-is-older"):
        check_current(bundle, other, older=False)
    longer = msgspec.structs.replace(data.source, held_out_from=data.source.held_out_from - 1)
    shorter = msgspec.structs.replace(longer, held_out_from=1)
    with pytest.raises(DataRefused, match="was split by time and held out from 1970"):
        check_candidate(bundle, shorter)
    with pytest.raises(DataRefused, match="hold out fewer days, those that are new to it"):
        check_current(bundle, shorter, older=True)


def test_a_current_bundle_of_earlier_data(bundles: Path, data: Prepared) -> None:
    """It is admitted where all that it learned from lies before the held-out days."""
    bundle = load_bundle(bundles / "all")
    later = msgspec.structs.replace(
        data.source,
        sha256="ff" * 32,
        held_out_from=data.source.last_at + 1_000_000,
        last_at=data.source.last_at * 2,
    )
    check_current(bundle, later, older=True)
    with pytest.raises(DataRefused, match="hold out fewer days"):
        check_current(bundle, msgspec.structs.replace(later, split="leave one out"), older=True)
