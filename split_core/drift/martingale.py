"""A bet against "these frames are like the calibration samples" that may be looked at after every frame, for ever."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Any

import numpy as np

from split_core.drift.base import Drift
from split_core.errors import PolicyFileError
from split_core.evidence import ConfidenceHistogram

ALPHA = 1e-4  # chance of a false alarm, ever: with ten numbers watched, one camera in a thousand
STEEP, FLAT = 1.0, 0.4  # slopes of the bets, up and down: for what is plain, and for what is not
BETS = 4
CEILING = 100.0  # of the limit: hours of drift must not take hours to be over


class ConformalMartingale:
    """Vovk's conformal test martingale; fires when its capital exceeds 1 / alpha.

    The p-value of a number is its rank among the calibration samples and all numbers before it, ties broken at random:

        p = (below + tau (equal + 1)) / (n + 1),  tau uniform

    where what shares a bin counts as equal.  As long as calibration samples and stream are exchangeable (given the
    edges: they must come from other samples than the counts), the p-values are uniform and independent, however few
    samples there were.  The bets 1 + slope (2 p - 1) are fair then, so the capital is a martingale from 1 on and ever
    exceeds 1 / alpha with probability alpha at most (Ville's inequality): over the whole stream, not per look.

    The capital is not staked at once: after t frames 1 / log2(t + 2) of it is still untouched, and what a frame gets
    the bets share.  So a change after t clean frames is found some ln(t) + 2 ln(ln(t)) nats later than one at the
    start, and needs no capital that t lost bets have used up.

    Once it has fired, nothing more counts as seen before, so drift stays drift; it is over when no more capital is
    left than at the beginning.

    Args:
        histogram: of the exit.
        window: not used, it remembers counts; every detector takes it.
        alpha: chance of a false alarm, ever.
        seed: of tau.

    Source: V. Vovk, I. Nouretdinov, A. Gammerman, Testing exchangeability on-line (2003); V. Vovk, Testing randomness
    online (2021).  The bets are like those of its simple jumper; what that keeps by jumping, a mixture over the frame
    where the change begins keeps here.
    """

    def __init__(
        self, histogram: ConfidenceHistogram, window: int = 500, *, alpha: float = ALPHA, seed: int = 0
    ) -> None:
        self._edges, self._counts = histogram.edges, list(histogram.counts)
        self._bag = sum(histogram.counts)
        self._alarm, self._frames = 1.0 / alpha, 0
        self._capitals, self._capital, self._fired = [0.0] * BETS, 1.0, False
        self._random = np.random.default_rng(seed)

    def update(self, x: float) -> bool:
        """See `Detector.update`."""
        fired = self._fired
        odds = 2.0 * self._p_value(x, learn=not fired) - 1.0
        kept, stake = self._stake()
        steep, flat = STEEP * odds, FLAT * odds
        a, b, c, d = self._capitals  # written out: a loop over four slopes takes six times as long
        self._capitals = [
            (a + stake) * (1.0 - steep),
            (b + stake) * (1.0 - flat),
            (c + stake) * (1.0 + flat),
            (d + stake) * (1.0 + steep),
        ]
        self._capital = sum(self._capitals) + kept
        if fired and self._capital > CEILING * self._alarm:
            self._capitals = [one * CEILING * self._alarm / self._capital for one in self._capitals]
            self._capital = CEILING * self._alarm
        self._fired = self._capital > (1.0 if fired else self._alarm)
        return self._fired != fired

    def state(self) -> Drift:
        """See `Detector.state`; logarithms of the capital and of what it takes."""
        return Drift(math.log(self._capital), math.log(self._alarm), self._fired)

    def saved(self) -> dict[str, Any]:
        """All that it remembers, as JSON types; as much after a year as after a frame."""
        return {
            "counts": list(self._counts),
            "frames": self._frames,
            "capitals": list(self._capitals),
            "capital": self._capital,
            "fired": self._fired,
            "random": self._random.bit_generator.state,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from there, to the last bit.

        Raises:
            PolicyFileError: it is not of this detector.
        """
        try:
            self._random.bit_generator.state = saved["random"]
            counts, capitals = [int(one) for one in saved["counts"]], [float(one) for one in saved["capitals"]]
            frames, capital, fired = int(saved["frames"]), float(saved["capital"]), bool(saved["fired"])
        except (KeyError, TypeError, ValueError) as error:
            raise PolicyFileError(f"not what a martingale remembers ({error!r})") from error
        if len(counts) != len(self._counts) or len(capitals) != BETS:
            raise PolicyFileError("not what a martingale remembers: of another histogram")
        self._counts, self._bag, self._frames = counts, sum(counts), frames
        self._capitals, self._capital, self._fired = capitals, capital, fired

    def _p_value(self, x: float, *, learn: bool) -> float:
        place, counts = bisect_right(self._edges, x), self._counts
        p = (sum(counts[:place]) + self._random.random() * (counts[place] + 1)) / (self._bag + 1)
        if learn:
            counts[place] += 1
            self._bag += 1
        return p

    def _stake(self) -> tuple[float, float]:
        """What stays unstaked after this frame, and what each bet gets of the rest."""
        before = 1.0 / math.log2(self._frames + 2)
        self._frames += 1
        kept = 1.0 / math.log2(self._frames + 2)
        return kept, (before - kept) / BETS
