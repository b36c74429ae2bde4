"""Product codes: the vectors that they stand for, scored exactly, from a few bytes a product."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.training.quantize import bytes_for
from services.shared.item_vectors import Floats, FullVectors, ItemVectors
from services.shared.product_codes import BEAM, CHUNK, CodedVectors, encode, nearest
from services.shared.scores import best


def exact(rows: int, length: int, width: int, seed: int) -> CodedVectors:
    """Codes whose vectors float32 adds up exactly.

    Each codebook speaks of numbers of its own, and each centroid is 1 or -1 in one of them. Of 1,
    4 or 16 codebooks the sums have the lengths 1, 2 and 4.
    """
    random = np.random.default_rng(seed)
    books = np.zeros((length, 256, length, width), np.float32)
    for number in range(length):
        places = random.integers(0, width, 256)
        books[number, np.arange(256), number, places] = random.choice([-1.0, 1.0], 256)
    codes = random.integers(0, 256, (rows, length), dtype=np.uint8)
    return CodedVectors(codes, books.reshape(length, 256, -1))


def any_numbers(rows: int, length: int, dimensions: int, seed: int) -> CodedVectors:
    """Codes and codebooks by chance."""
    random = np.random.default_rng(seed)
    books = random.normal(size=(length, 256, dimensions)).astype(np.float32)
    return CodedVectors(random.integers(0, 256, (rows, length), dtype=np.uint8), books)


def full(coded: CodedVectors) -> FullVectors:
    """The same vectors as a table."""
    return FullVectors(coded.rows(np.arange(coded.size)))


@given(
    rows=st.integers(1, 400),
    length=st.sampled_from([1, 4, 16]),
    width=st.integers(1, 4),
    count=st.integers(1, 50),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_best_are_those_of_scoring_every_vector(
    rows: int, length: int, width: int, count: int, seed: int
) -> None:
    """Every score, the best k and the order of equal ones are full scoring's, bit by bit."""
    coded = exact(rows, length, width, seed)
    query = np.random.default_rng(seed + 1).integers(-3, 4, coded.dimensions).astype(np.float32)
    expected = full(coded).scores(query)
    found = coded.scores(query)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)
    order = np.lexsort((np.arange(rows), -expected))[:count]
    assert best(found, count).tolist() == order.tolist()
    assert np.array_equal(coded.scores_batch(query[None])[0], expected)


def direction(vectors: ItemVectors, row: int) -> Floats:
    """Of one product, at length 1."""
    found: Floats = vectors.directions(np.array([row]))[0]
    return found


def test_scores_of_any_numbers_are_full_scorings_but_for_rounding() -> None:
    """Each within a few float32 roundings of the sum that float64 gives, over several chunks."""
    coded = any_numbers(2 * CHUNK + 7, 3, 32, seed=3)
    query = np.random.default_rng(4).normal(size=32).astype(np.float32)
    vectors = coded.rows(np.arange(coded.size)).astype(np.float64)
    assert np.allclose(np.linalg.norm(vectors[1:], axis=1), 1, atol=1e-3)  # float16
    precise = vectors @ query
    scale = np.abs(vectors) @ np.abs(query)
    found = coded.scores(query)
    assert (np.abs(found - precise)[1:] <= 32 * 2.0**-24 * scale[1:]).all()
    assert precise[best(found, 10)].min() >= np.sort(precise)[-10] - 1e-5


def test_products_of_the_same_code_are_equal_to_the_last_bit() -> None:
    """Wherever in the table they stand: ties go by index, not by how a sum was split."""
    random = np.random.default_rng(4)
    books = random.normal(size=(3, 256, 12)).astype(np.float32)
    codes = np.tile(random.integers(0, 256, (1, 3), dtype=np.uint8), (CHUNK + 5, 1))
    scores = CodedVectors(codes, books).scores(random.normal(size=12).astype(np.float32))
    assert len(set(scores[1:].tolist())) == 1
    assert best(scores[1:], 3).tolist() == [0, 1, 2]


def test_padding_is_zeros_whatever_its_codes_say() -> None:
    """Row 0 has no vector, no score, no direction and is like nothing."""
    coded = any_numbers(9, 3, 6, seed=5)
    padding = np.array([[0, 1], [1, 0]])
    assert not coded.rows(padding)[0, 0].any()
    assert not coded.directions(padding)[1, 1].any()
    assert coded.scores(np.ones(6, np.float32))[0] == 0
    assert coded.likeness(direction(coded, 3))[0] == 0
    assert not coded.likeness(direction(coded, 0)).any()


