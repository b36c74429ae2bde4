"""A bundle in the shadow beside the one that answers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from services.recommendations.comparison_page import page, rows
from services.recommendations.domain.answer import Answer, Cause, Pick, Source
from services.recommendations.domain.comparison import (
    Figures,
    Tally,
    alike_of,
    failure,
    figures,
    tally_of,
)
from services.recommendations.domain.reasons import POPULAR


def answer(rows: Sequence[int], *, scores: Sequence[float] = (), personal: bool = True) -> Answer:
    """A list of these rows, best first."""
    told = scores or range(len(rows), 0, -1)
    picks = [Pick(row, float(score), POPULAR) for row, score in zip(rows, told, strict=True)]
    if personal:
        return Answer(picks, Source.PERSONAL, Cause.UNSPECIFIED, by_model=True)
    return Answer(picks, Source.POPULAR, Cause.EMPTY_PROFILE, by_model=False)


def beside(served: Answer, shadow: Answer) -> Tally:
    return tally_of(served, shadow, served_seconds=0.001, shadow_seconds=0.002)


def test_the_same_list_agrees_fully() -> None:
    """Overlap, ranks and scores are 1."""
    one = answer(range(1, 11))
    assert alike_of(one, one) == pytest.approx((1.0, 1.0, 1.0))


def test_a_list_upside_down() -> None:
    """The same products in the opposite order: all in common, ranks and scores opposed."""
    alike = alike_of(answer(range(1, 11)), answer(range(10, 0, -1)))
    assert alike == pytest.approx((1.0, -1.0, -1.0))


def test_ranks_and_scores_are_of_the_shared_products() -> None:
    """Three of ten are shared, in the same order, and the scores rise and fall together."""
    served = answer(range(1, 11), scores=[100 - 3 * n for n in range(10)])
    shadow = answer([1, 21, 22, 5, 23, 24, 25, 26, 27, 9], scores=[1 - n / 10 for n in range(10)])
    alike = alike_of(served, shadow)
    assert alike.overlap == 0.3
    assert alike.ranks == pytest.approx(1.0)
    assert alike.scores is not None
    assert 0.95 < alike.scores <= 1
    assert alike_of(answer([1, 2, 3]), answer([3, 7, 8])).ranks is None


def test_a_fallback_is_compared_with_nothing() -> None:
    """It is only counted that one made it and the other did not."""
    found = beside(answer(range(1, 11)), answer(range(1, 11), personal=False))
    assert (found.answers, found.compared, found.differing_fallbacks) == (1, 0, 1)
    both = beside(answer([1], personal=False), answer([2], personal=False))
    assert (both.compared, both.differing_fallbacks) == (0, 0)


def test_tallies_of_servers_are_added_up() -> None:
    """The means of the sum are those of all answers, also after being written and read."""
    parts = [
        beside(answer(range(1, 11)), answer(range(1, 11))),
        beside(answer(range(1, 11)), answer(range(6, 16))),
        failure(),
    ]
    total = Tally()
    for part in parts:
        total += msgspec.json.decode(msgspec.json.encode(part), type=Tally)
    found = figures(total)
    assert (found.answers, found.failed, found.compared) == (3, 1, 2)
    assert found.overlap_at_10 == 0.75
    assert found.differing_fallbacks == 0
    assert 1.0 <= found.served_p50_ms < 1.11
    assert 2.0 <= found.shadow_p99_ms < 2.22


def test_nothing_compared_is_no_number() -> None:
    """Figures say that there is nothing, instead of 0."""
    found = figures(failure())
    assert found.overlap_at_10 is None
    assert found.rank_correlation is None
    assert rows({"home": found})[0][2:5] == ("none", "none", "none")


def test_the_page_stands_alone() -> None:
    """A row for each scenario, nothing fetched, and names cannot break out of it."""
    found = figures(beside(answer(range(1, 11)), answer(range(1, 11))))
    text = page("demo", "a", "<script>", {"home": found, "cart & co": found})
    assert text.count("<tr>") == 3
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert "cart &amp; co" in text
    assert "http" not in text
    assert "100.0%" in text


def test_figures_have_names_that_programs_read() -> None:
    """The JSON of the report keeps them."""
    assert set(Figures.__struct_fields__) >= {
        "overlap_at_10",
        "rank_correlation",
        "score_agreement",
        "differing_fallbacks",
        "served_p99_ms",
        "shadow_p99_ms",
    }
