"""What frames taught: how often every state was met, which state came next, and how often its answer was wrong.

Counts hold answers and no costs, so prices may change at once.  All are sums of whole 1/1024ths, so they add up
exactly in any order and a saved state is short.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bandits import saved
from bandits.sequential.states import BINS, STATES, TARGETS
from split_core.errors import PolicyFileError
from split_core.tensors import FloatArray

GRAIN = 1024.0
# More than any run can count; what is larger comes from a damaged file.
MOST = 2.0**40


class Counts:
    """Tables of one network.  Each is an array that numpy shares: single counts are cheap, and so are sums.

    Args:
        exits: K; exits 1..K-1 are counted.
        groups: groups of labels that are kept apart.

    Attributes:
        seen: (K-1, G, STATES) verdicts, by exit, group of the reading's label and state.
        wrong: of those, how many readings were wrong.
        earlier_wrong: (K-1, BINS) how often the exit before was wrong, where this one differs from it.
        steps: (K-2, STATES, TARGETS) from a state of exit k to one of exit k+1.
        starts: (K-1, BINS) first readings of a frame.
        turns: (G, G) from a group to the group of the next reading, where labels differ.
        firsts: (G,) groups of first readings.
        missed: (2, G) wrong answers by their group: how many, and what the mistakes cost.
    """

    def __init__(self, exits: int, groups: int) -> None:
        readable, between = exits - 1, max(0, exits - 2)
        shapes = {
            "seen": (readable, groups, STATES),
            "wrong": (readable, groups, STATES),
            "earlier_wrong": (readable, BINS),
            "steps": (between, STATES, TARGETS),
            "starts": (readable, BINS),
            "turns": (groups, groups),
            "firsts": (groups,),
            "missed": (2, groups),
        }
        self._groups = groups
        self._cells = {name: array("d", bytes(8 * int(np.prod(shape)))) for name, shape in shapes.items()}
        views = {name: _view(self._cells[name], shape) for name, shape in shapes.items()}
        self.seen, self.wrong = views["seen"], views["wrong"]
        self.earlier_wrong = views["earlier_wrong"]
        self.steps, self.starts, self.turns = views["steps"], views["starts"], views["turns"]
        self.firsts, self.missed = views["firsts"], views["missed"]
        self._views = views

    def take_path(
        self, exits: Sequence[int], groups: Sequence[int], states: Sequence[int], weights: Sequence[float]
    ) -> None:
        """Count one frame's readings: where it began, and every step to the next exit by its weight."""
        cells = self._cells
        steps, turns = cells["steps"], cells["turns"]
        cells["starts"][(exits[0] - 1) * BINS + states[0] % BINS] += 1.0
        cells["firsts"][groups[0]] += 1.0
        for place in range(1, len(exits)):
            state = states[place]
            if exits[place] > exits[place - 1] + 1:
                continue  # exits between were not read, as where another policy decided
            steps[((exits[place - 1] - 1) * STATES + states[place - 1]) * TARGETS + state] += weights[place]
            if state < BINS:
                turns[groups[place - 1] * self._groups + groups[place]] += 1.0

    def take_verdict(self, exit: int, group: int, state: int, wrong: bool, earlier_wrong: bool, weight: float) -> None:
        """Count whether a reading was right.

        Args:
            exit: 1..K-1.
            group: of the reading's label.
            state: after the reading.
            wrong: was it?
            earlier_wrong: was that of the exit before?  Only counted where the two differ.
            weight: of the frame.
        """
        cells = self._cells
        cell = ((exit - 1) * self._groups + group) * STATES + state
        cells["seen"][cell] += weight
        cells["wrong"][cell] += wrong * weight
        if state < BINS:
            cells["earlier_wrong"][(exit - 1) * BINS + state] += earlier_wrong * weight

    def take_error(self, group: int, cost: float) -> None:
        """Count a wrong answer of `group`, and what the mistake would cost."""
        missed = self._cells["missed"]
        missed[group] += 1.0
        missed[self._groups + group] += int(cost * GRAIN + 0.5) / GRAIN

    def forget(self, kept: float) -> None:
        """Let everything weigh only `kept` of what it did."""
        for view in self._views.values():
            np.multiply(view, kept * GRAIN, out=view)
            np.rint(view, out=view)
            view /= GRAIN

    def state(self) -> dict[str, Any]:
        """Every table as gaps between places that are not 0, and what is there."""
        found = {}
        for name, cells in self._cells.items():
            places = [place for place, value in enumerate(cells) if value]
            gaps = [place - before for before, place in zip([0, *places], places, strict=False)]
            found[name] = [gaps, [_short(cells[place]) for place in places]]
        return found

    def restore(self, state: Mapping[str, Any], policy: str) -> None:
        """Take the tables of `state`, or none of them.

        Raises:
            PolicyFileError: not such tables.
        """
        read = {name: _table(state, name, len(cells), policy) for name, cells in self._cells.items()}
        for name, view in self._views.items():
            view.reshape(-1)[:] = read[name]


def _view(cells: array[float], shape: tuple[int, ...]) -> FloatArray:
    view: FloatArray = np.frombuffer(cells, np.float64).reshape(shape) if len(cells) else np.zeros(shape)
    return view


def _short(value: float) -> float:
    return int(value) if value.is_integer() else value


def _table(state: Mapping[str, Any], name: str, size: int, policy: str) -> FloatArray:
    found = state.get(name)
    table = np.zeros(size)
    if not isinstance(found, list) or len(found) != 2 or not isinstance(found[0], list):
        raise PolicyFileError(f"saved state of policy {policy!r}: {name} must be gaps and counts")
    gaps = found[0]
    fits = all(type(gap) is int and gap >= min(place, 1) for place, gap in enumerate(gaps))
    if not fits or (gaps and sum(gaps) >= size):  # a network of one exit has empty tables
        raise PolicyFileError(f"saved state of policy {policy!r}: {name} must have places up to {size - 1}")
    table[np.cumsum(gaps, dtype=np.int64)] = saved.numbers({name: found[1]}, name, len(gaps), policy, least=0.0)
    if (table > MOST).any():
        raise PolicyFileError(f"saved state of policy {policy!r}: {name} holds counts above {MOST:g}")
    return table
