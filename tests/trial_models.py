"""Models that are only told apart, a canary and shoppers, for tests of what is on trial."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from services.recommendations.adapters.model import Model, NoModel
from services.recommendations.adapters.model_shelf import InShadow, ModelShelf, OnCanary, Shelved
from services.recommendations.answering import Answering
from services.recommendations.domain.answer import Answer, Cause, Pick, Source
from services.recommendations.domain.reasons import POPULAR
from services.recommendations.domain.serving import Canary
from services.recommendations.shadowing import Shadowing
from tests.model_shelf_parts import SECONDS
from tests.waiting import eventually_async


class Named(NoModel):
    """A model that is only asked for its name."""

    def __init__(self, version: str) -> None:
        super().__init__()
        self.version = version


A, B = Named("a"), Named("b")
TERMS = Canary(version="b", share=0.2)
PEOPLE = [f"u:{number}" for number in range(500)]


def answer_of(model: Model) -> Answer:
    """A list that tells whose it is."""
    picks = [Pick(row, 1.0 / row, POPULAR) for row in (1, 2, 3, 4 if model is A else 5)]
    return Answer(picks, Source.PERSONAL, Cause.UNSPECIFIED, by_model=True)


def failing(model: Model) -> Answer:
    if model is B:
        raise RuntimeError("broken")
    return answer_of(model)


def shelf_of(
    *, served: Model = A, canary: OnCanary | None = None, shadow: InShadow | None = None
) -> ModelShelf:
    shelf = ModelShelf(("demo",))
    shelf.put("demo", Shelved(served, canary, shadow))
    return shelf


class Clock:
    """Seconds, as told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def answering_of(shelf: ModelShelf, clock: Clock | None = None) -> tuple[Answering, Shadowing]:
    asked = Shadowing(shelf)
    return Answering(shelf, asked, random=Random(1), clock=clock or Clock()), asked


async def until(condition: Callable[[], bool]) -> None:
    async def so() -> bool:
        return condition()

    await eventually_async(so, within=SECONDS)
