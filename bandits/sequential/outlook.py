"""What one context's prices and all that is known come to: where to begin, and how much there is reason to learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandits.sequential.prices import Prices
from bandits.sequential.values import Values

# Where nothing is expected to be gained, so much of the budget is spent on making sure.
IDLE = 0.4
# Where the loss of following the moves is not known to so much of itself, more than the budget is spent, up to MOST.
SETTLED, MOST = 0.1, 3.0
# Following the moves must promise to save so much of what needs no learning: hope alone promises a little.
WORTHWHILE = 0.99


@dataclass(frozen=True, slots=True)
class Outlook:
    """What follows from one context's prices.

    Attributes:
        prices: of the context.
        values: what to do.
        heads: exits to read, from the best one to begin with.
        best: loss that is expected of the frame.
        excess: what looking at it whole costs beyond that, infinite where it cannot be done.
        sure: does following the moves beat what needs no learning?
        check: what shipping instead of answering costs beyond it, infinite where it cannot be done.
        unsettled: how much of the budget for looking around there is reason to spend.
    """

    prices: Prices
    values: Values
    heads: tuple[int, ...]
    best: float
    excess: float
    sure: bool
    check: float
    unsettled: float


def outlook_of(prices: Prices, values: Values) -> Outlook:
    """The outlook at these prices, if these values follow from them."""
    best, start = min(values.begin), _start(values, prices)
    excess = prices.look - best if best < np.inf else np.inf
    sure = 0 < start < prices.exits and values.begin[start] < WORTHWHILE * prices.known
    unsettled = IDLE
    if sure and best > 0.0:
        unsettled = min(MOST, max(1.0, (values.sober[start] - best) / (SETTLED * best)))
    heads = tuple(range(start, prices.deepest + 1)) if start else ()
    check = prices.ship[start] if sure else np.inf
    return Outlook(prices, values, heads, best, excess, sure, check, unsettled)


def _start(values: Values, prices: Prices) -> int:
    """Where to read first; exits are skipped only to save the cost of reading them."""
    begin, best = values.begin, min(1, prices.last)
    spared = 0.0
    for exit in range(2, prices.last + 1):
        spared += prices.head[exit - 1]
        if spared > 0.0 and begin[exit] < begin[best]:
            best = exit
    for known in (0, prices.exits):
        if begin[known] < begin[best]:
            best = known
    return best
