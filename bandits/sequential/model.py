"""What is believed of a network's exits: counts, their curves and estimates, refreshed every few frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bandits import saved
from bandits.sequential.counts import Counts
from bandits.sequential.curve import HIGH, LOW, Curve
from bandits.sequential.estimates import Estimates, estimate
from bandits.sequential.states import BINS, Groups, state_of
from bandits.sequential.values import DEEPER, Moves
from split_core.errors import PolicyFileError
from split_core.readings import Reading
from split_core.tensors import FloatArray

# Estimates are made anew after an eighth more frames, but after so many at the latest.
MOST_FRAMES = 128
# A frame that was looked at whole makes estimates as old as so many others do.
LOOKED = 16
# So much weighs what was read where the frame would have ended before.
OFF_PATH = 0.25  # a sum of which is exact

Path = tuple[list[int], list[int], list[int]]  # exits, groups and states of a frame's readings


class Model:
    """Learns from readings and verdicts.

    Args:
        exits: K.
        groups: labels that are kept apart.
        error_costs: of a wrong answer by the full network's label; the last one is for all labels beyond.
        discount: weight of what is one frame older.
    """

    def __init__(self, exits: int, groups: Groups, error_costs: Sequence[float], *, discount: float) -> None:
        self._exits, self.groups, self._error_costs = exits, groups, tuple(error_costs)
        self._discount = discount
        self._error = _guessed_errors(groups, self._error_costs)
        self._counts, self._curve = Counts(exits, groups.count), Curve(exits - 1)
        self._frames, self._taken, self._fresh = 0.0, 0, 0  # all but those since the last refresh; these; how much
        self.estimates = self._estimated()

    def look(self, readings: Sequence[Reading], final: Reading, moves: Moves | None) -> None:
        """Take in a frame that went on whatever it said: a verdict on all its readings.

        Args:
            readings: of exits 1..K-1 that were read, ascending; not empty.
            final: what the full network says.
            moves: that the others follow; None gives all readings the same weight.
        """
        path = self._path(readings)
        weights = [1.0] * len(readings) if moves is None else _weights(path, moves)
        self._counts.take_path(*path, weights)
        before = False
        for place, weight in enumerate(weights):
            before = self._verdict(readings, path, place, final.label, before, weight)
        self._taken += 1
        self._fresh += LOOKED  # full information is worth having at once

    def observe(self, readings: Sequence[Reading], final: Reading | None, answered: int) -> float:
        """Take in a frame that followed the moves, and return the loss that its answer has brought, as far as is known.

        A verdict is fair to the last reading only: that alone decided that there would be one.

        Args:
            readings: as above.
            final: what the full network says, where it is known.
            answered: exit whose reading was given as the answer; 0 for a frame that was shipped.
        """
        path = self._path(readings)
        self._counts.take_path(*path, [1.0] * len(readings))
        self._taken += 1
        self._fresh += 1
        last = len(readings) - 1
        if final is None:
            return self._expected(path, answered == readings[-1].exit)
        self._verdict(readings, path, last, final.label, last > 0 and readings[last - 1].label != final.label, 1.0)
        audited = [one for one in readings if one.exit == answered]
        return self._cost_of(final.label) if audited and audited[0].label != final.label else 0.0

    def _cost_of(self, label: int) -> float:
        """What it costs to answer something else than `label`."""
        return self._error_costs[min(label, len(self._error_costs) - 1)]

    def _path(self, readings: Sequence[Reading]) -> Path:
        exits, groups, states, before = [], [], [], None
        for reading in readings:
            exits.append(reading.exit)
            groups.append(self.groups(reading.label))
            states.append(state_of(reading, before))
            before = reading
        return exits, groups, states

    def _verdict(
        self, readings: Sequence[Reading], path: Path, place: int, final: int, earlier_wrong: bool, weight: float
    ) -> bool:
        exits, groups, states = path
        wrong = readings[place].label != final
        self._counts.take_verdict(exits[place], groups[place], states[place], wrong, earlier_wrong, weight)
        if wrong:
            self._counts.take_error(groups[place], self._cost_of(final))
        return wrong

    def _expected(self, path: Path, last_answered: bool) -> float:
        """Expected loss of a frame that was answered by its last reading, or by the one before."""
        exits, groups, states = path
        exit, known = exits[-1] - 1, self.estimates
        if last_answered or len(exits) == 1:
            return float(known.wrong[exit, groups[-1], states[-1]] * known.error[groups[-1]])
        return float(known.earlier_wrong[exit, states[-1] % BINS] * known.error[groups[-2]])

    def due(self) -> bool:
        """Have estimates become old?"""
        return 8 * self._fresh > min(self._frames, 8 * MOST_FRAMES)

    def refresh(self) -> None:
        """Make estimates of all that was counted."""
        if not self._fresh:
            return
        if self._discount < 1.0:
            self._counts.forget(self._discount**self._taken)
        self._frames += self._taken
        self._taken = self._fresh = 0
        self._curve.fit(self._counts.seen.sum(axis=1), self._counts.wrong.sum(axis=1))
        self.estimates = self._estimated()

    def settle(self) -> None:
        """Let curves converge, after many frames were taken in at once."""
        for _ in range(8):
            self._fresh = 1
            self.refresh()

    def forget(self, kept: float) -> None:
        """Let everything learned so far weigh only `kept` of what it did, as when a change was detected."""
        self._counts.forget(kept)
        self._frames *= kept
        self.estimates = self._estimated()

    def _estimated(self) -> Estimates:
        return estimate(self._counts, self._curve, self._error)

    def identity(self) -> dict[str, Any]:
        """What a saved state must match."""
        return {"groups": list(self.groups.of_label), "error_costs": list(self._error_costs)}

    def state(self) -> dict[str, Any]:
        """All that was learned, as JSON types.  Estimates are refreshed, so that who takes the state has the same."""
        self.refresh()
        return {
            "frames": self._frames,
            "curve": [float(weight) for weight in self._curve.weights.ravel()],
            "counts": self._counts.state(),
        }

    def restore(self, state: dict[str, Any], policy: str) -> None:
        """Go on from `state`.

        Raises:
            PolicyFileError: it is none, or of another network.
        """
        frames = saved.number(state, "frames", policy, least=0.0)
        weights = np.reshape(saved.numbers(state, "curve", 3 * self._exits, policy), (-1, 3))
        if (weights < LOW).any() or (weights > HIGH).any():
            raise PolicyFileError(f"saved state of policy {policy!r}: a curve is out of its bounds")
        self._counts.restore(saved.section(state, "counts", policy), policy)
        self._frames, self._curve.weights = frames, weights
        self._taken = self._fresh = 0
        self.estimates = self._estimated()


def _weights(path: Path, moves: Moves) -> list[float]:
    """Readings beyond where a frame would have ended are of frames that seldom get there: easy ones."""
    weights, weight = [], 1.0
    for exit, group, state in zip(*path, strict=True):
        weights.append(weight)
        if weight == 1.0 and moves[exit - 1] and moves[exit - 1][group][state] != DEEPER:
            weight = OFF_PATH
    return weights


def _guessed_errors(groups: Groups, error_costs: Sequence[float]) -> FloatArray:
    """(G,) mean cost of mistaking another label for one of the group, all labels being equally frequent."""
    if len(error_costs) == 1:
        return np.full(groups.count, error_costs[0])
    costs = np.asarray(error_costs)
    of_label = np.array([groups(label) for label in range(len(costs))])
    others = [
        [np.delete(costs, label).mean() for label in np.flatnonzero(of_label == group)] for group in range(groups.count)
    ]
    return np.array([np.mean(each) if each else costs.mean() for each in others])
