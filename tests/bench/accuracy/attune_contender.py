"""Ours, raced: train on a file of users' items as ``python -m model_export train`` would.

Settings are those that :mod:`model_export.training.rules` derives from the file. With the option
``content`` (Beauty only) brand and categories are known of each item; with ``refit`` a second
model learns from the validation items, too, and is put to the last ones beside the first.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from model_export.dataset import About, Content, Ids
from model_export.modelling.model import Model
from model_export.preparation.prepare import prepare_leave_one_out
from model_export.preparation.sources import STEP, read_s3rec
from model_export.settings import TrainSettings
from model_export.training.catalogue import Catalogue
from model_export.training.processes import processes
from model_export.training.rules import settings_for
from model_export.training.train import refit, train
from services.shared.model_input import PURCHASE, TARGETS, ModelInput, encode_known
from tests.bench.accuracy import ruler
from tests.bench.accuracy.contract import Epoch, Figures, Outcome, Task, task_of, tell
from tests.bench.accuracy.held_out import HeldOut, read

CONTENT = "Beauty_items_named.json.gz"
WANTED = torch.tensor([[float(each == PURCHASE) for each in TARGETS]])


class Named(msgspec.Struct, frozen=True):
    """What is known of an item of Beauty."""

    asin: str
    brand: str | None
    categories: list[str] | None


def known_of(path: Path, ids: Ids) -> Content:
    """Brand and each category of each item, a category by its whole path."""
    named = msgspec.json.decode(gzip.decompress(path.read_bytes()), type=dict[str, Named])
    numbers: dict[str, int] = {}
    rows = []
    for item in ids.items:
        about = named[item]
        names = [f"brand:{about.brand}"] if about.brand else []
        path_of = about.categories or []
        names += [f"category:{' > '.join(path_of[: i + 1])}" for i in range(len(path_of))]
        rows.append([numbers.setdefault(name, len(numbers) + 1) for name in names])
    features = np.zeros((len(rows), max(map(len, rows))), dtype=np.int32)
    for row, known in zip(features, rows, strict=True):
        row[: len(known)] = known
    return Content(list(numbers), features)


class Scorer:
    """Scores all items for users, with a model in the state in which it is."""

    def __init__(self, held: HeldOut, known: NDArray[np.int64], length: int) -> None:
        """``known`` [n] are the file's items that the model knows, in its order."""
        self._items, self._known, self._length = held.items, known, length
        self._rows = np.zeros(held.items + 1, dtype=np.int64)
        self._rows[known] = np.arange(1, len(known) + 1)

    @torch.no_grad()
    def blocks(
        self, model: Model, histories: Sequence[NDArray[np.int64]]
    ) -> Iterator[NDArray[np.float32]]:
        """Scores [users, items + 1] for a few users at a time; -inf for what it does not know."""
        table = model.items.vectors()
        for start in range(0, len(histories), ruler.BLOCK):
            inputs = [self._input(each) for each in histories[start : start + ruler.BLOCK]]
            rows, actions, gaps = (np.stack(part) for part in zip(*inputs, strict=True))
            items = torch.from_numpy(rows).long()
            told = torch.from_numpy(actions), torch.from_numpy(gaps), WANTED.expand(len(items), -1)
            query = model(model.items(items), *told)
            scores = np.full((len(items), self._items + 1), -np.inf, np.float32)
            scores[:, self._known] = (query @ table[1:].T).numpy()
            yield scores

    def figures(
        self,
        model: Model,
        histories: Sequence[NDArray[np.int64]],
        targets: NDArray[np.int64],
        *,
        masked: bool,
    ) -> Figures:
        """How well ``targets`` are foretold from ``histories``."""
        places, start = [], 0
        for scores in self.blocks(model, histories):
            rows = slice(start, start + len(scores))
            if masked:
                ruler.mask(scores, histories[rows])
            places.append(ruler.ranks(scores, targets[rows]))
            start = rows.stop
        return ruler.figures(places)

    def _input(self, history: NDArray[np.int64]) -> ModelInput:
        rows = self._rows[history]
        at = np.arange(len(history)) * STEP
        kept = np.flatnonzero(rows)[-self._length :]
        actions = np.full(len(kept), PURCHASE)
        return encode_known(rows[kept], actions, at[kept], max_length=self._length)


class Watch:
    """Judges each epoch by the whole validation part, and tells what it took."""

    def __init__(self, scorer: Scorer, held: HeldOut) -> None:
        self._scorer, self._held = scorer, held
        self._begun = time.perf_counter(), time.process_time()

    def ndcg(self, model: Model) -> float:
        """See :class:`model_export.training.watching.Judge`."""
        ended = time.perf_counter(), time.process_time()
        seconds, processor = (now - then for now, then in zip(ended, self._begun, strict=True))
        found = self._scorer.figures(model, self._held.train, self._held.validation, masked=True)
        self._begun = time.perf_counter(), time.process_time()
        tell(Epoch(seconds, processor, self._begun[0] - ended[0], found))
        return found.ndcg


class Silent:
    """The records say enough."""

    def step(self, done: float, loss: float) -> None:
        """See :class:`model_export.training.watching.Progress`."""

    def epoch(self, number: int, loss: float, ndcg: float) -> None:
        """See :class:`model_export.training.watching.Progress`."""


def compete(task: Task) -> None:
    """Train, tell how it went, and put the best model to the last items."""
    path = Path(task.data)
    held, data = read(path), prepare_leave_one_out(read_s3rec(path))
    options = dict(task.options)
    content = known_of(path.parent / CONTENT, data.ids) if options.pop("content", 0) else None
    again = bool(options.pop("refit", 0))
    about = About(data.ids, data.source, content)
    told = {"seed": task.seed, "threads": task.threads, "patience": task.patience}
    told |= {"epochs": task.epochs} if task.epochs else {}
    kinds = {each.name: type(each.default) for each in msgspec.structs.fields(TrainSettings)}
    told |= {name: kinds[name](value) for name, value in options.items()}
    settings = settings_for(about, [data], told)

    def scorer_of(known: Catalogue) -> Scorer:
        items = np.array([int(data.ids.items[code]) for code in known.known.tolist()])
        return Scorer(held, items, settings.max_length)

    def watch(known: Catalogue) -> Watch:
        return Watch(scorer_of(known), held)

    alone = processes("cpu")
    model, made = train(about, [data], settings, progress=Silent(), processes=alone, judge_of=watch)
    scorer = Scorer(held, np.array([int(i) for i in made.product_ids]), settings.max_length)
    before = held.before_test()
    masked = scorer.figures(model.eval(), before, held.test, masked=True)
    unmasked = scorer.figures(model, before, held.test, masked=False)
    figures = None
    if again:
        model, known = refit(about, [data], settings, made.epoch, Silent(), alone)
        figures = scorer_of(known).figures(model, before, held.test, masked=True)
    tell(Outcome(made.epoch, masked, unmasked, figures))


if __name__ == "__main__":
    compete(task_of(sys.argv[1:]))
