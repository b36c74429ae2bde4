"""Which model answers a call, and what becomes known of it.

A shopper is the canary's by a hash, the same one always. A canary that fails is no shopper's
trouble: the served model answers instead, and the guards hear of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from services.recommendations.adapters.model import Model
from services.recommendations.adapters.model_shelf import OnCanary, Shelf, Shelved
from services.recommendations.domain.answer import Answer
from services.recommendations.domain.comparison import is_fallback
from services.recommendations.domain.guards import Outcomes, Sides, Window
from services.recommendations.domain.serving import is_canarys
from services.recommendations.shadowing import Question, Shadowing
from services.shared.model_input import Interaction

Make = Callable[[Model], Answer]
"""Answers a request by a model: without waiting for anything, and the same each time."""


class Made(NamedTuple):
    """An answer, and the model that made it."""

    answer: Answer
    model: Model


class Watched(NamedTuple):
    """What is known of one canary."""

    version: str
    seconds: int
    window: Window


class Answering:
    """The models of all shops, as calls see them."""

    def __init__(
        self, shelf: Shelf, shadowing: Shadowing, *, random: Random, clock: Callable[[], float]
    ) -> None:
        """``random`` draws the answers that the shadow is asked for, too.

        ``clock`` tells seconds; only its differences count.
        """
        self._shelf = shelf
        self._shadowing = shadowing
        self._random = random
        self._clock = clock
        self._watched: dict[str, Watched] = {}

    def of(self, shop_id: str, subject: str = "") -> Model:
        """The model that answers a shopper; whoever has no name is no canary's.

        To be used before anything is waited for.
        """
        shelved = self._shelf.of(shop_id)
        canary = _canary_of(shelved, shop_id, subject)
        return shelved.served if canary is None else canary.model

    def made(self, shop_id: str, subject: str, scenario: str, make: Make, aside: Make) -> Made:
        """The answer of the shopper's model, timed and counted where one is on trial.

        ``aside`` makes the same without a caller who waits for it.
        """
        shelved = self._shelf.of(shop_id)
        if shelved.canary is None and shelved.shadow is None:
            return Made(make(shelved.served), shelved.served)
        sides = self._sides(shop_id, shelved)
        canary = _canary_of(shelved, shop_id, subject)
        if canary is not None:
            answer = self._tried(canary.model, make, sides.canary)
            if answer is not None:
                return Made(answer, canary.model)
        answer, seconds = self._timed(
            shelved.served, make, sides.served if canary is None else Outcomes()
        )
        shadow = shelved.shadow
        if shadow is not None and self._random.random() < shadow.terms.sample:
            self._shadowing.ask(Question(shop_id, scenario, aside, answer, seconds))
        return Made(answer, shelved.served)

    def remember(self, shop_id: str, did: Sequence[Interaction], now: int) -> None:
        """A history that a model has read, for the next one to warm up with."""
        self._shelf.remember(shop_id, did, now)

    def outcomes(self, shop_id: str) -> Sides | None:
        """What the window of the present canary holds; None where there is no canary."""
        shelved = self._shelf.of(shop_id)
        if shelved.canary is None:
            self._watched.pop(shop_id, None)
            return None
        return self._window(shop_id, shelved.canary, shelved).total(self._clock())

    def _sides(self, shop_id: str, shelved: Shelved) -> Sides:
        if shelved.canary is None:
            return Sides(Outcomes(), Outcomes())
        return self._window(shop_id, shelved.canary, shelved).at(self._clock())

    def _window(self, shop_id: str, canary: OnCanary, shelved: Shelved) -> Window:
        """That of this canary; a new one for another, or where the window's length has changed."""
        version, seconds = canary.model.version, shelved.guards.window_seconds
        watched = self._watched.get(shop_id)
        if watched is None or (watched.version, watched.seconds) != (version, seconds):
            watched = self._watched[shop_id] = Watched(version, seconds, Window(seconds))
        return watched.window

    def _timed(self, model: Model, make: Make, outcomes: Outcomes) -> tuple[Answer, float]:
        """An answer and the seconds that it took, which are noted; so is that it failed."""
        started = self._clock()
        try:
            answer = make(model)
        except Exception:
            outcomes.note_error()
            raise
        seconds = self._clock() - started
        outcomes.note(seconds, is_fallback=is_fallback(answer))
        return answer, seconds

    def _tried(self, model: Model, make: Make, outcomes: Outcomes) -> Answer | None:
        """A canary's answer; None where it failed: whatever it is, the served model answers."""
        try:
            return self._timed(model, make, outcomes)[0]
        except Exception:
            return None


def _canary_of(shelved: Shelved, shop_id: str, subject: str) -> OnCanary | None:
    canary = shelved.canary
    if canary is None or not subject or not is_canarys(canary.terms, shop_id, subject):
        return None
    return canary
