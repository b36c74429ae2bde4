"""Ours, raced: train on a file of users' items as ``python -m model_export train`` would.

Settings are those that :mod:`model_export.training.rules` derives from the file. With the option
``content`` (Beauty only) brand and categories are known of each item; with ``refit`` a second
model learns from the validation items, too, and is put to the last ones beside the first; with
``blend`` each is also blended as ``export`` would, by weights found on the validation items.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import msgspec
import numpy as np

from model_export.dataset import HELD_OUT, TRAIN, VALIDATION, About, Content, Ids
from model_export.modelling.model import Model
from model_export.preparation.prepare import prepare_leave_one_out
from model_export.preparation.sources import read_s3rec
from model_export.settings import TrainSettings
from model_export.training.blend import Weights
from model_export.training.catalogue import Catalogue
from model_export.training.coding import learning_on
from model_export.training.processes import processes
from model_export.training.rules import settings_for
from model_export.training.state import Saver
from model_export.training.statistics import statistics
from model_export.training.steps import Training
from model_export.training.train import refit, search, train
from tests.bench.accuracy.contract import Epoch, Figures, Outcome, Record, Task, task_of, tell
from tests.bench.accuracy.held_out import HeldOut, read
from tests.bench.accuracy.quiet import Silent
from tests.bench.accuracy.scoring import Blend, Scorer

CONTENT = "Beauty_items_named.json.gz"


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


class Watch:
    """Judges each epoch by the whole validation part, and tells what it took."""

    def __init__(
        self, scorer: Scorer, held: HeldOut, say: Callable[[Record], object] = tell
    ) -> None:
        self._scorer, self._held, self._say = scorer, held, say
        self._begun = time.perf_counter(), time.process_time()

    def ndcg(self, model: Model) -> float:
        """See :class:`model_export.training.watching.Judge`."""
        ended = time.perf_counter(), time.process_time()
        seconds, processor = (now - then for now, then in zip(ended, self._begun, strict=True))
        found = self._scorer.figures(model, self._held.train, self._held.validation, masked=True)
        self._begun = time.perf_counter(), time.process_time()
        self._say(Epoch(seconds, processor, self._begun[0] - ended[0], found))
        return found.ndcg


class Trial:
    """A task's data, and models of it put to the last items."""

    def __init__(self, task: Task) -> None:
        path = Path(task.data)
        self._held, self._data = read(path), prepare_leave_one_out(read_s3rec(path))
        self._last = self._held.before_test(), self._held.test
        options = dict(task.options)
        known = options.pop("content", 0)
        self.refit, self.blend, self.codes = (
            bool(options.pop(name, 0)) for name in ("refit", "blend", "codes")
        )
        content = known_of(path.parent / CONTENT, self._data.ids) if known else None
        self._about = About(self._data.ids, self._data.source, content)
        told = {"seed": task.seed, "threads": task.threads, "patience": task.patience}
        told |= {"epochs": task.epochs} if task.epochs else {}
        kinds = {each.name: type(each.default) for each in msgspec.structs.fields(TrainSettings)}
        told |= {name: kinds[name](value) for name, value in options.items()}
        self._settings = settings_for(self._about, [self._data], told)
        self._alone = processes("cpu")
        self._weights: Weights | None = None

    def chosen(self) -> Outcome:
        """By a model that stops by the validation items and never learns from them."""
        held: list[Scorer] = []
        knows: list[Catalogue] = []

        def watch(known: Catalogue) -> Watch:
            knows.append(known)
            held.append(self._scorer(known))
            return Watch(held[0], self._held)

        told = self._about, [self._data], self._settings
        model, made = train(*told, progress=Silent(), processes=self._alone, judge_of=watch)
        (scorer,) = held
        masked = scorer.figures(model.eval(), *self._last, masked=True)
        unmasked = scorer.figures(model, *self._last, masked=False)
        if self.blend:
            self._weights = scorer.weights(model, self._data)
        return Outcome(
            made.epoch,
            masked,
            unmasked,
            blended=self._blended(scorer, model, VALIDATION),
            coded=self._coded(knows[0], scorer, model) if self.codes else None,
            settings=msgspec.structs.asdict(self._settings),
        )

    def again(self, outcome: Outcome) -> Outcome:
        """With the figures of a model that learned so long from the validation items, too."""
        told = self._about, [self._data], self._settings
        model, known = refit(*told, [outcome.epoch], Silent(), self._alone)
        scorer = self._scorer(known)
        return msgspec.structs.replace(
            outcome,
            refit=scorer.figures(model, *self._last, masked=True),
            refit_blended=self._blended(scorer, model, HELD_OUT),
        )

    def _coded(self, known: Catalogue, scorer: Scorer, model: Model) -> Figures:
        """Of the model with product codes, as a training of a large catalogue would make them."""
        _, counts = statistics([self._data], self._about.ids, self._about.content)
        told = self._settings, deepcopy(model), known, counts, self._alone
        training = learning_on(Training(*told, part=TRAIN), model, Silent())
        saver = Saver(None, self._settings, self._about.source, self._alone)
        quiet = Watch(scorer, self._held, say=lambda _: None)
        coded, _ = search(training, [self._data], quiet, Silent(), saver)
        return scorer.figures(coded.eval(), *self._last, masked=True)

    def _scorer(self, known: Catalogue) -> Scorer:
        items = np.array([int(self._data.ids.items[code]) for code in known.known.tolist()])
        return Scorer(self._held.items, items, self._settings.max_length)

    def _blended(self, scorer: Scorer, model: Model, before: int) -> Figures | None:
        if self._weights is None:
            return None
        blend = Blend(self._weights, scorer.signals(self._data, before=before))
        return scorer.figures(model, *self._last, masked=True, blend=blend)


def compete(task: Task) -> None:
    """Train, tell how it went, and put the best model to the last items."""
    trial = Trial(task)
    outcome = trial.chosen()
    tell(trial.again(outcome) if trial.refit else outcome)


if __name__ == "__main__":
    compete(task_of(sys.argv[1:]))
