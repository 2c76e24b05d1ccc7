"""The per-sample oracle: the best path of every single frame.  Replay only: it knows what nobody can know.

It is no policy of the registry, because no device could run it; a run of it must be labelled as what it is.  Its loss
is a floor that no rule on confidences reaches, and regret against it is linear by construction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bandits import saved
from bandits.arms import next_action
from bandits.path_table import PathTable
from bandits.policy import Action, Context, Observation, Plan, Ship
from split_core.readings import Reading

NAME = "per-sample oracle (not achievable)"


class SampleOracle:
    """A `Policy` that is told the losses of all paths of the frames that it will meet, in their order.

    Args:
        losses: of the frames; `bandits.loss.LossTable(...).paths`.
    """

    def __init__(self, losses: PathTable) -> None:
        self._losses, self._frame = losses, 0

    def begin(self, context: Context) -> Plan:
        """Look up the best path that the context allows."""
        frame, self._frame = self._frame, self._frame + 1
        local = [split for split in context.splits if split > 0]
        paths = [(float(self._losses.local[frame, split - 1]), split, False) for split in local]
        depths = [depth for depth in context.splits if context.may_ship(depth)]
        paths += [(float(self._losses.shipped[frame, depth]), depth, True) for depth in depths]
        _, depth, ships = min(paths, default=(np.inf, 1, False))
        return Plan(context, (depth,) if depth else (), arm_index=int(ships), learns=False)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """Follow the path."""
        if plan.arm_index and len(readings) == len(plan.heads):
            return Ship(plan.context.costs.payload[readings[-1].exit if readings else 0])
        return next_action(plan, readings)

    def learn(self, observation: Observation) -> None:
        """It knows."""

    def state(self) -> dict[str, Any]:
        """How many frames it has met."""
        return {"policy": NAME, "exits": self._losses.exits, "frame": self._frame}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`.

        Raises:
            PolicyFileError: not its state.
        """
        saved.check_same(state, "policy", NAME, NAME)
        saved.check_same(state, "exits", self._losses.exits, NAME)
        self._frame = int(saved.number(state, "frame", NAME, least=0.0))
