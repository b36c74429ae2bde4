"""A list that one number turns from score to variety, and that no kind of product fills."""

from __future__ import annotations

import itertools
from typing import Final, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.recommendations.domain.ranking import Ranked, best
from services.recommendations.domain.rerank import (
    NOTHING_ABOVE,
    Above,
    Caps,
    Kinds,
    diverse,
    room,
)

TOP: Final = 64.0
"""The best score of a made-up pool; the least is 0. So all that is computed of them is exact."""
EIGHTHS: Final = st.integers(0, 8).map(lambda eighth: eighth / 8)
FREE: Final = Caps()


class Pool(NamedTuple):
    """What is chosen from."""

    ranked: list[Ranked]
    directions: NDArray[np.float32]
    kinds: Kinds
    above: Above = NOTHING_ABOVE

    def chosen(self, limit: int, strength: float, caps: Caps = FREE) -> list[int]:
        """Places in the pool, in the order of the list."""
        pool, directions, kinds, above = self
        found = diverse(
            pool, directions, kinds, limit=limit, strength=strength, caps=caps, above=above
        )
        place_of = {each.row: place for place, each in enumerate(pool)}
        return [place_of[each.row] for each in found]


def made_up(seed: int, size: int) -> Pool:
    """A pool with ties, twins, opposites, products without a vector and without a kind.

    A vector has four halves among eight places, so cosines are quarters.
    """
    random = np.random.default_rng(seed)
    scores = np.sort(random.integers(0, int(TOP) + 1, size))[::-1].astype(float)
    scores[:1], scores[1:][-1:] = TOP, 0
    signs = random.choice([-0.5, 0.5, 0.5], (size, 8)).astype(np.float32)
    directions = signs * (random.random((size, 8)).argsort(axis=1) < 4)
    directions[random.random(size) < 0.1] = 0
    category, brand, merchant = random.integers(0, 5, (3, size), dtype=np.int32)
    ranked = [Ranked(row, score) for row, score in enumerate(scores.tolist())]
    return Pool(ranked, directions, Kinds(category, None if seed % 3 else brand, merchant))


POOLS: Final = st.builds(made_up, st.integers(0, 2**32 - 1), st.integers(0, 40))


def below_others(seed: int, size: int, held: int) -> Pool:
    """A pool for the rest of a list that has so many products already."""
    pool, others = made_up(seed, size), made_up(seed + 3, held)
    return pool._replace(above=Above(held, others.kinds))


BELOW: Final = st.builds(
    below_others, st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(0, 8)
)
CAPS: Final = st.builds(Caps, EIGHTHS, EIGHTHS, EIGHTHS)


def codes_of(kinds: Kinds, place: int, caps: Caps) -> list[tuple[int, int, float]]:
    """The kinds of a product that are capped, with their shares."""
    told = zip(range(3), kinds, caps, strict=True)
    found = [(n, int(codes[place]), share) for n, codes, share in told if codes is not None]
    return [(n, code, share) for n, code, share in found if code and share < 1]


def is_full(pool: Pool, chosen: list[int], place: int, limit: int, caps: Caps) -> bool:
    """Whether a kind of the product has its share of the chosen already."""
    kinds = [kind for each in chosen for kind in codes_of(pool.kinds, each, caps)]
    held, above = pool.above
    kinds += [kind for each in range(held) for kind in codes_of(above, each, caps)]
    own = codes_of(pool.kinds, place, caps)
    return any(kinds.count(kind) >= room(held + limit, kind[2]) for kind in own)


def by_definition(pool: Pool, limit: int, strength: float, caps: Caps) -> list[int]:
    """What the module's first lines say, product by product."""
    chosen: list[int] = []

    def worth(place: int) -> float:
        own = pool.directions[place]
        nearest = max([0.0, *(float(own @ pool.directions[each]) for each in chosen)])
        return (1 - strength) * pool.ranked[place].score / TOP - strength * nearest

    while len(chosen) < min(limit, len(pool.ranked)):
        rest = [place for place in range(len(pool.ranked)) if place not in chosen]
        free = [place for place in rest if not is_full(pool, chosen, place, limit, caps)]
        chosen.append(max(free or rest, key=lambda place: (worth(place), -place)))
    return chosen


@given(st.one_of(POOLS, BELOW), st.integers(1, 12), EIGHTHS, CAPS)
def test_a_list_is_that_of_the_definition(
    pool: Pool, limit: int, strength: float, caps: Caps
) -> None:
    """For any pool, strength and caps it equals a plain reading of what is promised.

    Also for the rest of a list, whose products above count for its caps.
    """
    assert pool.chosen(limit, strength, caps) == by_definition(pool, limit, strength, caps)


@given(POOLS, st.integers(1, 12))
def test_strength_0_without_caps_is_the_ranking(pool: Pool, limit: int) -> None:
    """Product by product and score by score."""
    found = diverse(pool.ranked, pool.directions, pool.kinds, limit=limit, strength=0, caps=FREE)
    assert found == pool.ranked[:limit]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.floats(0, 1))
