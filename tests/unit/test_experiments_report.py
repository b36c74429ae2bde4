"""The report of an experiment: figures for programs, a page for people that stands alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from services.attribution.domain.chart import HEIGHT, TOP, sequence_svg
from services.attribution.domain.course import POINTS, Course, Point, looked
from services.attribution.domain.report import Report, report, report_json
from services.attribution.domain.report_page import report_page
from services.attribution.domain.sums import Harms, Sums
from services.attribution.domain.tally import Tally
from services.attribution.domain.verdict import arm_difference
from services.shared.experiments import Experiment, Guard, Metric
from tests.experiment_parts import experiment

START = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
EMPTY = {"meta", "img", "link"}
SPEND = Metric(outcome="spend", currency="EUR", cap=50.0, least_uplift=0.1)
GUARDS = (
    Guard(harm="fallback", margin=0.01, usual=0.02),
    Guard(harm="late", margin=0.01, usual=0.01, limit_ms=100),
    Guard(harm="no_purchase", margin=0.02, usual=0.9, window_days=14),
)


class Closed(HTMLParser):
    """Holds a page to closing what it opens, and notes what it asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in EMPTY:
            self.open.append(tag)
        self.asked += [f"{tag} {name}={value}" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def spending(bought: int, *, shoppers: int = 5_000, fallbacks: int = 100) -> Tally:
    """Shoppers of whom so many spent 20.00 each."""
    sums = Sums(shoppers, bought, bought * 2_000, bought * 2_000**2)
    return Tally(exposed=shoppers, sums=sums, harms={"fallback": Harms(shoppers, fallbacks)})


def reported(*looks: Tally, of: Experiment | None = None, **others: Tally) -> Report:
    """Of ``arm-1`` look by look, beside a control in which one of ten spends."""
    told = of or experiment(metric=SPEND, guards=GUARDS)
    course = Course()
    for hour, each in enumerate(looks):
        tallies = {"control": spending(500), "arm-1": each, **others}
        course = looked(told, course, tallies, START + timedelta(hours=hour))
    assert course.at is not None
    return report(told, tallies, course, since=START, at=course.at)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314  # our own


def words(page: str) -> str:
    """What a page says, without markup, on one line."""
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(text.replace("\u00a0", " ").replace("&#x27;", "'").split())


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        (spending(505), "Nothing is shown yet (+0.02 EUR"),
        (spending(700), "A winner: better than the control, as shown on 2026-03-01; +0.80 EUR"),
        (spending(300), "Stop it: worse than the control (-0.80 EUR"),
        (
            spending(700, fallbacks=500),
            "A guard has stopped it: it does harm (first answer was a fallback: 10 % of its "
            "shoppers, 2 % of the control's, 1 % more allowed)",
        ),
        (spending(99), "it takes 100 shoppers in each arm who bought something; the arm has 99"),
        (spending(700, shoppers=4_000), "Decide nothing: shoppers do not come to the arms"),
    ],
)
def test_the_page_says_what_is_decided(arm: Tally, said: str) -> None:
    """In a sentence with the figures that it rests on, first on the page."""
    text = words(report_page(reported(arm)))
    assert said in text[: text.index("What is tested")]


def test_arms_that_are_alike_are_told_so() -> None:
    """With how little a difference would not have mattered."""
    metric = Metric(outcome="conversion", least_uplift=0.5)
    text = words(report_page(reported(spending(505), of=experiment(metric=metric))))
    assert "No difference that would matter" in text
    assert "less than 50 % of the control's mean either way" in text


def test_the_page_says_what_is_tested_and_since_when() -> None:
    """The hypothesis, the metric with its window and cap, and how much is planned."""
    text = words(report_page(reported(spending(505), spending(510))))
    for said in (
        "Experiment: diverse-home",
        "Shoppers who see more kinds of products buy more.",
        "what a shopper spends, within 14 days from the first exposure, of each shopper at most "
        "50 EUR",
        "Since 2026-03-01 08:30 UTC; this page is of 2026-03-01 09:30 UTC",
        "Planned for 20,000 shoppers; a difference matters from 10 %",
        "buckets 0 to 9,999 of 10,000",
        "control 5,000 (planned 50 %), arm-1 5,000 (planned 50 %)",
        "So far nothing speaks against it",
        "first answer came late",
        "look as often as you like",
    ):
        assert said in text, said


