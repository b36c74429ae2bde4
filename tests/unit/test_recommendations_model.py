"""The bundle in a server: from what a shopper did to the scores of all products, and to reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.recommendations.adapters.model import Model, model_of, prove
from services.recommendations.adapters.search_vectors import TextVectors
from services.recommendations.domain.reasons import Kind, of_event
from services.shared.errors import BundleRefused
from services.shared.model_input import (
    IMPRESSION,
    PURCHASE,
    SEARCH,
    TARGET_NAMES,
    VIEW,
    Interaction,
)
from services.shared.repeat import DAY
from tests.tiny_bundle import TEXT_ENCODER, add_neighbours, make_bundle, seal, write_json

VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "lamp": (0.0, 1.0), "rake": (0.5, 0.5)}
NOW = 100 * DAY


def loaded(folder: Path, text_vectors_of: Callable[[str], TextVectors] | None = None) -> Model:
    """The model of a bundle in the bundle's own rows."""
    proven = prove(folder, text_vectors_of)
    return model_of(proven, proven.bundle.vocabulary)


def blended(folder: Path, *, coded: bool = False) -> Model:
    """A bundle with neighbours and a repeat table."""
    blend = {"neighbours": 1.0, "repeat": 2.0}
    make_bundle(folder, VECTORS, coded=coded, blend=blend)
    add_neighbours(folder, {1: {4: 0.5}}, rows=5)
    table = {"counts": [], "recency_days": [7], "score": [[1.0, 0.25]]}
    write_json(folder / "repeat.json", table)
    seal(folder)
    return loaded(folder)


@pytest.mark.parametrize("coded", [False, True])
def test_scores_are_the_encoders_and_the_blends(tmp_path: Path, coded: bool) -> None:
    """As evaluation computes them: the same code, fed with the same history."""
    model = blended(tmp_path / "bundle", coded=coded)
    did = [
        Interaction(NOW - 9 * DAY, "mug", PURCHASE),
        Interaction(NOW - DAY, "unheard-of", VIEW),
        Interaction(NOW, "cup", PURCHASE),
    ]
    reading = model.read(did, NOW)
    assert reading is not None
    vectors = model.learned.vectors.rows(np.arange(5))
    by_encoder = vectors @ (vectors[1] + vectors[2])
    neighbours = np.array([0, 0, 0, 0, 0.5])
    repeat = 2 * np.array([0, 0.25, 1, 0, 0])
    assert np.allclose(reading.scores, by_encoder + neighbours + repeat, atol=1e-6)
    assert [each.product_id for each in reading.history.interactions] == ["mug", "cup"]
    assert np.allclose(np.linalg.norm(reading.history.directions, axis=1), 1)


def test_a_history_longer_than_the_encoder_reads_still_counts_in_the_blend(
    tmp_path: Path,
) -> None:
    """Eight interactions are encoded and explained; what was bought before is not forgotten."""
    model = blended(tmp_path / "bundle")
    did = [Interaction(NOW - 9 * DAY, "lamp", PURCHASE)]
    did += [Interaction(NOW - n, "cup", VIEW) for n in range(8, 0, -1)]
    reading = model.read(did, NOW)
    assert reading is not None
    assert len(reading.history.interactions) == 8
    assert reading.scores[3] == 8 * 0.25 + 2 * 0.25


def test_what_was_only_shown_is_read_and_explains_nothing(tmp_path: Path) -> None:
    """A model that reads impressions gets them; a list never follows from one."""
    folder = make_bundle(tmp_path / "bundle", VECTORS, reads=[*TARGET_NAMES, "impression"])
    model = loaded(folder)
    assert set(model.reads) == {*TARGET_NAMES, "impression"}
    shown = Interaction(1, "lamp", IMPRESSION)
    assert model.read([shown], NOW) is None
    reading = model.read([Interaction(0, "mug", VIEW), shown], NOW)
    assert reading is not None
    assert [each.product_id for each in reading.history.interactions] == ["mug"]
    assert reading.scores[3] == 1.0


def by_hand(texts: Sequence[str]) -> NDArray[np.float32]:
    """A text encoder that knows two words."""
    return np.array([["mug" in text, "lamp" in text] for text in texts], np.float32)


def test_a_model_that_reads_searches_is_given_their_words_as_vectors(tmp_path: Path) -> None:
    """By the text encoder that its bundle names; a search is encoded, and can be the reason."""
    folder = make_bundle(
        tmp_path / "bundle",
        VECTORS,
        tower=True,
        reads=[*TARGET_NAMES, "search"],
        text_encoder=TEXT_ENCODER,
    )
    asked: list[str] = []

    def text_vectors_of(name: str) -> TextVectors:
        asked.append(name)
        return by_hand

    model = loaded(folder, text_vectors_of)
    assert asked == [TEXT_ENCODER]
    only_searched = model.read([Interaction(4, "", SEARCH, "a lamp")], NOW)
    assert only_searched is not None
    assert only_searched.scores.tolist() == [0, 0, 0.25, 1, 0.5]
    both = model.read(
        [Interaction(1, "mug", VIEW), *[Interaction(4, "", SEARCH, "a lamp")] * 2], NOW
    )
    assert both is not None
    assert both.scores[3] == 2
    assert both.history.directions.tolist() == [[1, 0], [0, 1], [0, 1]]
    nearest = both.history.nearest(np.array([[0.1, 0.9]], np.float32))
    reason = of_event(both.history.interactions[int(nearest[0])], "lamp", str)
    assert (reason.kind, reason.query, reason.at) == (Kind.SEARCHED, "a lamp", 4)
    with pytest.raises(BundleRefused, match=f"the text encoder {TEXT_ENCODER}, which this server"):
        loaded(folder)