def test_a_list_keeps_its_promises(seed: int, limit: int, strength: float) -> None:
    """Of any numbers: as long as the pool allows, no repeats, the best first, no score rises.

    A score is a product's own, or that of a lesser one above it.
    """
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(random.integers(0, 40), 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.sort(random.standard_cauchy(len(vectors)))[::-1].tolist()
    pool = list(itertools.starmap(Ranked, enumerate(scores)))
    found = diverse(pool, vectors, Kinds(), limit=limit, strength=strength, caps=Caps())
    assert len({each.row for each in found}) == len(found) == min(limit, len(pool))
    own = [scores[each.row] for each in found]
    assert [each.score for each in found] == list(itertools.accumulate(own, min))
    assert found[:1] == pool[:1]


@given(POOLS, st.integers(1, 12), EIGHTHS, CAPS)
def test_a_cap_holds_while_anything_else_is_left(
    pool: Pool, limit: int, strength: float, caps: Caps
) -> None:
    """Where a kind has more than its share, all that is not in the list is of a full kind."""
    chosen = pool.chosen(limit, strength, caps)
    kinds = [kind for each in chosen for kind in codes_of(pool.kinds, each, caps)]
    if any(kinds.count(kind) > room(limit, kind[2]) for kind in kinds):
        rest = set(range(len(pool.ranked))).difference(chosen)
        assert all(is_full(pool, chosen, place, limit, caps) for place in rest)


@given(st.integers(0, 2**32 - 1), EIGHTHS)
def test_where_products_stand_in_the_catalogue_changes_nothing(seed: int, strength: float) -> None:
    """Equal ones go by product id, whatever their rows."""
    random = np.random.default_rng(seed)
    pool = made_up(seed, 40)
    scores = random.integers(0, 4, 40).astype(np.float32)

    def shown(order: NDArray[np.integer]) -> list[int]:
        ranked = best(scores[order], 30, lambda row: f"{order[row]:02}")
        rows = order[[each.row for each in ranked]]
        kinds = Kinds(*(None if codes is None else codes[rows] for codes in pool.kinds))
        chosen = Pool(ranked, pool.directions[rows], kinds).chosen(8, strength, Caps(0.4, 0.4, 0.4))
        return [int(row) for row in rows[chosen]]

    assert shown(random.permutation(40)) == shown(np.arange(40))


def test_more_strength_is_more_variety_for_less_score() -> None:
    """On average over pools: from 0 to 1 lists get less alike, and their scores fall."""
    random = np.random.default_rng(7)
    likeness, score = np.zeros(6), np.zeros(6)
    for _ in range(60):
        vectors = random.normal(size=(50, 8)).astype(np.float32) + random.normal(size=8)
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        scores = np.sort(vectors @ random.normal(size=8))[::-1].tolist()
        pool = Pool(list(itertools.starmap(Ranked, enumerate(scores))), vectors, Kinds())
        for step in range(6):
            chosen = pool.chosen(10, step / 5)
            likeness[step] += np.square(vectors[chosen].sum(axis=0)).sum()
            score[step] += sum(scores[place] for place in chosen)
    assert (np.diff(likeness) < 0).all()
    assert (np.diff(score) < 0).all()


def two_mugs_and_a_lamp(lamp: tuple[float, float]) -> Pool:
    """The lamp fits less than either."""
    ranked = [Ranked(7, 3.0), Ranked(4, 2.9), Ranked(9, 1.0), Ranked(2, 0.0)]
    vectors = np.array([(1, 0), (1, 0), lamp, (1, 0)], np.float32)
    return Pool(ranked, vectors, Kinds())


@pytest.mark.parametrize("lamp", [(0, 1), (0, 0), (-1, 0)], ids=["unlike", "no vector", "opposite"])
def test_something_else_is_worth_more_than_the_same_again(lamp: tuple[float, float]) -> None:
    """What is unlike, or has no vector, takes a twin's place where variety weighs enough.

    To be the opposite is worth no more than to be unlike.
    """
    pool = two_mugs_and_a_lamp(lamp)
    assert pool.chosen(2, 0.5) == [0, 2]
    assert pool.chosen(2, 0) == [0, 1]
    assert pool.chosen(2, 0.25) == [0, 1]


def ranked(size: int) -> list[Ranked]:
    """Scores that fall by one."""
    return [Ranked(row, 100.0 - row) for row in range(size)]


@pytest.mark.parametrize("kind", Kinds._fields)
def test_no_kind_fills_a_list(kind: str) -> None:
    """At most its share of one category, brand or merchant, while others are there."""
    codes = Kinds(**{kind: np.repeat([1, 2], [20, 10])})
    pool = Pool(ranked(30), np.zeros((30, 2), np.float32), codes)
    within = [0, 1, 2, 3, 20, 21, 22, 23]
    assert pool.chosen(8, 0, Caps(**{kind: 0.5})) == within
    assert pool.chosen(10, 0, Caps(**{kind: 0.4})) == [*within, 4, 5]
    assert pool.chosen(10, 0) == list(range(10))


def test_products_without_a_kind_are_not_held_back() -> None:
    """Having no category is not a category."""
    zeros = np.zeros(30, np.int32)
    pool = Pool(ranked(30), np.zeros((30, 2), np.float32), Kinds(zeros, zeros, zeros))
    assert pool.chosen(10, 0, Caps(0.1, 0.1, 0.1)) == list(range(10))


@pytest.mark.parametrize("limit", [1, 2, 10, 100])
def test_a_list_of_any_length_has_room_for_one_of_a_kind(limit: int) -> None:
    """Even a list of one shows the best product; shares are rounded up."""
    assert 1 <= room(limit, 0.4) <= limit
    assert room(limit, 0.0) == 1
    assert room(10, 0.4) == 4
    assert room(10, 0.41) == 5
    assert room(100, 0.07) == 7
