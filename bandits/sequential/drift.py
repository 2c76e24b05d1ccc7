"""Are frames still like those that were learned from?  Two things tell that do not depend on what was decided.

The confidence of every frame's first reading, and whether it agreed with the full network on frames that were chosen
to be checked before anything was read of them.  Each is watched per exit by `bandits.change.MeanChange`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bandits import params, saved
from bandits.change import MeanChange
from bandits.indices.build import Choice, named
from bandits.policy import Observation
from split_core.errors import ConfigError, PolicyFileError
from split_core.params import call_with

# Outcomes between two looks: confidences come with every frame and a look takes time, checked frames are few.
CONFIDENCES, CHECKS = 64, 16


class Drift:
    """Proves that frames have changed; then begins anew.

    Args:
        exits: K; first readings of exits 1..K-1 are watched.
        false_alarm: chance of an alarm, ever, from one beginning on, while nothing changes.

    Raises:
        ConfigError: out of its range.
    """

    def __init__(self, exits: int, *, false_alarm: float = 0.01) -> None:
        self._exits = exits
        self._false_alarm = params.number("false_alarm", false_alarm, 1e-12, 0.5)
        self.changes = 0
        self._begin()

    def _begin(self) -> None:
        each = self._false_alarm / max(1, 2 * (self._exits - 1))
        self._watched = [(MeanChange(each, CONFIDENCES), MeanChange(each, CHECKS)) for _ in range(self._exits - 1)]

    def take(self, observation: Observation, *, checked: bool) -> bool:
        """Take in one frame; True when a change is proved by it.

        Args:
            observation: of the frame; a lost reply still had a first reading.
            checked: was it chosen to be, before it was read?  Only then its verdict is fair.
        """
        readings = observation.readings
        if not readings or readings[0].exit >= self._exits:
            return False
        first, last = readings[0], readings[-1]
        confidences, checks = self._watched[first.exit - 1]
        proved = confidences.add(max(0.0, first.confidence)) is not None
        final = last if last.exit == self._exits else observation.verdict
        if checked and final is not None and not observation.lost:
            proved |= checks.add(float(first.label == final.label)) is not None
        if proved:
            self.changes += 1
            self._begin()
        return proved

    def state(self) -> dict[str, Any]:
        """As JSON types."""
        return {"changes": self.changes, "exits": [[one.state() for one in pair] for pair in self._watched]}

    def restored(self, state: Mapping[str, Any], policy: str) -> Drift:
        """One that goes on from what a policy saved, bit-identically; it begins anew where nothing was watched.

        Raises:
            PolicyFileError: what was saved is no such state.
        """
        found = Drift(self._exits, false_alarm=self._false_alarm)
        if "drift" not in state:
            return found
        state = saved.section(state, "drift", policy)
        rows = state.get("exits")
        if not isinstance(rows, list) or len(rows) != self._exits - 1:
            raise PolicyFileError(f"saved state of policy {policy!r}: drift must have {self._exits - 1} exits")
        for pair, row in zip(found._watched, rows, strict=True):
            if not isinstance(row, list) or len(row) != 2 or not all(isinstance(one, dict) for one in row):
                raise PolicyFileError(f"saved state of policy {policy!r}: drift must have two parts per exit")
            for one, part in zip(pair, row, strict=True):
                one.restore(part, policy)
        found.changes = int(saved.number(state, "changes", policy, least=0.0))
        return found


def make_drift(exits: int, forget: Choice) -> Drift | None:
    """What the parameter `forget` of a policy file asks for; None for `none`.

    Raises:
        ConfigError: no such way to forget, or a value out of its range.
    """
    how, settings = named("forget", forget)
    ways: dict[str, Callable[..., Drift | None]] = {"none": _never, "change": Drift}
    if how not in ways:
        raise ConfigError(
            f"forget: sequential takes none or change, got {how!r}; its discount is a parameter of its own"
        )
    drift: Drift | None = call_with(f"forget {how!r}", ways[how], settings, {"exits": exits})
    return drift


def _never() -> None:
    """No drift is watched."""
