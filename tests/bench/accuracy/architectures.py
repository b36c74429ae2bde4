"""Which architecture wins where: ``make bench-architectures``.

The causal encoder and the encoder-decoder, each trained on the same data with the settings that
the data suggests, each stopped by its validation part; then NDCG@10 on what is held out. Amazon's
files say no times, so a session there is one item; the Complete Journey's are baskets of a
year, REES46's are views, carts and purchases of three hours. Training time is the processor's.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final, NamedTuple

from rich.progress import track

from model_export.dataset import HELD_OUT, VALIDATION, Prepared
from model_export.modelling.model import ENCODERS, Model
from model_export.preparation.prepare import prepare_complete_journey, prepare_leave_one_out
from model_export.preparation.sources import read_s3rec
from model_export.settings import TrainSettings
from model_export.training.catalogue import Catalogue
from model_export.training.rules import settings_for
from model_export.training.validation import Validation
from model_export.training.watching import Judge
from tests.bench.accuracy import actions
from tests.bench.accuracy.quiet import trained
from tests.bench.report import ROOT, Row, publish

AMAZON: Final = ROOT.parent / "shared/data/amazon-5core"

JudgeOf = Callable[[Prepared, Catalogue, TrainSettings, int], Judge]


class Question(NamedTuple):
    """Where the two are compared."""

    read: Callable[[], Prepared]
    judge: JudgeOf
    epochs: int | None = None
    """Of both, where what the data suggests would take hours."""


class Answer(NamedTuple):
    """How one of them did."""

    ndcg: float
    """NDCG@10 on the part held out."""
    epochs: int
    """Until the best one."""
    seconds: float
    """Of processor time for an epoch."""


class Timed:
    """A judge who notes what each epoch took."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.seconds: list[float] = []
        self._begun = time.process_time()

    def ndcg(self, model: Model) -> float:
        """See :class:`model_export.training.watching.Judge`."""
        self.seconds.append(time.process_time() - self._begun)
        found = self._judge.ndcg(model)
        self._begun = time.process_time()
        return found


def _baskets(data: Prepared, known: Catalogue, settings: TrainSettings, part: int) -> Judge:
    return Validation([data], known.index, settings, part=part)


def _events(data: Prepared, known: Catalogue, settings: TrainSettings, part: int) -> Judge:
    return actions.Last(data, known, settings.max_length, part)


def _log() -> Prepared:
    return prepare_leave_one_out(actions.read(actions.DATA))


def _beauty() -> Prepared:
    return prepare_leave_one_out(read_s3rec(AMAZON / "Beauty.txt.gz"))


QUESTIONS: Final[Mapping[str, Question]] = {
    "REES46, next event": Question(_log, _events),
    "Beauty, next item": Question(_beauty, _baskets),
    "Complete Journey, next basket": Question(prepare_complete_journey, _baskets, 3),
}


def answer(name: str, kind: str, seed: int, epochs: int | None) -> Answer:
    """Train one of them for one question."""
    question = QUESTIONS[name]
    data = question.read()
    told = {"seed": seed, "threads": 1, "architecture": kind}
    settings = settings_for(data.about, [data], told | ({"epochs": epochs} if epochs else {}))
    held: list[Judge] = []
    timed: list[Timed] = []

    def judge_of(known: Catalogue) -> Timed:
        held.append(question.judge(data, known, settings, HELD_OUT))
        timed.append(Timed(question.judge(data, known, settings, VALIDATION)))
        return timed[0]

    model, made = trained(data, settings, judge_of)
    seconds = timed[0].seconds
    return Answer(held[0].ndcg(model), made.epoch, sum(seconds) / len(seconds))


def rows_of(name: str, found: Mapping[str, Sequence[Answer]]) -> list[Row]:
    """Both beside each other, and who is ahead."""
    rows = []
    for kind, runs in found.items():
        for what, unit in (("ndcg", "NDCG@10"), ("seconds", "s an epoch"), ("epochs", "epochs")):
            values = [getattr(each, what) for each in runs]
            mean = sum(values) / len(values)
            rows.append(Row(f"{name}: {kind}", mean, unit, (min(values), max(values))))
    ratios = [
        there.ndcg / max(here.ndcg, 1e-9)
        for here, there in zip(found["causal"], found["encoder-decoder"], strict=True)
    ]
    middle = sum(ratios) / len(ratios)
    spread = (min(ratios), max(ratios))
    rows.append(Row(f"{name}: encoder-decoder to causal", middle, "times", spread))
    return rows


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.accuracy.architectures", description=__doc__
    )
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each; 1 by default")
    parser.add_argument("--only", choices=QUESTIONS, help="one of the questions")
    parser.add_argument(
        "--quick", action="store_true", help="one epoch each, which says nothing of accuracy"
    )
    told = parser.parse_args()
    if not AMAZON.is_dir():
        parser.error(f"{AMAZON} is not here: its files may not be passed on with the project")
    names = [told.only] if told.only else list(QUESTIONS)
    rounds = [(name, kind) for name in names for kind in ENCODERS]
    found: dict[str, dict[str, list[Answer]]] = {name: {} for name in names}
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawned, max_tasks_per_child=1) as pool:
        for name, kind in track(rounds, "trained"):
            seeds = range(1, told.seeds + 1)
            epochs = 1 if told.quick else QUESTIONS[name].epochs
            asked = [pool.submit(answer, name, kind, seed, epochs) for seed in seeds]
            found[name][kind] = [each.result() for each in asked]
    publish("architectures", [row for name in names for row in rows_of(name, found[name])])


if __name__ == "__main__":
    main()
