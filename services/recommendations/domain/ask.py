"""One question: for whom, by which scenario, with what at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.answer import Cause
from services.recommendations.domain.budget import Budget
from services.recommendations.domain.candidates import Rules
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.learned import Model, Reading
from services.recommendations.domain.placed import Placed
from services.recommendations.domain.scenario import Scenario
from services.shared.item_vectors import Floats
from services.shared.model_input import VIEW, Interaction, interactions
from services.shared.profile import EMPTY, Profile


@dataclass(kw_only=True)
class Ask:
    """Lives as long as its answer is made."""

    catalog: Catalog
    model: Model
    placed: Placed
    scenario: Scenario
    rules: Rules
    profile: Profile
    cause: Cause
    """Why nothing is known of the shopper, where nothing is."""
    limit: int
    now: int
    """Microseconds since 1970."""
    budget: Budget
    """The caller's time."""
    trending: Sequence[tuple[str, float]] = ()
    """Product and score, best first."""
    anchors: Sequence[int] = ()
    """Rows of the products that the list belongs to."""
    recent: Sequence[str] = ()
    """Products that the visitor looked at in this visit, oldest first."""
    page: tuple[str, ...] = ()
    """Categories of the page, widest first."""
    excluded: set[int] = field(default_factory=set)
    """Rows."""
    pins: Sequence[tuple[int, int]] = ()
    """(place from 1 on, row) of what the shop shows whatever the sources say; at a place the first
    that may be shown."""
    history: Sequence[Interaction] = ()
    """What :meth:`did` has found."""

    def directions(self, rows: NDArray[np.intp]) -> Floats:
        """Vectors [k, d] at length 1 of rows [k], learned or placed; else zeros."""
        return self.placed.directions(rows)

    def did(self) -> Sequence[Interaction]:
        """What the shopper did, as far as the model reads it; oldest first."""
        if self.profile != EMPTY and not self.history:
            self.history = interactions(self.profile, self.model.reads)
        return self.history

    def reading(self, did: Sequence[Interaction]) -> Reading | None:
        """What the model makes of it, for what the scenario is after."""
        if not did:
            return None
        wanted: Mapping[str, float] = dict(self.scenario.actions.items())
        return self.model.read(did, self.now, wanted)

    def visit(self) -> list[Interaction]:
        """The products of this visit, as views just now."""
        first = self.now - len(self.recent)
        return [
            Interaction(first + place, product_id, VIEW)
            for place, product_id in enumerate(self.recent)
        ]
