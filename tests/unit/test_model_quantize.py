"""Codebooks are learned from a finished model's vectors: seeded, and as near as clusters can be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from model_export.training import quantize
from services.shared.item_vectors import Floats
from services.shared.product_codes import encode


def clustered(rows: int, dimensions: int, seed: int = 1) -> Floats:
    """Vectors around forty centres, as products of forty kinds would be."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(40, dimensions))
    spread = 0.2 * random.normal(size=(rows, dimensions))
    return (centres[random.integers(0, 40, rows)] + spread).astype(np.float32)


def learned(
    vectors: Floats, length: int, *, seed: int = 1, counts: NDArray[np.int64] | None = None
) -> Floats:
    """Codebooks, without a word."""
    interactions = np.zeros(len(vectors), np.int64) if counts is None else counts
    return quantize.codebooks(vectors, interactions, length, seed=seed, progress=lambda _: None)


def errors(vectors: Floats, books: Floats) -> NDArray[np.float64]:
    """The squared distance of each vector from the nearest sum of centroids that was found."""
    codes = encode(vectors, books)
    sums = sum(centroids[codes[:, number]] for number, centroids in enumerate(books))
    found: NDArray[np.float64] = np.square(vectors - sums).sum(axis=1, dtype=np.float64)
    return found


def lost(vectors: Floats, books: Floats) -> float:
    """How much of the vectors' variance is lost."""
    whole = np.square(vectors - vectors.mean(axis=0)).sum()
    return float(errors(vectors, books).sum() / whole)


@pytest.mark.parametrize(
    ("dimensions", "length"), [(128, 20), (64, 10), (100, 16), (20, 4), (6, 2)]
)
def test_a_byte_stands_for_about_six_numbers(dimensions: int, length: int) -> None:
    """The number of bytes is even, as they are read in pairs."""
    assert quantize.bytes_for(dimensions) == length


def test_the_same_seed_gives_the_same_codebooks() -> None:
    """And another seed others, about as good."""
    vectors = clustered(3_000, 16)
    one, same, other = (learned(vectors, 2, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert lost(vectors, other) == pytest.approx(lost(vectors, one), rel=0.1)


def test_each_codebook_tells_what_those_before_it_left_out() -> None:
    """More of them lose less, and much less than centroids that are products by chance."""
    vectors = clustered(6_000, 16)
    books = learned(vectors, 4)
    found = [lost(vectors, books[:length]) for length in (1, 2, 4)]
    assert found[0] > 1.5 * found[1] > 2 * found[2]
    assert found[2] < 0.01
    random = np.random.default_rng(3)
    drawn = vectors[random.choice(len(vectors), 4 * 256, replace=False)].reshape(4, 256, 16)
    assert found[2] < 0.2 * lost(vectors, drawn)


def test_what_shoppers_turn_to_is_told_exacter() -> None:
    """A hundred products of many interactions lose less than half of what they lose unweighed."""
    random = np.random.default_rng(5)
    vectors = random.normal(size=(5_000, 16)).astype(np.float32)
    counts = np.ones(len(vectors), np.int64)
    counts[:100] = 1_000
    alike, weighed = learned(vectors, 2), learned(vectors, 2, counts=counts)
    head = slice(0, 100)
    assert errors(vectors, weighed)[head].mean() < 0.5 * errors(vectors, alike)[head].mean()


def test_few_products_are_kept_exactly() -> None:
    """Where 256 centroids are enough nothing is lost, and every centroid is a number."""
    vectors = clustered(200, 8)
    books = learned(vectors, 2)
    assert np.isfinite(books).all()
    assert lost(vectors, books) < 1e-12


def test_a_large_catalogue_is_sampled_and_says_how_far_it_is() -> None:
    """Every codebook is told; products are drawn by how often shoppers turned to them."""
    vectors = clustered(quantize.SAMPLE + 5_000, 2)
    counts = np.zeros(len(vectors), np.int64)
    counts[-10:] = 10_000
    told: list[str] = []
    books = quantize.codebooks(vectors, counts, 2, seed=1, progress=told.append)
    assert told == [f"product codes: codebook {number} of 2" for number in (1, 2)]
    found = errors(vectors, books)
    assert found.mean() < 0.05
    assert found[-10:].mean() < 1e-3
