"""Thresholds per exit, as calibration chose them: every exit on the way is asked, the first sure one answers.

Learns nothing, so that what was promised about the thresholds stays what it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from bandits import params, saved
from bandits.policy import Action, Answer, Context, Deeper, Observation, Plan, Policy, Ship
from bandits.reasons import Reason, compared
from split_core.errors import ConfigError
from split_core.objective import Objective
from split_core.readings import Reading

NEVER = math.inf
NO_CLASSES: Mapping[str, Mapping[str, float | None]] = MappingProxyType({})


def make_cascade(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    per_exit: Sequence[float | None] | float = 0.9,
    by_class: Mapping[str, Mapping[str, float | None]] = NO_CLASSES,
    ship_after: int = 0,
) -> Policy:
    """Answer at the first exit whose confidence is at least its threshold; else at the last, or ship.

    Args:
        exits: K.
        rng: not used.
        objective: not used.
        per_exit: thresholds of exits 1..K-1, null never answers; or one number for all.
        by_class: other thresholds where the exit says a certain class: {exit: {class number: threshold}}.
        ship_after: the exit after which a frame is shipped when nobody was sure; 0 runs the whole network on
            the device.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    last = params.whole("ship_after", ship_after, 0, exits) or exits
    return Cascade(_per_exit(per_exit, exits), _classes(by_class, exits), last)


class Cascade:
    """See `make_cascade`.

    Args:
        thresholds: of exits 1..K-1; infinity never answers.
        by_class: (exit, class) to threshold.
        ship_after: 1..K.
    """

    def __init__(
        self, thresholds: tuple[float, ...], by_class: Mapping[tuple[int, int], float], ship_after: int
    ) -> None:
        self._thresholds, self._by_class, self._ship_after = (*thresholds, 0.0), dict(by_class), ship_after

    def begin(self, context: Context) -> Plan:
        """Read every exit up to where the rest is shipped; without a cloud, up to the deepest."""
        reach = tuple(split for split in context.splits if split > 0)
        near = tuple(split for split in reach if split <= self._ship_after)
        if near and context.may_ship(near[-1]):
            return Plan(context, near, learns=False)
        if not reach and context.may_ship(0):
            return Plan(context, (), learns=False)
        return Plan(context, reach or (1,), learns=False)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """Answer when the last reading is sure enough, or when there is nothing else to do."""
        if not plan.heads:
            return Ship(plan.context.costs.payload[0])
        if not readings:
            return Deeper()
        last = readings[-1]
        if last.confidence >= self._asked(last):
            return Answer(last.exit)
        if len(readings) < len(plan.heads):
            return Deeper()
        return Ship(plan.context.costs.payload[last.exit]) if plan.context.may_ship(last.exit) else Answer(last.exit)

    def _asked(self, reading: Reading) -> float:
        return self._by_class.get((reading.exit, reading.label), self._thresholds[reading.exit - 1])

    def explain(self, plan: Plan, readings: tuple[Reading, ...]) -> Reason:
        """The threshold that the last reading was compared with; see `bandits.reasons`."""
        if not readings:
            return Reason("the cascade begins at its first exit" if plan.heads else "no exit is in reach")
        last = readings[-1]
        if last.exit == len(self._thresholds):
            return Reason("the last exit answers whatever it says")
        asked, of_class = self._asked(last), (last.exit, last.label) in self._by_class
        if asked == NEVER:
            return Reason(f"exit {last.exit} never answers{' this class' if of_class else ''}", asked)
        whose = " for this class" if of_class else ""
        return Reason(f"{compared(last.confidence, asked)}, the threshold of exit {last.exit}{whose}", asked)

    def learn(self, observation: Observation) -> None:
        """Nothing to learn."""

    def state(self) -> dict[str, Any]:
        """What a saved state must match; nothing was learned."""
        shown = [None if value == NEVER else value for value in self._thresholds]
        classes = [
            [exit, label, None if value == NEVER else value] for (exit, label), value in sorted(self._by_class.items())
        ]
        told = {"per_exit": shown, "by_class": classes, "ship_after": self._ship_after}
        return {"policy": "cascade", "exits": len(self._thresholds), **told}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore.

        Raises:
            PolicyFileError: the state belongs to another policy or other thresholds.
        """
        for key, expected in self.state().items():
            saved.check_same(state, key, expected, "cascade")


def _per_exit(given: Any, exits: int) -> tuple[float, ...]:
    if isinstance(given, Sequence) and not isinstance(given, str):
        if len(given) != exits - 1:
            raise ConfigError(f"per_exit: expected {exits - 1} thresholds, one per exit before the last, got {given!r}")
        return tuple(_threshold(f"per_exit[{place}]", value) for place, value in enumerate(given))
    return (params.number("per_exit", given, 0.0, 1.0),) * (exits - 1)


def _threshold(name: str, value: Any) -> float:
    return NEVER if value is None else params.number(name, value, 0.0, 1.0)


def _classes(by_class: Any, exits: int) -> dict[tuple[int, int], float]:
    """`{"2": {"7": 0.9}}` as {(2, 7): 0.9}; keys of JSON are text."""
    found: dict[tuple[int, int], float] = {}
    if not isinstance(by_class, Mapping):
        raise ConfigError(f"by_class: expected exits to classes to thresholds, got {by_class!r}")
    for exit, classes in by_class.items():
        if not isinstance(classes, Mapping):
            raise ConfigError(f"by_class.{exit}: expected classes to thresholds, got {classes!r}")
        for label, value in classes.items():
            where = f"by_class.{exit}.{label}"
            place = _number(where, exit, 1, exits - 1), _number(where, label, 0, 1_000_000)
            found[place] = _threshold(where, value)
    return found


def _number(where: str, key: Any, low: int, high: int) -> int:
    text = str(key)
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise ConfigError(f"{where}: {text!r} is no number from {low} to {high}")
    return int(text)
