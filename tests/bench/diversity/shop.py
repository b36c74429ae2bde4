"""A shop's held-out baskets, and for each the pool that its list is chosen from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import Content, Prepared
from model_export.evaluation.cases import Case, Ranking, cases_of
from model_export.evaluation.evaluate import owners
from model_export.evaluation.figures import NDCG, figures
from model_export.evaluation.model_ranker import ModelRanker
from model_export.evaluation.segments import Question, nothing_again, whole
from services.recommendations.domain.ranking import HIDDEN, Ranked
from services.recommendations.domain.rerank import Kinds
from services.shared.bundle import Bundle
from services.shared.item_vectors import Floats
from services.shared.scores import best

LARGEST: Final = 100
"""Products in a pool, at most."""
AT_ONCE: Final = 64
"""Cases that are scored at the same time."""

Lists = NDArray[np.int64]
"""[C, 10] rows of the bundle."""


class Pool(NamedTuple):
    """Of one case, best first: P rows of the bundle, with their scores."""

    rows: NDArray[np.int64]
    scores: Floats

    def ranked(self, size: int) -> list[Ranked]:
        """The best of it, as a server has them."""
        return list(map(Ranked, self.rows[:size].tolist(), self.scores[:size].tolist()))


class Asked(NamedTuple):
    """One question, with a pool for each of its cases."""

    question: Question
    pools: Sequence[Pool]
    users: NDArray[np.int64]
    """Whose each case is."""


class Shop:
    """What was bought, what a bundle knows of it, and of which kinds the products are."""

    def __init__(self, data: Prepared, bundle: Bundle) -> None:
        self.name = data.source.name
        self.size = data.source.catalogue_size
        self._data, self._ranker = data, ModelRanker(data, bundle)
        self.vectors = bundle.item_vectors
        places = {item: place for place, item in enumerate(data.ids.items)}
        known = [places.get(product, -1) for product in bundle.vocabulary]
        self._places = np.array([-1, *known])
        """[n] of each row of the bundle its position in the data, -1 if none."""
        self._rows = np.array([bundle.vocabulary.index(item) for item in data.ids.items])
        self.kinds = Kinds(*(self._codes(data.content, kind) for kind in Kinds._fields))

    def _codes(self, content: Content | None, kind: str) -> NDArray[np.int32] | None:
        """[n] the narrowest feature of that kind which a product has, 0 for none."""
        if content is None:
            return None
        of_kind = np.array([False, *(name.startswith(f"{kind}:") for name in content.names)])
        if not of_kind.any():
            return None
        codes = np.zeros(len(content.features), dtype=np.int32)
        for column in content.features.T:
            np.copyto(codes, column, where=of_kind[column])
        return np.where(self._places >= 0, codes[self._places], 0)

    def kinds_of(self, rows: NDArray[np.integer]) -> Kinds:
        """The codes of some products."""
        return Kinds(*(None if codes is None else codes[rows] for codes in self.kinds))

    def asked(self, part: int, every: int) -> list[Asked]:
        """All purchases and new ones of every n-th basket of a part.

        New ones alone where nothing is bought again.
        """
        cases = cases_of(self._data, part)[::every]
        pools = list(self._pools(cases))
        found = []
        for question in whole(cases)[nothing_again(cases) :]:
            own = [pools[place][question.is_new] for place in question.places.tolist()]
            found.append(Asked(question, own, owners(cases)[question.places]))
        return found

    def _pools(self, cases: Sequence[Case]) -> Iterator[tuple[Pool, Pool]]:
        """Of all products, and of those that the user had not bought."""
        for start in range(0, len(cases), AT_ONCE):
            chunk = cases[start : start + AT_ONCE]
            for case, scores in zip(chunk, self._ranker.scores(chunk), strict=True):
                scores[0] = HIDDEN
                every = _pool(scores)
                scores[self._rows[case.bought]] = HIDDEN
                yield every, _pool(scores)

    def ndcg(self, asked: Asked, lists: Lists) -> NDArray[np.float64]:
        """[C] how well lists foretell the baskets."""
        question = asked.question._replace(places=np.arange(len(lists)))
        return figures(question, [Ranking(each, each) for each in self._places[lists]])[:, NDCG]


def _pool(scores: Floats) -> Pool:
    rows = best(scores, LARGEST)
    return Pool(rows, scores[rows])
