"""All detectors of all exits behind one call per frame.

It is told about readings that were taken *whatever the frame looked like*: those up to the split that a bandit drew, or
the first of a frame.  Later ones are of frames that were not sure before.  A bandit changes which these are, so no
calibration matches them.  The thresholds of a cascade stay what they are, so what gets to exit 2, 3, ... can be
compared with what got there at calibration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from split_core.drift import DETECTORS
from split_core.drift.base import Detector, Drift
from split_core.drift.exit_share import ExitShare
from split_core.drift.martingale import ConformalMartingale
from split_core.evidence import ConfidenceHistogram

NO_INPUTS: Mapping[str, ConfidenceHistogram] = MappingProxyType({})
STRIDE = 50  # readings of an exit between two looks at its statistics: looking costs 20 us


@dataclass(frozen=True, slots=True)
class Finding:
    """What one detector says of one exit.

    Attributes:
        detector: a name of `DETECTORS`, with "reached_" before it where only frames count that got there, or
            "exits_earlier", "exits_later"; with the input's number before it, "tokens_psi" for one.
        exit: 1..K; 0 for the input.
        drift: how far.
    """

    detector: str
    exit: int
    drift: Drift


class ExitWatch:
    """The detectors of one exit.

    Args:
        exit: 1..K.
        histogram: of its confidences at calibration.
        window: see the detectors.
        detectors: names in `DETECTORS`.
        prefix: of the findings' names.

    Attributes:
        name: no other watch of a monitor has it.
        martingale: the one among the detectors, if there is one.
    """

    def __init__(
        self, exit: int, histogram: ConfidenceHistogram, window: int, detectors: Sequence[str], prefix: str = ""
    ) -> None:
        self._exit, self._prefix, self.name = exit, prefix, f"{prefix}{exit}"
        self._detectors: dict[str, Detector] = {name: DETECTORS.load(name)(histogram, window) for name in detectors}
        found = (one for one in self._detectors.values() if isinstance(one, ConformalMartingale))
        self.martingale = next(found, None)
        self._updates = tuple(detector.update for detector in self._detectors.values())
        self._share = ExitShare(histogram, window)
        self._seen = 0

    def see(self, confidence: float, threshold: float | None) -> bool:
        """Take in one reading; True when it is time to look."""
        look = False
        for update in self._updates:
            if update(confidence):
                look = True
        if threshold is not None:
            self._share.update(confidence, threshold)
        self._seen += 1
        return look or self._seen % STRIDE == 0

    def findings(self) -> list[Finding]:
        """What every detector says now."""
        found = [
            Finding(self._prefix + name, self._exit, detector.state()) for name, detector in self._detectors.items()
        ]
        if self._prefix:
            return found
        shares = {"exits_earlier": self._share.earlier(), "exits_later": self._share.later()}
        return [*found, *(Finding(name, self._exit, drift) for name, drift in shares.items())]


class DriftMonitor:
    """Compares confidences and exits with the calibration's.

    Args:
        histograms: one per exit, of the policy file; empty watches nothing.
        window: readings per exit that are compared.
        detectors: names in `DETECTORS`.
        reached: of exits 2, 3, ... over the samples that got there; for a cascade whose thresholds are those that
            calibration chose, without a guard.
        threshold: of exit 1, of such a cascade; None where it depends on the class, and for bandits.
        inputs: of numbers that the inputs have, by name.
        every: frames per frame that is looked at.

    Attributes:
        cause: what fired first; None while nothing has.
    """

    def __init__(
        self,
        histograms: Sequence[ConfidenceHistogram],
        window: int = 500,
        detectors: Sequence[str] = tuple(DETECTORS),
        *,
        reached: Sequence[ConfidenceHistogram] = (),
        threshold: float | None = None,
        inputs: Mapping[str, ConfidenceHistogram] = NO_INPUTS,
        every: int = 1,
    ) -> None:
        self._every, self._frames = every, 0
        self._inputs = {name: ExitWatch(0, one, window, detectors, f"{name}_") for name, one in inputs.items()}
        self._reached = [ExitWatch(k, one, window, detectors, "reached_") for k, one in enumerate(reached, 2)]
        self._threshold = threshold
        self._exits = [ExitWatch(k, histogram, window, detectors) for k, histogram in enumerate(histograms, 1)]
        watches = (*self._exits, *self._reached, *self._inputs.values())
        self._martingales = {watch.name: watch.martingale for watch in watches if watch.martingale is not None}
        self._findings: dict[tuple[str, int], Finding] = {}
        self.cause: Finding | None = None

    def due(self) -> bool:
        """Is the frame that comes now one to look at?  To be asked once per frame."""
        self._frames += 1
        return self._frames % self._every == 0

    @property
    def void(self) -> bool:
        """Has anything ever fired?

        The policy's promises are void from then on: what was calibrated is not what is seen.  Only another policy,
        and so another monitor, ends that; a restart does not (`voided`).
        """
        return self.cause is not None

    def voided(self, cause: Finding) -> None:
        """Go on from what was found before a restart."""
        self.cause = cause

    def saved(self) -> dict[str, Any]:
        """What must outlast a restart, as JSON types: a martingale promises for all frames together; windows do not."""
        return {name: martingale.saved() for name, martingale in self._martingales.items()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from there; what is not saved begins anew.

        Raises:
            PolicyFileError: it is of another policy.
        """
        for name in self._martingales.keys() & saved.keys():
            self._martingales[name].restore(saved[name])

    def see(self, exit: int, confidence: float, threshold: float | None = None) -> list[Finding]:
        """Take in a reading that counts whatever the frame looked like; returns the findings whose state has changed.

        Args:
            exit: 1..K.
            confidence: calibrated.
            threshold: at or above it the frame was to be answered at this exit; None when that was not so.
        """
        if exit > len(self._exits):
            return []
        watch = self._exits[exit - 1]
        if exit == 1 and threshold is None:
            threshold = self._threshold
        return self._look(watch) if watch.see(confidence, threshold) else []

    def see_on(self, confidences: Sequence[float]) -> list[Finding]:
        """Take in what exits 2, 3, ... said of a frame that got there, in order; returns as `see`."""
        pairs = zip(self._reached, confidences)  # noqa: B905  (neither must be as long as the other)
        return [finding for watch, one in pairs if watch.see(one, None) for finding in self._look(watch)]

    @property
    def sees_on(self) -> bool:
        """Is there anything to compare such readings with?"""
        return bool(self._reached)

    def see_input(self, measures: Mapping[str, float]) -> list[Finding]:
        """Take in the numbers of one frame's input, see `Intake.measures`; returns as `see`."""
        pairs = ((self._inputs[name], value) for name, value in measures.items() if name in self._inputs)
        return [finding for watch, value in pairs if watch.see(value, None) for finding in self._look(watch)]

    @property
    def sees_inputs(self) -> bool:
        """Is there anything to compare inputs with?"""
        return bool(self._inputs)

    def findings(self) -> list[Finding]:
        """The newest of every detector and exit that was looked at."""
        return list(self._findings.values())

    def _look(self, watch: ExitWatch) -> list[Finding]:
        changed = []
        for finding in watch.findings():
            before = self._findings.get((finding.detector, finding.exit))
            self._findings[finding.detector, finding.exit] = finding
            if finding.drift.fired != (before is not None and before.drift.fired):
                changed.append(finding)
        if self.cause is None:
            self.cause = next((finding for finding in changed if finding.drift.fired), None)
        return changed
