"""Learning that keeps its promise: only certified answers, some of them audited, and a way back when audits disagree.

The promise is that of the answers given on the device at least a share `target` is what the full network says.
A policy within the envelope may choose among all answers that calibration has certified, and no other: below an exit's
*floor* a reading does not answer (see `bandits.guard`, which this is one of).  A share of the answers is checked
afterwards; the policy is told with the frame.

**Stages.**  When audits prove that the promise is broken, the envelope shrinks: floors rise to where the audits that
proved it still agree.  When the next audits prove that this was not enough, the last certified policy takes over: the
`fallback` that the operator gave, or, without one, nothing but the full network's answers, which keep any promise;
the learner still chooses the way to them.  Nothing is ever widened: that takes a new policy file.

**False alarms.**  While the promise is kept, given all that was seen before, the chance that it is ever called broken
is `false_alarm` at most (`bandits.change.Exceeds`).  A lower bound of agreement below the target is no alarm: there it
is before the first audit.  What has to cross is the *upper* bound: the lower one of disagreement.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bandits import saved
from bandits.change import Exceeds
from bandits.confidence_sequence import ConfidenceSequence
from bandits.guard import Guard, Limits
from bandits.policy import Answer, Observation, Policy
from split_core.errors import PolicyFileError

CERTIFIED, SHRUNK, FALLEN = "certified", "shrunk", "fallen"
STAGES = (CERTIFIED, SHRUNK, FALLEN)
REMEMBERED = 512  # audits that floors are raised by
RISK = 0.1  # chance that audits carry a floor that they should not


@dataclass(frozen=True, slots=True)
class Pledge:
    """What is promised, and by what.

    Attributes:
        target: share of the answers given on the device that the full network agrees with, in (0, 1).
        false_alarm: chance that a promise that is kept is ever called broken.
        share: of the frames answered here that are audited.
        floors: of exits 1..K-1, see `Limits.floors`: what calibration has certified.
    """

    target: float
    false_alarm: float
    share: float
    floors: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """One audit."""

    exit: int
    confidence: float
    differs: bool


@dataclass(frozen=True, slots=True)
class Crossing:
    """A promise proved broken.

    Attributes:
        stage: that begins with it: "shrunk" or "fallen".
        audits: of the stretch that proves it.
        agreement: in that stretch.
        value, limit: evidence, and what it has exceeded.
        floors: from now on.
        proposed: floors that these audits would still carry, for a new policy file.
    """

    stage: str
    audits: int
    agreement: float
    value: float
    limit: float
    floors: tuple[float, ...]
    proposed: tuple[float, ...]


class Envelope(Guard):
    """A `Policy` around another one; a guard whose floors rise.

    Args:
        inner: learns and decides within the floors.
        limits: of the guard; its floors are replaced by the pledge's.
        exits: K.
        pledge: what is promised.
        fallback: takes over at last; None leaves all answers to the full network.

    Attributes:
        pledge: as given.
        stage: one of `STAGES`.
    """

    def __init__(
        self, inner: Policy, limits: Limits, *, exits: int, pledge: Pledge, fallback: Policy | None = None
    ) -> None:
        super().__init__(inner, replace(limits, floors=pledge.floors), exits=exits)
        self.pledge, self.stage = pledge, CERTIFIED
        self._learner, self._fallback = inner, fallback
        self._audits: deque[Checked] = deque(maxlen=REMEMBERED)
        self._crossing: Crossing | None = None
        self._watch_anew()

    def _watch_anew(self) -> None:
        self._broken = Exceeds(1.0 - self.pledge.target, self.pledge.false_alarm)
        self._disagreement = ConfidenceSequence(self.pledge.false_alarm)

    @property
    def floors(self) -> tuple[float, ...]:
        """In force."""
        return self.limits.floors

    def agreement(self) -> tuple[float, float]:
        """Lower and upper bound on the agreement of the answers given in this stage, at all times together."""
        return 1.0 - self._disagreement.upper(), 1.0 - self._disagreement.lower()

    def crossing(self) -> Crossing | None:
        """What was proved broken since the last call."""
        found, self._crossing = self._crossing, None
        return found

    def learn(self, observation: Observation) -> None:
        """Hand on what happened; an audit counts whether its plan teaches or not."""
        super().learn(observation)
        verdict, action = observation.verdict, observation.action
        if observation.audited > 0.0 and verdict is not None and isinstance(action, Answer):
            answer = next(reading for reading in observation.readings if reading.exit == action.exit)
            checked = Checked(answer.exit, answer.confidence, answer.label != verdict.label)
            self._take(checked, min(1.0, self.pledge.share / observation.audited))

    def _take(self, checked: Checked, weight: float) -> None:
        """Count one audit; frames that are drawn more often than the pledge says weigh less."""
        self._audits.append(checked)
        self._disagreement.add(float(checked.differs), weight)
        if self._broken.add(float(checked.differs), weight) and self.stage != FALLEN:
            self._cross()

    def _cross(self) -> None:
        proof = self._broken.alarm
        assert proof is not None
        audits = list(self._audits)[-proof.outcomes :]
        proposed = raised(self.floors, audits, self.pledge.target)
        value, limit = self._broken.value, self._broken.threshold
        if self.stage == CERTIFIED and proposed != self.floors:
            self._enter(SHRUNK, proposed)
        else:
            self._enter(FALLEN, self.floors)
        agreement = 1.0 - proof.total / proof.count
        self._crossing = Crossing(self.stage, proof.outcomes, agreement, value, limit, self.floors, proposed)

    def _enter(self, stage: str, floors: tuple[float, ...]) -> None:
        """Go on in `stage`, with nothing proved yet."""
        self.stage = stage
        if stage == FALLEN:
            floors = () if self._fallback else (math.inf,) * (self._exits - 1)
        self.inner = self._fallback if stage == FALLEN and self._fallback else self._learner
        self.limits = replace(self.limits, floors=floors)
        self._watch_anew()

    def state(self) -> dict[str, Any]:
        """What the learner has learned, the stage, and what audits have shown in it."""
        audits = [[one.exit, one.confidence, int(one.differs)] for one in self._audits]
        return {
            "learner": self._learner.state(),
            "envelope": {
                "stage": self.stage,
                "floors": [None if math.isinf(floor) else floor for floor in self.floors],
                "disagreement": self._disagreement.state(),
                "broken": self._broken.state(),
                "audits": audits,
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, in the stage that it says.

        Raises:
            PolicyFileError: it is of another policy, or of one without an envelope.
        """
        told = saved.section(state, "envelope", "envelope")
        stage, floors, audits = _stage(told), _floors(told, self._exits - 1), _audits(told, self._exits)
        kept = Exceeds(1.0 - self.pledge.target, self.pledge.false_alarm)
        kept.restore(saved.section(told, "broken", "envelope"), "envelope")
        bounds = ConfidenceSequence(self.pledge.false_alarm)
        bounds.restore(saved.section(told, "disagreement", "envelope"), "envelope")
        self._learner.restore(saved.section(state, "learner", "envelope"))
        self._enter(stage, floors)
        self._broken, self._disagreement = kept, bounds
        self._audits = deque(audits, maxlen=REMEMBERED)


