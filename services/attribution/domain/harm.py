"""Whether a harm befalls more of an arm's shoppers than of the control's, beyond a margin.

A broken arm must be seen within tens of shoppers, not thousands, and with the same guarantee, so
nothing here is asymptotic: it is a bet that one can only win where there is harm (Waudby-Smith and
Ramdas, "Estimating means of bounded random variables by betting", JRSS B, 2024). Each shopper of
the two arms, assigned to the arm with probability π, gives a number whose mean is the difference of
the shares, whatever c ::

    g = (Y - c) · (1/π in the arm, -1/(1-π) in the control)          Y = 1: harmed, 0: not

Where the true difference is at most the margin m, a capital of Π (1 + λ (g - m)) grows from 1 to 20
or more, ever, with a probability of at most 1/20; so it is with any other number, for each λ in
[0, 1 / (m - min g)), and for the mean of the capitals of several λ. As g has four values, the
capital follows from four counts. c, the usual share, changes nothing about that; the nearer it is,
the less g spreads, and the less it matters should the arms' shares not be the planned ones.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from services.attribution.domain.sums import Harms

BETS: Final = 0.98 * 0.75 ** np.arange(24)
"""λ as shares of the greatest that is allowed: high ones see ruin, low ones small harm."""


def log_capital(arm: Harms, control: Harms, *, chance: float, margin: float, usual: float) -> float:
    """Logarithm of the mean capital against "the arm harms by at most ``margin`` more".

    ``chance`` is π: the arm's share of what is planned for it and the control together.
    """
    up, down = 1 / chance, 1 / (1 - chance)
    gains = np.array([(1 - usual) * up, -usual * up, -(1 - usual) * down, usual * down]) - margin
    counts = (
        arm.harmed,
        arm.shoppers - arm.harmed,
        control.harmed,
        control.shoppers - control.harmed,
    )
    capitals = np.log1p(np.outer(BETS / -gains.min(), gains)) @ np.array(counts, dtype=np.float64)
    most = float(capitals.max())
    return most + math.log(float(np.exp(capitals - most).mean()))
