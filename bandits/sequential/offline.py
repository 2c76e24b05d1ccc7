"""The offline fit: the sequential policy's own states, all of a trace known.  Replay only, never in a policy file.

It is the ceiling of what `sequential` can learn in those states, not of what could be known: it sees no more than
a device does, but was fitted to the very frames that it is tried on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bandits import saved
from bandits.path_model import PathModel
from bandits.policy import Action, Context, Observation, Plan
from bandits.sequential.policy import Sequential, make_sequential
from split_core.objective import Objective
from split_core.readings import Reading
from split_core.traces import Traces

NAME = "sequential_offline (fitted in hindsight)"
# Frames are weighed by the path that the last round's moves take; moves hardly change after the second.
ROUNDS = 3


class SequentialOffline:
    """A `Policy` that has seen all frames beforehand, follows what they taught and learns nothing more.

    Args:
        traces: (N, K) readings; the final exit's are the right answers.
        model: costs.
        error_cost: as in `make_sequential`.

    Raises:
        ProfileError: the trace has another number of exits than `model`.
        TraceError: the trace is empty.
    """

    def __init__(self, traces: Traces, model: PathModel, error_cost: float | Sequence[float] = 1.0) -> None:
        context = Context(model.splits, True, np.inf, model.costs(traces))
        moves = None
        for _ in range(ROUNDS):
            self._fitted = _untaught(model.exits, model.objective, error_cost)
            for readings in _readings(traces):
                self._fitted.model.look(readings[:-1], readings[-1], moves)
            self._fitted.model.settle()
            moves = self._fitted.outlook(context).values.moves

    def begin(self, context: Context) -> Plan:
        """Decide where to read first, at the prices of the context."""
        return self._fitted.follow(context)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """Look the move up."""
        return self._fitted.next(plan, readings)

    def learn(self, observation: Observation) -> None:
        """It knows."""

    def state(self) -> dict[str, Any]:
        """What it was fitted to is not in it."""
        return {"policy": NAME}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore.

        Raises:
            PolicyFileError: not its state.
        """
        saved.check_same(state, "policy", NAME, NAME)


def _untaught(exits: int, objective: Objective, error_cost: float | Sequence[float]) -> Sequential:
    """A policy that believes what it counts: all is known, so nothing is left to be careful about."""
    return make_sequential(
        exits=exits,
        rng=np.random.default_rng(0),
        objective=objective,
        error_cost=error_cost,
        caution=0.0,
        hope=0.0,
        doubt=0.0,
    )


def _readings(traces: Traces) -> Iterator[tuple[Reading, ...]]:
    for labels, confidences in zip(traces.prediction.tolist(), traces.confidence.tolist(), strict=True):
        yield tuple(Reading(exit, *one) for exit, one in enumerate(zip(labels, confidences, strict=True), 1))
