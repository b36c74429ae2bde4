"""All that is counted of an experiment: for each arm who came, what they did, what befell them.

Parts of several processes are added up; no shopper may be in two of them. Looks may be taken at any
sum of parts, as long as how far each part has come does not hang on outcomes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from services.attribution.domain.sums import Harms, Sums
from services.shared.experiments import Experiment, Harm


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Of one arm."""

    exposed: int = 0
    """Shoppers by their first exposure, whether or not their window has closed."""
    sums: Sums = Sums()
    """Of those whose window has closed."""
    harms: dict[Harm, Harms] = {}
    """Of each guard; one that is missing has seen nobody."""

    def __add__(self, other: Tally) -> Tally:
        """Of the shoppers of both."""
        watched = self.harms | other.harms
        harms = {harm: self.harm(harm) + other.harm(harm) for harm in watched}
        return Tally(exposed=self.exposed + other.exposed, sums=self.sums + other.sums, harms=harms)

    def harm(self, harm: Harm) -> Harms:
        """What a guard has seen."""
        return self.harms.get(harm, Harms())


Tallies = Mapping[str, Tally]
"""By the arm's name; an arm that is missing has seen nobody."""


def added(experiment: Experiment, parts: Iterable[Tallies]) -> dict[str, Tally]:
    """The parts in one, with a tally for each of the experiment's arms and no other."""
    total = {arm.name: Tally() for arm in experiment.arms}
    for part in parts:
        for name in total:
            total[name] += part.get(name, Tally())
    return total