def test_the_page_says_what_earlier_purchases_explain() -> None:
    """By how much fewer shoppers are needed, of the arms that are judged."""
    sums = Sums(5_000, 500, 10**6, 2 * 10**9, 10**6, 2 * 10**9, 10**9)
    arm = Tally(exposed=5_000, sums=sums)
    text = words(report_page(reported(arm)))
    assert re.search(r"takes out 1?\d\.\d % of the variance for arm-1 \(CUPED\)", text)
    assert "Nothing has been judged" in words(report_page(reported(spending(0))))


def test_the_page_stands_alone_and_escapes_what_it_is_told() -> None:
    """Well-formed, no request, no script, and no text of an operator's taken for markup."""
    hypothesis = "<script>alert('x')</script> & `more` <img src=x>"
    page = report_page(
        reported(spending(505), of=experiment(metric=SPEND, guards=GUARDS, hypothesis=hypothesis))
    )
    parser = Closed()
    parser.feed(page)
    parser.close()
    assert (parser.open, parser.asked) == ([], [])
    assert "<script" not in page
    assert "url(" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &#x27;more&#x27;" in page


def test_the_json_has_the_same_figures() -> None:
    """In units of the currency, and read back as it was written."""
    told = reported(spending(700))
    read = msgspec.json.decode(report_json(told), type=Report)
    assert read == told
    (arm,) = read.arms
    assert read.control.mean == pytest.approx(2.0)
    assert arm.figures.mean == pytest.approx(2.8)
    assert arm.newest is not None
    assert arm.newest.estimate == pytest.approx(0.8)
    assert arm.least == pytest.approx(0.2)
    assert (arm.decision, arm.decided_at) == ("winner", START)
    assert arm.guards[0].control_share == pytest.approx(0.02)
    assert arm.guards[0].needed == pytest.approx(60)
    assert read.ratio_needed == pytest.approx(100)


def test_several_arms_share_the_chance_to_err() -> None:
    """A p-value is what the best of that many tries would give, at most 1."""
    of = experiment(0.4, 0.4, 0.2, metric=SPEND)
    tallies = {"control": spending(500), "arm-1": spending(630)}
    told = reported(tallies["arm-1"], of=of, **{"arm-2": spending(250, shoppers=2_500)})
    alone = arm_difference(of, of.arms[1], tallies)
    assert alone is not None
    assert 0 < alone.p < 0.1
    assert [arm.p for arm in told.arms] == [pytest.approx(2 * alone.p), 1]


def test_the_report_is_bounded() -> None:
    """Eight arms with as many looks as a chart has: a page of two hundred kilobytes at most."""
    of = experiment(*[0.125] * 8, metric=SPEND, guards=GUARDS, hypothesis="x" * 1_000)
    others = {f"arm-{number}": spending(500) for number in range(2, 8)}
    looks = [spending(505, shoppers=5_000 + number) for number in range(POINTS)]
    told = reported(*looks, of=of, **others)
    assert len(report_page(told)) < 200_000
    assert len(report_json(told)) < 500_000


def test_the_chart_shows_the_newest_interval_whole() -> None:
    """Whatever came before, also of one look; wider ones are cut at the frame's edge."""
    early, late = Point(100, 3.0, -90.0, 96.0), Point(5_000, 0.5, 0.2, 0.8)
    for points in ([late], [early, late], [early, early, late]):
        drawn = parsed(sequence_svg(points, 0.1, "EUR & more"))
        *_, newest = (each.attrib for each in drawn.iter() if each.tag.endswith("}line"))
        height = float(newest["y2"]), float(newest["y1"])
        assert HEIGHT > height[1] > height[0] + 40 > TOP + 40
        (dot,) = (each for each in drawn.iter() if each.tag.endswith("circle"))
        assert float(dot.attrib["cy"]) == pytest.approx(sum(height) / 2, abs=0.1)
        (band,) = (each for each in drawn.iter() if each.tag.endswith("polygon"))
        edges = [float(pair.split(",")[1]) for pair in band.attrib["points"].split()]
        assert TOP <= min(edges) <= max(edges) <= HEIGHT
        assert "EUR & more" in [each.text for each in drawn.iter()]


def test_a_chart_of_a_difference_of_nothing_is_drawn() -> None:
    """No spread at all makes no axis of no length."""
    assert len(parsed(sequence_svg([Point(1, 0.0, 0.0, 0.0)], 0.0, "x"))) > 5


def test_a_report_before_any_look_is_one() -> None:
    """Nothing is counted yet, and the page says so."""
    of = experiment(metric=SPEND, guards=GUARDS)
    nothing = {"control": Tally(), "arm-1": Tally()}
    told = report(of, nothing, Course(), since=START, at=START)
    text: Any = words(report_page(told))
    assert "the arm has 0, the control 0" in text
    assert msgspec.json.decode(report_json(told), type=Report) == told
