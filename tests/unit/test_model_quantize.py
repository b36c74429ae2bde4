"""Codebooks are learned from a finished model's vectors: seeded, and as near as clusters can be."""

from __future__ import annotations

import numpy as np
import pytest

from model_export.exporting import quantize
from services.shared.item_vectors import Floats
from services.shared.product_quantization import CodedVectors, encode


def clustered(rows: int, dimensions: int, seed: int = 1) -> Floats:
    """Vectors around forty centres, as products of forty kinds would be."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(40, dimensions))
    spread = 0.2 * random.normal(size=(rows, dimensions))
    return (centres[random.integers(0, 40, rows)] + spread).astype(np.float32)


def learned(vectors: Floats, parts: int, seed: int = 1) -> Floats:
    """Codebooks, without a word."""
    return quantize.codebooks(vectors, parts, seed=seed, progress=lambda _: None)


def error(vectors: Floats, books: Floats) -> float:
    """How much of the vectors' variance is lost."""
    coded = CodedVectors(encode(vectors, books), books)
    lost = np.square(coded.rows(np.arange(1, coded.size)) - vectors[1:]).sum()
    return float(lost / np.square(vectors - vectors.mean(axis=0)).sum())


@pytest.mark.parametrize(("dimensions", "parts"), [(128, 16), (64, 8), (12, 1), (20, 2), (6, 1)])
def test_a_byte_stands_for_eight_numbers_or_the_next_divisor(dimensions: int, parts: int) -> None:
    """The parts are of equal width."""
    assert quantize.parts_for(dimensions) == parts


def test_the_same_seed_gives_the_same_codebooks() -> None:
    """And another seed others, about as good."""
    vectors = clustered(3_000, 16)
    one, same, other = (learned(vectors, 2, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert error(vectors, other) == pytest.approx(error(vectors, one), rel=0.1)


def test_learned_codebooks_lose_less_than_drawn_ones() -> None:
    """A quarter less than centroids that are products drawn by chance, at the least."""
    vectors = clustered(6_000, 16)
    books = learned(vectors, 2)
    random = np.random.default_rng(3)
    drawn = vectors[random.choice(len(vectors), 256, replace=False)].reshape(256, 2, 8)
    assert error(vectors, books) < 0.75 * error(vectors, drawn.swapaxes(0, 1))
    assert error(vectors, books) < 0.03


def test_few_different_products_are_kept_exactly() -> None:
    """Where 256 centroids are enough nothing is lost, and every centroid is a number."""
    vectors = np.repeat(clustered(200, 8), 30, axis=0)
    books = learned(vectors, 1)
    assert np.isfinite(books).all()
    assert error(vectors, books) == 0


def test_a_large_catalogue_is_sampled_and_says_how_far_it_is() -> None:
    """Every part is told; centroids come from the whole catalogue."""
    vectors = clustered(quantize.SAMPLE + 5_000, 2)
    told: list[str] = []
    books = quantize.codebooks(vectors, 1, seed=1, progress=told.append)
    assert told == ["product codes: part 1 of 1"]
    assert error(vectors, books) < 0.01
