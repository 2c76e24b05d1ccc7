"""What a policy in the shadow would have done with a frame, beside what the active one did; and sums of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from split_core.errors import ArtefactError


@dataclass(frozen=True, slots=True)
class ShadowRecord:
    """One frame.  What was not computed is not known, and is never guessed.

    Attributes:
        seq: the frame's number.
        policy: id of the shadow, 12 digits.
        where: who would have answered: "edge" or "cloud"; empty when that needs an exit that was not read.
        exit: which exit would have answered, 1..K; -1 when `where` is empty.
        beyond: the deepest exit whose reading the decision is known up to; 0 for none.
        label, confidence: the answer; -1 and None where that exit was not computed.
        cost: of that way, in the units of the shadow's objective, as expected when the frame ended; None when
            the way is not known, or not allowed to it (pixels that shall not leave the device).
        active_where, active_exit, active_label, active_confidence: what was answered.
        active_cost: of the way that the frame went, at the same prices.
    """

    seq: int
    policy: str
    where: str
    exit: int
    beyond: int
    label: int
    confidence: float | None
    cost: float | None
    active_where: str
    active_exit: int
    active_label: int
    active_confidence: float
    active_cost: float | None

    @property
    def elsewhere(self) -> bool:
        """Would another exit have answered, or the same one on another machine?"""
        return (self.where, self.exit) != (self.active_where, self.active_exit)

    @staticmethod
    def from_json(value: dict[str, Any]) -> ShadowRecord:
        """A record as it was written; unknown keys are an error."""
        try:
            return ShadowRecord(**value)
        except TypeError as error:
            raise ArtefactError(f"not a shadow's record ({error}); was the log written by another version?") from error


class ShadowTally:
    """Sums over the frames of one shadow, or of several one after the other.

    Attributes:
        policy: id of the newest shadow, 12 digits; empty before the first frame.
        frames: seen by it.
    """

    def __init__(self, records: Iterable[ShadowRecord] = ()) -> None:
        self._begin("")
        for record in records:
            self.add(record)

    def _begin(self, policy: str) -> None:
        self.policy = policy
        self.frames = self.unknown = self.elsewhere = self.labelled = self.agree = self.priced = 0
        self.exits: Counter[tuple[str, int]] = Counter()
        self.active_exits: Counter[tuple[str, int]] = Counter()
        self._beyond: Counter[int] = Counter()
        self._confidence = self._active_confidence = self._cost = self._active_cost = 0.0

    def add(self, record: ShadowRecord) -> None:
        """Take in one frame; a new shadow begins anew."""
        if record.policy != self.policy:
            self._begin(record.policy)
        self.frames += 1
        if not record.where:
            self.unknown += 1
            self._beyond[record.beyond] += 1
            return
        self.exits[record.where, record.exit] += 1
        self.active_exits[record.active_where, record.active_exit] += 1
        self.elsewhere += record.elsewhere
        if record.cost is not None and record.active_cost is not None:
            self.priced += 1
            self._cost += record.cost
            self._active_cost += record.active_cost
        if record.confidence is not None:
            self.labelled += 1
            self.agree += record.label == record.active_label
            self._confidence += record.confidence
            self._active_confidence += record.active_confidence

    @property
    def known(self) -> int:
        """Frames whose way is known."""
        return self.frames - self.unknown

    def summary(self) -> dict[str, Any]:
        """Shares and means, as JSON types; None where nothing is known.

        The two of a pair are over the same frames: ways where the shadow's is known, confidences where its answer
        is, costs where both have one.
        """
        known, labelled = self.known, self.labelled
        return {
            "policy": self.policy,
            "frames": self.frames,
            "unknown": _share(self.unknown, self.frames),
            "unknown_beyond": {str(exit): count for exit, count in sorted(self._beyond.items())},
            "elsewhere": _share(self.elsewhere, known),
            "answers_known": labelled,
            "agreement": _share(self.agree, labelled),
            "confidence": _share(self._confidence, labelled),
            "active_confidence": _share(self._active_confidence, labelled),
            "cost": _share(self._cost, self.priced),
            "active_cost": _share(self._active_cost, self.priced),
            "exits": _shares(self.exits, known),
            "active_exits": _shares(self.active_exits, known),
            "offload": _share(_shipped(self.exits), known),
            "active_offload": _share(_shipped(self.active_exits), known),
        }


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _shares(counts: Counter[tuple[str, int]], whole: int) -> dict[str, float]:
    return {f"{where} {exit}": count / whole for (where, exit), count in sorted(counts.items())}


def _shipped(counts: Counter[tuple[str, int]]) -> int:
    return sum(count for (where, _), count in counts.items() if where == "cloud")
