"""Product codes: the vectors that they stand for, scored exactly, from a few bytes a product."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.item_vectors import FullVectors
from services.shared.product_quantization import CHUNK, CodedVectors, encode, nearest
from services.shared.scores import best


def whole_numbers(rows: int, parts: int, width: int, seed: int) -> CodedVectors:
    """Codes whose vectors are small whole numbers, so that float32 adds them up exactly."""
    random = np.random.default_rng(seed)
    books = random.integers(-2, 3, (parts, 256, width)).astype(np.float32)
    return CodedVectors(random.integers(0, 256, (rows, parts), dtype=np.uint8), books)


def full(coded: CodedVectors) -> FullVectors:
    """The same vectors as a table."""
    return FullVectors(coded.rows(np.arange(coded.size)))


@given(
    rows=st.integers(1, 400),
    parts=st.integers(1, 5),
    width=st.integers(1, 4),
    count=st.integers(1, 50),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_best_are_those_of_scoring_every_vector(
    rows: int, parts: int, width: int, count: int, seed: int
) -> None:
    """Every score, the best k and the order of equal ones are full scoring's, bit by bit."""
    coded = whole_numbers(rows, parts, width, seed)
    query = np.random.default_rng(seed + 1).integers(-3, 4, coded.dimensions).astype(np.float32)
    expected = full(coded).scores(query)
    found = coded.scores(query)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)
    order = np.lexsort((np.arange(rows), -expected))[:count]
    assert best(found, count).tolist() == order.tolist()
    assert np.array_equal(coded.scores_batch(query[None])[0], expected)


def test_scores_of_any_numbers_are_full_scorings_but_for_rounding() -> None:
    """Each within a few float32 roundings of the sum that float64 gives, over several chunks."""
    random = np.random.default_rng(3)
    books = random.normal(size=(4, 256, 8)).astype(np.float32)
    codes = random.integers(0, 256, (2 * CHUNK + 7, 4), dtype=np.uint8)
    coded = CodedVectors(codes, books)
    query = random.normal(size=32).astype(np.float32)
    vectors = coded.rows(np.arange(coded.size)).astype(np.float64)
    exact = vectors @ query
    scale = np.abs(vectors) @ np.abs(query)
    assert (np.abs(coded.scores(query) - exact) <= 8 * 2.0**-24 * scale).all()
    top = best(coded.scores(query), 10)
    assert exact[top].min() >= np.sort(exact)[-10] - 1e-5


def test_products_of_the_same_code_are_equal_to_the_last_bit() -> None:
    """Wherever in the table they stand: ties go by index, not by how a sum was split."""
    random = np.random.default_rng(4)
    books = random.normal(size=(3, 256, 4)).astype(np.float32)
    codes = np.tile(random.integers(0, 256, (1, 3), dtype=np.uint8), (CHUNK + 5, 1))
    scores = CodedVectors(codes, books).scores(random.normal(size=12).astype(np.float32))
    assert len(set(scores[1:].tolist())) == 1
    assert best(scores[1:], 3).tolist() == [0, 1, 2]


def test_padding_is_zeros_whatever_its_codes_say() -> None:
    """Row 0 has no vector, no score, no direction and is like nothing."""
    coded = whole_numbers(9, 3, 2, seed=5)
    padding = np.array([[0, 1], [1, 0]])
    assert not coded.rows(padding)[0, 0].any()
    assert not coded.directions(padding)[1, 1].any()
    assert coded.scores(np.ones(6, np.float32))[0] == 0
    assert coded.cosines(3)[0] == 0
    assert not coded.cosines(0).any()


def test_a_table_and_codes_of_the_same_vectors_answer_alike() -> None:
    """Rows, directions, cosines, codes and sizes, by one interface."""
    coded = whole_numbers(300, 3, 5, seed=6)
    table = full(coded)
    some = np.array([[0, 7, 299], [1, 1, 2]])
    assert (coded.size, coded.dimensions) == (table.size, table.dimensions) == (300, 15)
    assert np.array_equal(coded.rows(some), table.rows(some))
    assert np.allclose(coded.directions(some), table.directions(some), atol=1e-6)
    assert np.allclose(np.linalg.norm(coded.directions(some)[0, 1:], axis=-1), 1)
    assert np.allclose(coded.cosines(7), table.cosines(7), atol=1e-6)
    again = CodedVectors(coded.codes, coded.codebooks)
    assert np.array_equal(again.rows(some), coded.rows(some))


def test_a_new_product_is_encoded_on_the_frozen_codebooks() -> None:
    """It gets the nearest centroid in each part, the others keep their codes and vectors."""
    coded = whole_numbers(50, 2, 3, seed=7)
    close = coded.rows(np.array([31])) + np.float32(0.1)
    more = coded.appended(close)
    assert more.size == 51
    assert np.array_equal(more.rows(np.array([50])), coded.rows(np.array([31])))
    assert np.array_equal(more.codes[:50], coded.codes)
    assert np.array_equal(more.codebooks, coded.codebooks)
    table = full(coded).appended(close)
    assert np.array_equal(table.rows(np.array([50])), close)


def test_the_nearest_centroid_is_the_nearest_and_ties_go_to_the_first() -> None:
    """As comparing every distance says."""
    random = np.random.default_rng(8)
    points = random.normal(size=(500, 3)).astype(np.float32)
    centroids = random.normal(size=(256, 3)).astype(np.float32)
    distances = ((points[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2)
    assert np.array_equal(nearest(points, centroids), distances.argmin(axis=1))
    twice = np.repeat(centroids[:1], 256, axis=0)
    assert not nearest(points, twice).any()
    assert np.array_equal(
        encode(np.hstack([points, points]), np.stack([centroids, twice]))[:, 0],
        nearest(points, centroids),
    )


@pytest.mark.parametrize(("parts", "least"), [(16, 20.0), (8, 40.0)])
def test_a_million_products_take_a_twentieth_of_float32(parts: int, least: float) -> None:
    """All that is held of item vectors: codes, codebooks, and lengths for cosines."""
    rows, dimensions = 1_000_000, 128
    codes = np.zeros((rows, parts), np.uint8)
    books = np.ones((parts, 256, dimensions // parts), np.float32)
    coded = CodedVectors(codes, books)
    held = [each for each in vars(coded).values() if isinstance(each, np.ndarray)]
    assert coded.nbytes == sum(each.nbytes for each in held)
    assert all(each.base is None for each in held)
    assert rows * dimensions * 4 / coded.nbytes >= least
