"""What is kept of an arm's shoppers: sums, never the shoppers themselves.

The unit is the shopper, once: what one did within the experiment's window from the *first* exposure
on, taken in when that window has closed. So units are independent and each is final, and the order
in which they come (by closing) cannot hang on how they turn out. On that rests all that is
said of looking at any time (:mod:`services.attribution.domain.sequence`).

- *Sessions or calls as units* are not independent: those of one shopper resemble each other, the
  variance of a mean is taken for smaller than it is, and alarms come far too often.
- *Outcomes that still grow* are no sequence of independent numbers: each look would revise what was
  counted before. Shoppers who came yesterday are compared by one day and those of last week by
  seven, so an arm that only hastens purchases is taken for one that makes them.

Outcomes are whole numbers: money in hundredths, a conversion 0 or 1. Sums of whole numbers are
exact, so parts of several processes add up to the same bits in whatever order, and variances are
computed from them without cancellation; float64 enters with the last division. Whole numbers of
Python and of JSON have no end. Those of MessagePack end at 64 bits: a thousand million shoppers who
all spend 900.00, or eight million who all spend 10,000.00.
"""

from __future__ import annotations

import msgspec

from services.shared.experiments import Metric

HUNDREDTHS = 100
"""Of a currency's unit."""


class Sums(msgspec.Struct, frozen=True, gc=False):
    """Of an arm's shoppers whose window has closed."""

    shoppers: int = 0
    active: int = 0
    """With an outcome other than 0."""
    outcome: int = 0
    outcome_squares: int = 0
    before: int = 0
    """The same measure of each shopper from before the first exposure: CUPED's covariate."""
    before_squares: int = 0
    products: int = 0
    """Of outcome and before."""

    def __add__(self, other: Sums) -> Sums:
        """Of the shoppers of both; nobody may be in both."""
        return Sums(
            self.shoppers + other.shoppers,
            self.active + other.active,
            self.outcome + other.outcome,
            self.outcome_squares + other.outcome_squares,
            self.before + other.before,
            self.before_squares + other.before_squares,
            self.products + other.products,
        )


class Harms(msgspec.Struct, frozen=True, gc=False):
    """Of an arm's shoppers of whom a guard knows whether the harm befell them."""

    shoppers: int = 0
    harmed: int = 0

    def __add__(self, other: Harms) -> Harms:
        """Of the shoppers of both; nobody may be in both."""
        return Harms(self.shoppers + other.shoppers, self.harmed + other.harmed)


def shopper(metric: Metric, outcome: int, before: int = 0) -> Sums:
    """One shopper whose window has closed.

    ``outcome`` and ``before`` are hundredths of the currency, or 0 or 1. Both are cut to the
    metric's cap and to 0 from below, as a return may exceed what was bought within the window.
    """
    most = round(metric.cap * HUNDREDTHS) or 1
    kept, earlier = min(max(outcome, 0), most), min(max(before, 0), most)
    return Sums(1, int(kept > 0), kept, kept * kept, earlier, earlier * earlier, kept * earlier)
