"""What a release goes through beside the one that runs, and when it is good or bad enough.  Pure: callers pass `now`.

    loading -> comparing -> waiting -> probation -> kept         or, from any of the first four: refused

*Comparing* is by live frames, before any of them is answered by it.  A frame is good when the release answers it in
time and as the one that runs did.  The release passes when it is proved that at least the share `agree` of frames is
good, so one that is worse passes with the probability `false_alarm` at most.  *Waiting* is for a worker that has its
bundle.  In its *probation* it answers all frames, and is refused, which means that the device goes back, when it is
proved that more frames end badly than before, or that fewer are good than `agree`; a release that is as good as the
one before is ever refused so with the probability `false_alarm` at most.  All proofs are confidence sequences, so
looking after every frame costs nothing; they assume frames in no order.  What begins late is found, too: `Alarm`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bandits.confidence_sequence import ConfidenceSequence

Stage = Literal["loading", "comparing", "waiting", "probation", "kept", "refused"]
ALARMS = 3  # in a probation: before, after, and agreement; each gets its share of the false alarms
NEWEST = 50  # frames, see `Alarm`
BLOCK = 5000  # frames: what is remembered of before are the newest 5,000 to 10,000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a release has to show.

    Attributes:
        agree: share of frames that must be good.
        frames: compared at most, before and once more in the probation; what is not proved before is not believed.
        probation_s: how long it may be taken back by itself.
        worse: by how much the share of frames that end badly may rise.
        false_alarm: see above.
    """

    agree: float = 0.8
    frames: int = 1000
    probation_s: float = 600.0
    worse: float = 0.02
    false_alarm: float = 0.01


class Before:
    """How often frames ended badly lately."""

    def __init__(self) -> None:
        self._old, self._new = (0, 0), (0, 0)

    def add(self, bad: bool) -> None:
        """One frame has ended."""
        count, total = self._new
        self._new = count + 1, total + bad
        if count + 1 == BLOCK:
            self._old, self._new = self._new, (0, 0)

    @property
    def count(self) -> int:
        """Frames that are remembered."""
        return self._old[0] + self._new[0]

    def upper(self, alpha: float) -> float:
        """The share is not above this, but for the probability `alpha`."""
        sequence = ConfidenceSequence(alpha)
        sequence.count = float(self.count)
        sequence.total = float(self._old[1] + self._new[1])
        return sequence.upper()


class Alarm:
    """Is raised when more frames are bad than may be: of all so far, or of the newest.

    The newest are counted from every 50th frame on, so that many good ones do not hide what begins late.  Half of
    `alpha` is for all, the other half for the k-th beginning in shares of 6 / (pi k)^2, which sum to one.

    Args:
        limit: share of bad frames that may be, below 1.
        alpha: chance that it is ever raised when there are no more.

    Attributes:
        limit: as given.
        count, total: frames, and bad ones, of those that raised it.
    """

    def __init__(self, limit: float, alpha: float) -> None:
        self.limit, self._alpha, self._beginnings = limit, alpha, 0
        self._all = ConfidenceSequence(alpha / 2)
        self._newest = self._begun()
        self.count = self.total = 0.0

    def _begun(self) -> ConfidenceSequence:
        self._beginnings += 1
        return ConfidenceSequence(self._alpha / 2 * 6 / (math.pi * self._beginnings) ** 2)

    def add(self, bad: bool) -> bool:
        """Take in one frame; is the alarm raised by it?"""
        if self._newest.count >= NEWEST:
            self._newest = self._begun()
        for frames in (self._all, self._newest):
            frames.add(float(bad))
            if bad and frames.mean > self.limit and frames.doubts(self.limit):
                self.count, self.total = frames.count, frames.total
                return True
        return False


class Trial:
    """Of one release.

    Args:
        name: of the release.
        terms: it has to keep.

    Attributes:
        name: as given.
        stage: where it is.
        why: it was refused.
        switched: does it answer frames, or did it?
        comparisons: so far, in this stage.
    """

    def __init__(self, name: str, terms: Terms) -> None:
        self.name, self._terms = name, terms
        self.stage: Stage = "loading"
        self.why, self.switched = "", False
        self._good = ConfidenceSequence(terms.false_alarm)
        self.comparisons, self._until_s = 0, 0.0
        self._differs, self._ends_badly = Alarm(1.0, 0.5), Alarm(1.0, 0.5)  # until its probation

    @property
    def ended(self) -> bool:
        """Is there nothing more to come?"""
        return self.stage in ("kept", "refused")

    @property
    def asks(self) -> bool:
        """Is another comparison of any use?  In its probation they are bounded, for they take the device's energy."""
        return self.stage in ("comparing", "probation") and self.comparisons < self._terms.frames

    def refuse(self, why: str) -> None:
        """It is not usable, or not wanted any more."""
        if not self.ended:
            self.stage, self.why = "refused", why

    def loaded(self) -> None:
        """It is in memory, warm and fits."""
        self._expect("loading")
        self.stage = "comparing"

    def compared(self, good: bool, how: str = "") -> None:
        """It was asked about a frame that the other one has answered.

        Args:
            good: answered the same, and in time?
            how: it was not, in a few words.
        """
        self.comparisons += 1
        if self.stage == "comparing":
            self._believe(good, how)
        elif self.stage == "probation" and self._differs.add(not good):
            self._differ(self._differs.count - self._differs.total, self._differs.count, how)

    def _believe(self, good: bool, how: str) -> None:
        self._good.add(float(good))
        agree, count, total = self._terms.agree, self._good.count, self._good.total
        proved = self._good.doubts(agree)
        if proved and self._good.mean < agree:
            self._differ(total, count, how)
        elif proved:
            self.stage = "waiting"
        elif count >= self._terms.frames:
            told = f"{total:.0f} of {count:.0f} frames were answered as before and in time"
            self.refuse(f"{told}, that {agree:.0%} are was not proved")

    def _differ(self, good: float, count: float, how: str) -> None:
        told = f"{good:.0f} of {count:.0f} frames were answered as before and in time"
        self.refuse(f"{told}, expected {self._terms.agree:.0%}; the last one: {how}")

    def switch(self, before: Before, now: float) -> None:
        """From here on it answers; `before` tells how the other one did."""
        self._expect("waiting")
        share = self._terms.false_alarm / ALARMS
        self.stage, self.switched = "probation", True
        self.comparisons = 0
        self._differs = Alarm(1.0 - self._terms.agree, share)
        self._ends_badly = Alarm(min(before.upper(share) + self._terms.worse, 1.0 - 1e-9), share)
        self._until_s = now + self._terms.probation_s

    def answered(self, bad: bool) -> None:
        """One of its own frames has ended."""
        alarm = self._ends_badly
        if self.stage == "probation" and alarm.add(bad):
            self.refuse(
                f"{alarm.total:.0f} of {alarm.count:.0f} frames ended badly, expected {alarm.limit:.1%} at most"
            )

    def tick(self, now: float) -> None:
        """Time has passed."""
        if self.stage == "probation" and now >= self._until_s:
            self.stage = "kept"

    def _expect(self, stage: Stage) -> None:
        if self.stage != stage:
            raise ValueError(f"expected a release that is {stage}, this one is {self.stage}")
