"""A network that is loaded on this device, what its steps cost, and what fits into a frame's time."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.frames.budget import TimeBudget
from edge_runtime.frames.costs import CostBook
from edge_runtime.frames.prefix import Prefix
from edge_runtime.frames.raw import Probe


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """What the frames of one camera run through; cameras share all but the budget.

    Attributes:
        prefix: segments and heads.
        costs: measured.
        budget: deadline and margin of this camera, with those costs.
        probe: what the network says of a blank frame.
    """

    prefix: Prefix
    costs: CostBook
    budget: TimeBudget
    probe: Probe