def raised(floors: tuple[float, ...], audits: Iterable[Checked], target: float) -> tuple[float, ...]:
    """Floors, each the lowest that the audits of its exit carry; infinity where none is.

    Audits carry a floor when so few of those above it would disagree with probability `RISK` at most, if fewer agreed
    than asked.  So few audits carry none: 114 without a disagreement are needed for a target of .98.  An exit without
    audits is not carried either: what calibration said of it is of the same data as what was proved wrong.
    """
    by_exit: dict[int, list[Checked]] = {}
    for one in audits:
        by_exit.setdefault(one.exit, []).append(one)
    return tuple(max(floor, _carried(by_exit.get(k, []), floor, target)) for k, floor in enumerate(floors, 1))


def _carried(audits: list[Checked], floor: float, target: float) -> float:
    surest = sorted(audits, key=lambda one: -one.confidence)
    lowest, differ = math.inf, 0
    for count, one in enumerate(surest, 1):
        differ += one.differs
        # Only where the next one is less sure: a floor cannot part equals.
        parts = count == len(surest) or surest[count].confidence < one.confidence
        if parts and _carries(differ, count, 1.0 - target):
            lowest = floor if count == len(surest) else one.confidence
    return lowest


def _carries(differ: int, count: int, limit: float) -> bool:
    """Chernoff's bound on the binomial tail, exp(-count KL(differ / count || limit)), is at most `RISK`."""
    share = differ / count
    if share >= limit:
        return False
    apart = (1.0 - share) * math.log((1.0 - share) / (1.0 - limit))
    apart += share * math.log(share / limit) if differ else 0.0
    return count * apart >= math.log(1.0 / RISK)


def _stage(told: dict[str, Any]) -> str:
    stage = told.get("stage")
    if stage not in STAGES:
        raise PolicyFileError(f"saved state of policy 'envelope': no stage {str(stage)[:20]!r}; remove the saved state")
    return str(stage)


def _floors(told: dict[str, Any], count: int) -> tuple[float, ...]:
    rows = told.get("floors")
    if not isinstance(rows, list) or len(rows) not in (0, count):
        raise PolicyFileError(
            f"saved state of policy 'envelope': floors must be {count} numbers; remove the saved state"
        )
    known = {"floors": [1.0 if row is None else row for row in rows]}
    numbers = saved.numbers(known, "floors", len(rows), "envelope", least=0.0)
    return tuple(math.inf if row is None else number for row, number in zip(rows, numbers, strict=True))


def _audits(told: dict[str, Any], exits: int) -> list[Checked]:
    rows = told.get("audits")
    if not isinstance(rows, list):
        raise PolicyFileError("saved state of policy 'envelope': audits must be a list; remove the saved state")
    read = [saved.numbers({"audits": row}, "audits", 3, "envelope", least=0.0) for row in rows]
    if any(not 1 <= exit <= exits for exit, _, _ in read):
        raise PolicyFileError("saved state of policy 'envelope': an audit of no exit; remove the saved state")
    return [Checked(int(exit), confidence, differs > 0.0) for exit, confidence, differs in read]