def test_centroids_that_add_up_to_nothing_are_no_vector() -> None:
    """Nothing has no direction; no number turns into NaN by it."""
    books = np.zeros((2, 256, 3), np.float32)
    books[0, 1], books[1, 2] = 1.0, -1.0
    coded = CodedVectors(np.array([[0, 0], [1, 2], [1, 0]], np.uint8), books)
    assert coded.rows(np.array([1])).tolist() == [[0, 0, 0]]
    assert coded.scores(np.ones(3, np.float32))[:2].tolist() == [0, 0]
    nearly = CodedVectors(np.array([[0, 0], [1, 0]], np.uint8), books * np.float32(1e-6))
    assert not nearly.rows(np.array([1])).any()


def test_a_table_and_codes_of_the_same_vectors_answer_alike() -> None:
    """Rows, directions, cosines, codes and sizes, by one interface."""
    coded = any_numbers(300, 3, 15, seed=6)
    table = full(coded)
    some = np.array([[0, 7, 299], [1, 1, 2]])
    assert (coded.size, coded.dimensions) == (table.size, table.dimensions) == (300, 15)
    assert np.array_equal(coded.rows(some), table.rows(some))
    assert np.allclose(coded.directions(some), table.directions(some), atol=1e-3)
    assert np.allclose(
        coded.likeness(direction(coded, 7)), table.likeness(direction(table, 7)), atol=1e-3
    )
    again = CodedVectors(coded.codes, coded.codebooks)
    assert np.array_equal(again.rows(some), coded.rows(some))


def test_a_new_product_is_encoded_on_the_frozen_codebooks() -> None:
    """It gets the codes of a sum that is near, the others keep their codes and vectors."""
    coded = exact(50, 4, 3, seed=7)
    close = coded.rows(np.array([31])) * np.float32(2.1)
    more = coded.appended(close)
    assert more.size == 51
    assert np.array_equal(more.rows(np.array([50])), coded.rows(np.array([31])))
    assert np.array_equal(more.codes[:50], coded.codes)
    assert np.array_equal(more.codebooks, coded.codebooks)
    table = full(coded).appended(close)
    assert np.array_equal(table.rows(np.array([50])), close)


def test_codes_are_the_nearest_of_the_sums_that_were_kept() -> None:
    """As a slow search says that keeps as many; one codebook is the nearest centroid alone."""
    random = np.random.default_rng(8)
    points = random.normal(size=(60, 5)).astype(np.float32)
    books = random.normal(size=(3, 256, 5)).astype(np.float32) / np.array([[[1]], [[2]], [[4]]])
    books = books.astype(np.float32)
    for point, found in zip(points, encode(points, books).tolist(), strict=True):
        kept: list[tuple[float, list[int]]] = [(0.0, [])]
        for _ in range(3):
            sums = [[*codes, code] for _, codes in kept for code in range(256)]
            total = [
                sum(books[i, code].astype(np.float64) for i, code in enumerate(codes))
                for codes in sums
            ]
            errors = ((point - np.array(total)) ** 2).sum(axis=1)
            order = np.argsort(errors)[:BEAM]
            kept = [(float(errors[i]), sums[i]) for i in order.tolist()]
        assert found == kept[0][1]
    alone = encode(points, books[:1])[:, 0]
    distances = ((points[:, None].astype(np.float64) - books[0]) ** 2).sum(axis=2)
    assert np.array_equal(alone, distances.argmin(axis=1))
    assert np.array_equal(nearest(points, books[0]), distances.argmin(axis=1))


@pytest.mark.parametrize(("length", "least"), [(20, 20.0), (8, 38.0)])
def test_a_million_products_take_a_twentieth_of_float32(length: int, least: float) -> None:
    """All that is held of item vectors: codes, codebooks, and lengths."""
    rows, dimensions = 1_000_000, 128
    assert bytes_for(dimensions) == 20
    codes = np.zeros((rows, length), np.uint8)
    coded = CodedVectors(codes, np.ones((length, 256, dimensions), np.float32))
    held = [each for each in vars(coded).values() if isinstance(each, np.ndarray)]
    assert coded.nbytes == sum(each.nbytes for each in held)
    assert all(each.base is None for each in held)
    assert rows * dimensions * 4 / coded.nbytes >= least
