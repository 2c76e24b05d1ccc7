"""A confidence sequence for the mean of outcomes in [0, 1]: true at all times at once, however often one looks.

To test a mean m, bet on the next outcome x at odds that are fair if m is right: a share b of the capital on x, the
rest on 1 - x, so that it is multiplied by b x / m + (1 - b) (1 - x) / (1 - m).  Capital that is fair has grown to
1 / alpha with probability alpha at most, ever (Ville).  All shares b together, weighted by Beta(1/2, 1/2), grow to at
least

    K(m) = B(s + 1/2, n - s + 1/2) / (B(1/2, 1/2) m^s (1 - m)^(n - s))

after n outcomes of sum s, exactly so for outcomes of 0 and 1.  The sequence is {m: K(m) < 1 / alpha}.

**Weights.**  An outcome that was drawn with probability p, where another was with `least` or more, counts as least / p
of one: weights in (0, 1], n and s their sums.  If m is the mean over all that might have been drawn, E[w (x - m)] = 0,
and K stays fair: for w <= 1, y^w <= 1 + w (y - 1).

Sources: I. Waudby-Smith, A. Ramdas, Estimating means of bounded random variables by betting (JRSS B, 2024), the
capital; H. Robbins, Statistical methods related to the law of the iterated logarithm (1970) and F. Orabona,
K.-S. Jun, Tight concentrations and confidence sequences from the regret of universal portfolio (2024), this mixture.
"""

from __future__ import annotations

import math
from typing import Any

from bandits import saved
from split_core.errors import PolicyFileError

PRIOR = 0.5  # Beta(1/2, 1/2): Krichevsky and Trofimov's; costs (ln n) / 2 against the best share in hindsight
HALVINGS = 50


def evidence(count: float, total: float, mean: float) -> float:
    """The logarithm of K: how strongly `count` outcomes of sum `total` speak against `mean`, in (0, 1)."""
    likelihood = total * math.log(mean) + (count - total) * math.log1p(-mean)
    return _ln_beta(total + PRIOR, count - total + PRIOR) - _ln_beta(PRIOR, PRIOR) - likelihood


def _ln_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


class ConfidenceSequence:
    """Bounds on a mean that hold at all times together with probability 1 - alpha.

    Args:
        alpha: chance that the mean is ever outside.

    Attributes:
        count, total: sums of weights, and of weights times outcomes.
    """

    def __init__(self, alpha: float) -> None:
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha must be between 0 and 1, got {alpha}")
        self._limit = math.log(1.0 / alpha)
        self.count = self.total = 0.0

    def add(self, outcome: float, weight: float = 1.0) -> None:
        """Take in one outcome in [0, 1].

        Args:
            outcome: anything that is bounded; 0 and 1 lose nothing.
            weight: least probability of being drawn / this one's, in (0, 1]; the same `least` for all.
        """
        if not 0.0 <= outcome <= 1.0 or not 0.0 < weight <= 1.0:
            raise ValueError(f"expected an outcome in [0, 1] and a weight in (0, 1], got {outcome} and {weight}")
        self.count += weight
        self.total += weight * outcome

    @property
    def mean(self) -> float:
        """Weighted mean of the outcomes so far; 1/2 before the first."""
        return self.total / self.count if self.count else 0.5

    def lower(self) -> float:
        """The mean is not below this."""
        return self._cross(0.0, self.mean) if self.doubts(1e-12) else 0.0

    def upper(self) -> float:
        """The mean is not above this."""
        return self._cross(1.0, self.mean) if self.doubts(1.0 - 1e-12) else 1.0

    def doubts(self, mean: float) -> bool:
        """Is `mean`, in (0, 1), outside?  Cheaper than `lower` and `upper`, and the same."""
        return evidence(self.count, self.total, mean) >= self._limit

    def _cross(self, ruled_out: float, inside: float) -> float:
        """Where doubt ends between the two; the evidence is convex in the mean and least at the outcomes' own."""
        for _ in range(HALVINGS):
            middle = 0.5 * (ruled_out + inside)
            if self.doubts(middle):
                ruled_out = middle
            else:
                inside = middle
        return ruled_out

    def state(self) -> dict[str, Any]:
        """Both sums, as JSON types."""
        return {"count": self.count, "total": self.total}

    def restore(self, state: dict[str, Any], policy: str) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: no two numbers, or a sum of more than there were.
        """
        count = saved.number(state, "count", policy, least=0.0)
        total = saved.number(state, "total", policy, least=0.0)
        if total > count * (1.0 + 1e-9):
            raise PolicyFileError(f"saved state of policy {policy!r}: total {total:g} of {count:g} outcomes")
        self.count, self.total = count, total
