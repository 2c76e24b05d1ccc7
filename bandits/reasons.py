"""Why a policy did what it did, for people who look at one frame.  Nothing decides by it.

A policy may explain itself with a method `explain(plan, readings)`; of one that does not, the arm is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from bandits.policy import Plan, Policy
from split_core.readings import Reading


@dataclass(frozen=True, slots=True)
class Reason:
    """What was compared after some readings.

    Attributes:
        text: in one line.
        asked: confidence from which on the last exit that was read may answer; NaN where none was asked for.
        losses: "answer", "deeper" and "ship" to the loss that was expected of each, in errors; infinite where that
            was not allowed, empty where nothing of the kind was compared.
    """

    text: str
    asked: float = math.nan
    losses: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Explaining(Protocol):
    """A policy that can say why; asked after the frame, before it has learned from it, and must change nothing."""

    def explain(self, plan: Plan, readings: tuple[Reading, ...]) -> Reason:
        """Why `next` does what it does after these readings."""


def reason_for(policy: Policy, plan: Plan, readings: tuple[Reading, ...]) -> Reason:
    """Why `policy` does what it does after these readings of its plan."""
    return policy.explain(plan, readings) if isinstance(policy, Explaining) else reason_of_arm(plan, readings)


def reason_of_arm(plan: Plan, readings: tuple[Reading, ...]) -> Reason:
    """Why a plan goes on as it does, by its arm; see `bandits.arms.next_action`."""
    arm, exits = plan.arm, plan.context.exits
    if arm is None:
        return Reason(f"no arm was played; exits to read: {_listed(plan.heads)}")
    if arm.split == 0:
        return Reason("the arm ships every frame unread")
    if arm.split == exits:
        return Reason("the arm runs the whole network here")
    if not readings or readings[-1].exit != arm.split:
        return Reason(f"the arm looks at exit {arm.split}")
    verdict = compared(readings[-1].confidence, arm.threshold)
    return Reason(f"{verdict}, which the arm asks of exit {arm.split}", arm.threshold)


def compared(confidence: float, asked: float) -> str:
    """Two numbers and how they stand to each other, with as many digits as that takes."""
    sign = ">=" if confidence >= asked else "<"
    for digits in (2, 3, 4, 6):
        left, right = f"{confidence:.{digits}f}", f"{asked:.{digits}f}"
        if left != right or confidence == asked:
            break
    return f"{left} {sign} {right}"


def _listed(exits: tuple[int, ...]) -> str:
    return ", ".join(map(str, exits)) or "none"
