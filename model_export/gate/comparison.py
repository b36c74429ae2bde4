"""Two models that have ranked the same held-out baskets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import Prepared
from model_export.evaluation.cases import Case, Ranking
from model_export.evaluation.evaluate import Progress, held_out, owners
from model_export.evaluation.model_ranker import ModelRanker
from model_export.evaluation.segments import Question
from model_export.gate.paired import Differences, differences
from model_export.gate.settings import GateSettings
from services.shared.bundle import Bundle

Figure = Callable[[Question, Sequence[Ranking]], NDArray[np.float64]]
"""From a question and the rankings of all cases to a number for each of its cases, [C]."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A bundle, and what it would have shown."""

    bundle: Bundle
    rankings: Sequence[Ranking]
    """One for each case, items as positions in the data's ids."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a check may look at."""

    data: Prepared
    cases: Sequence[Case]
    """The held-out baskets."""
    candidate: Contender
    current: Contender
    settings: GateSettings

    def differences(self, questions: Sequence[Question], figure: Figure) -> Differences:
        """How the two differ in a figure, by the paired bootstrap over users."""
        return differences(
            questions,
            [figure(question, self.candidate.rankings) for question in questions],
            [figure(question, self.current.rankings) for question in questions],
            owners(self.cases),
            seed=self.settings.seed,
            draws=self.settings.draws,
        )


def compare(
    data: Prepared,
    candidate: Bundle,
    current: Bundle,
    settings: GateSettings,
    *,
    progress: Progress = lambda _: None,
) -> Comparison:
    """Rank the held-out baskets with both. Raises DataRefused where there are none."""
    cases = held_out(data)

    def contender(name: str, bundle: Bundle) -> Contender:
        progress(f"{name}: rankings")
        return Contender(bundle, list(ModelRanker(data, bundle).rank(cases)))

    return Comparison(
        data, cases, contender("candidate", candidate), contender("current", current), settings
    )
