"""Products that nobody has bought yet: ``make bench-cold``.

Office (``../shared/data/amazon-office``), a tenth of its products withheld from training. Each line
of the test file is a case, and all products are ranked, new and known together. The model finds a
withheld one by its brand and its title's vector alone. Beside it stands popularity within the
category: what sells in the categories of the history; of a product without sales it knows no more
than that products of its category sell so much on average. The file names no categories, so
a cluster of alike titles is taken for one. What sells of a brand is given, too, which is no
category: three of four brands here have one or two products.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.cluster.vq import kmeans2

from model_export.dataset import TRAIN, Prepared
from model_export.modelling.model import Model
from model_export.training.catalogue import Catalogue
from model_export.training.rules import settings_for
from services.shared.text_encoder import UniversalSentenceEncoder
from tests.bench.accuracy import ruler
from tests.bench.accuracy.office import (
    Case,
    content_of,
    prepared,
    read,
    validating,
    withheld,
)
from tests.bench.accuracy.quiet import trained
from tests.bench.accuracy.scoring import Scorer
from tests.bench.report import ROOT, Row, publish

DATA: Final = ROOT.parent / "shared/data/amazon-office"
SEEDS: Final = (1, 2, 3)
BRAND: Final = "popularity by brand"
CLUSTER: Final = "popularity by cluster of titles"
SHARE: Final = 0.1
CLUSTERS: Final = 60
"""About as many products to each as to a shelf; found on the titles, before any case."""


class Kinds(NamedTuple):
    """Recall@10 of cases by what their target is to the model."""

    withheld: float
    known: float


class Cases:
    """Histories and targets, numbered from 1 as the ruler has it."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.histories = [np.array(each.history, np.int64) + 1 for each in cases]
        self.targets = np.array([each.target for each in cases]) + 1

    def hits(self, blocks: Iterator[NDArray[np.float32]]) -> NDArray[np.bool_]:
        """Which targets are among the first ten, what the history has left out."""
        found, start = [], 0
        for scores in blocks:
            rows = slice(start, start + len(scores))
            ruler.mask(scores, self.histories[rows])
            found.append(ruler.ranks(scores, self.targets[rows]) <= ruler.TOP)
            start = rows.stop
        return np.concatenate(found)


def scorer(known: Catalogue, products: int, length: int) -> Scorer:
    """Scores all products that the model knows, the withheld ones too."""
    return Scorer(products, known.known.astype(np.int64) + 1, length)


class Watch:
    """Judges by the validating lines' recall."""

    def __init__(self, cases: Cases, scorer: Scorer) -> None:
        self._cases, self._scorer = cases, scorer

    def ndcg(self, model: Model) -> float:
        """See :class:`model_export.training.watching.Judge`; it is recall@10 here."""
        return float(self._cases.hits(self._scorer.blocks(model, self._cases.histories)).mean())


def model_hits(
    data: Prepared, validation: Cases, test: Cases, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which test cases a trained model finds, and which products [n] got an id of their own."""
    told = {"seed": seed, "threads": min(2, len(os.sched_getaffinity(0)))}
    settings = settings_for(data.about, [data], told)
    products = len(data.ids.items)
    knows: list[Catalogue] = []

    def judge_of(known: Catalogue) -> Watch:
        knows.append(known)
        return Watch(validation, scorer(known, products, settings.max_length))

    model, _ = trained(data, settings, judge_of)
    own = scorer(knows[0], products, settings.max_length)
    return test.hits(own.blocks(model, test.histories)), _learned(data)


def _learned(data: Prepared) -> NDArray[np.bool_]:
    counts = np.bincount(data.items[data.parts == TRAIN], minlength=len(data.ids.items))
    learned: NDArray[np.bool_] = counts > 0
    return learned


def category_blocks(
    categories: NDArray[np.int64], data: Prepared, cases: Cases
) -> Iterator[NDArray[np.float32]]:
    """Scores by popularity within the categories [n] of a history; other products come behind."""
    counts = np.bincount(data.items[data.parts == TRAIN], minlength=len(categories))
    known = counts > 0
    size = int(categories.max()) + 1
    sold = np.bincount(categories[known], counts[known], size)
    mean = sold / np.maximum(np.bincount(categories[known], minlength=size), 1)
    popularity = np.where(known, counts, mean[categories])
    beyond = 1e-6 * popularity
    for start in range(0, len(cases.histories), ruler.BLOCK):
        block = cases.histories[start : start + ruler.BLOCK]
        scores = np.full((len(block), len(categories) + 1), -np.inf, np.float32)
        for row, history in zip(scores, block, strict=True):
            weight = np.bincount(categories[history - 1], minlength=size) / len(history)
            row[1:] = weight[categories] * popularity + beyond
        yield scores


def categories_of(data: Prepared) -> Mapping[str, NDArray[np.int64]]:
    """What may be taken for a category, by what it is called in the table."""
    assert data.content is not None
    assert data.content.text is not None
    titles = data.content.text.astype(np.float64)
    _, clusters = kmeans2(titles, CLUSTERS, minit="++", seed=np.random.default_rng(1))
    return {
        BRAND: data.content.features[:, 0].astype(np.int64),
        CLUSTER: clusters.astype(np.int64),
    }


def rows_of(found: Mapping[str, Sequence[Kinds]]) -> list[Row]:
    """Recall of each ranker, and what the model's is to hold against the others and itself."""
    rows = []
    for name, runs in found.items():
        for kind in Kinds._fields:
            values = [getattr(each, kind) for each in runs]
            spread = (min(values), max(values))
            rows.append(Row(f"{name}: {kind}", statistics.mean(values), "recall@10", spread))
    ours = [each.withheld for each in found["model"]]
    rows += [
        _ratio(f"withheld: model to {name}", ours, [each.withheld for each in runs], gate)
        for name, gate in ((BRAND, None), (CLUSTER, 5.0))
        for runs in [found[name]]
    ]
    known = [each.known for each in found["model"]]
    return [*rows, _ratio("model: withheld to known", ours, known, 0.5)]


def _ratio(what: str, ours: Sequence[float], theirs: Sequence[float], gate: float | None) -> Row:
    """Of the means; the least and the greatest are those of single seeds."""
    each = [mine / max(other, 1e-9) for mine, other in zip(ours, theirs, strict=True)]
    whole = statistics.mean(ours) / max(statistics.mean(theirs), 1e-9)
    return Row(what, whole, "times", (min(each), max(each)), gate)


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.accuracy.cold_products", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help="one seed instead of three")
    told = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"{DATA} is not here: its files may not be passed on with the project")
    office = read(DATA)
    content = content_of(office, UniversalSentenceEncoder())
    validation, test = Cases(validating(office)), Cases(office.test)
    found: dict[str, list[Kinds]] = {}
    for seed in track(SEEDS[:1] if told.quick else SEEDS, "trained"):
        out = withheld(office, SHARE, seed)
        data = prepared(office, content, out)
        hits, learned = model_hits(data, validation, test, seed)
        those = {"model": hits}
        for name, categories in categories_of(data).items():
            those[name] = test.hits(category_blocks(categories, data, test))
        wanted = test.targets - 1
        for name, each in those.items():
            kinds = Kinds(float(each[out[wanted]].mean()), float(each[learned[wanted]].mean()))
            found.setdefault(name, []).append(kinds)
    publish("cold", rows_of(found))


if __name__ == "__main__":
    main()
