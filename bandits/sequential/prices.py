"""What a frame may do in one context, and what each way costs, with mu as the price of an error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bandits.policy import Context, Observation, Ship


@dataclass(frozen=True)
class Prices:
    """Costs in errors.

    Attributes:
        device: K+1 segments until exit k.
        head: K+1 reading exit k.
        ship: K+1 shipping from depth k, infinite where that is not allowed.
        stops: depths where a frame may stop, ascending.
    """

    device: tuple[float, ...]
    head: tuple[float, ...]
    ship: tuple[float, ...]
    stops: tuple[int, ...]

    @staticmethod
    def of(context: Context, mu: float) -> Prices:
        """Prices of `context`, with `mu` errors for a unit of cost."""
        costs = context.costs
        ship = (mu * costs.ship).tolist()
        allowed = [ship[depth] if context.may_ship(depth) else np.inf for depth in range(costs.exits)]
        return Prices(
            tuple((mu * costs.device).tolist()), tuple((mu * costs.head).tolist()), (*allowed, np.inf), context.splits
        )

    @property
    def exits(self) -> int:
        """K."""
        return len(self.device) - 1

    @property
    def deepest(self) -> int:
        """The last depth where a frame may stop."""
        return self.stops[-1]

    @property
    def last(self) -> int:
        """The last exit before K that can be read."""
        return min(self.deepest, self.exits - 1)

    def step(self, exit: int) -> float:
        """From exit - 1 to a reading of `exit`."""
        return self.device[exit] - self.device[exit - 1] + self.head[exit]

    @cached_property
    def whole(self) -> float:
        """Running the whole network, reading its end only; infinite where it may not be run."""
        return self.device[-1] + self.head[-1] if self.deepest == self.exits else np.inf

    @cached_property
    def known_depth(self) -> int:
        """Where the best policy that needs no learning ends every frame: it ships from there, or has run it whole."""
        return min((0, *self.stops), key=self._known_at)

    @cached_property
    def known(self) -> float:
        """Loss of that policy: it makes no mistakes."""
        return self._known_at(self.known_depth)

    def _known_at(self, depth: int) -> float:
        return self.whole if depth == self.exits else self.device[depth] + self.head[depth] + self.ship[depth]

    @cached_property
    def look(self) -> float:
        """Reading all exits, and the full network's answer on the cheaper way."""
        last = self.last
        return self.device[last] + sum(self.head[: last + 1]) + self.after_look

    @cached_property
    def after_look(self) -> float:
        """The last step of `look`."""
        whole = self.step(self.exits) if self.deepest == self.exits else np.inf
        return min(self.ship[self.last], whole)

    def path(self, observation: Observation) -> float:
        """What a frame that was read has cost beside its errors."""
        readings = observation.readings
        depth = readings[-1].exit
        cost = self.device[depth] + sum([self.head[reading.exit] for reading in readings])
        return cost + self.ship[depth] if isinstance(observation.action, Ship) else cost
