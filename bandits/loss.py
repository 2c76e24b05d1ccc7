"""What an answer costs, mistakes included: loss = mu * cost + E * [the answer is not the full network's].

It needs no labels, so a fleet can be charged it, and it is what "costs less than" means wherever policies are
compared.  Arms are paid rewards (`bandits.rewards`), which a device can compute; loss is for whoever sees the trace.
E is what one mistake costs, by the full network's answer: a missed alarm may cost more than a false one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bandits.path_model import PathModel
from bandits.path_table import PathTable, path_costs, with_fallback
from bandits.policy import Arm
from bandits.regret import default_arms
from split_core.errors import TraceError
from split_core.tensors import FloatArray
from split_core.traces import Traces

ErrorCosts = float | Sequence[float]
Against = Literal["full", "labels"]


class Played(Protocol):
    """What a policy's frames cost, and how right they were: `bandits.runs.Run`.  All (N,)."""

    cost: FloatArray
    correct: NDArray[np.bool_]
    agrees: NDArray[np.bool_]


class LossTable:
    """Loss of every way to an answer, for every frame.

    Args:
        traces: (N, K) readings.
        model: costs.
        error_costs: of a wrong answer; one number, or (C,) by the class that the full network says (that the
            label says, against labels).
        against: what an answer has to be: the full network's, or the label.
        cloud: False prices an outage: an arm that could ship runs to the end instead.

    Attributes:
        paths: the losses, frame by frame.
        error_costs: (N,) what a wrong answer costs on each frame.

    Raises:
        ProfileError: the trace has another number of exits than `model`.
        TraceError: the trace is empty, a class has no error cost, or labels are missing that were asked for.
    """

    def __init__(
        self,
        traces: Traces,
        model: PathModel,
        error_costs: ErrorCosts = 1.0,
        *,
        against: Against = "full",
        cloud: bool = True,
    ) -> None:
        self._mu = model.objective.mu
        costs = path_costs(traces, model).priced(self._mu)
        wanted = traces.labels if against == "labels" else traces.prediction[:, -1]
        self.error_costs, self._against = _per_frame(error_costs, wanted), against
        errors = self.error_costs[:, None] * (traces.prediction != wanted[:, None])
        self.paths = PathTable(
            traces.confidence,
            local=errors + costs.local,
            shipped=with_fallback(errors, costs.in_time) + costs.shipped,
            forced=errors[:, -1] + costs.forced,
            cloud=np.full(traces.samples, cloud),
        )

    def arm_losses(self, arms: Sequence[Arm]) -> FloatArray:
        """(A,) mean loss of always playing each arm, reading only the exit at its split."""
        return self.paths.means(arms)

    def oracle(self) -> FloatArray:
        """(N,) loss of the best path of every single frame, which nobody can know."""
        local: FloatArray = self.paths.local.min(axis=1)
        return np.where(self.paths.cloud, np.minimum(local, self.paths.shipped.min(axis=1)), local)

    def run_losses(self, run: Played) -> FloatArray:
        """(N,) loss of every frame of a run over the rows of this table, in their order."""
        wrong = ~(run.correct if self._against == "labels" else run.agrees)
        return losses(run.cost, wrong, self.error_costs, mu=self._mu)


def losses(cost: FloatArray, wrong: NDArray[np.bool_], error_costs: FloatArray, *, mu: float) -> FloatArray:
    """The formula: (N,) from what frames cost, whether their answers were wrong, and what that costs."""
    return mu * cost + error_costs * wrong


def best_fixed_arm_by_loss(
    traces: Traces,
    model: PathModel,
    error_costs: ErrorCosts = 1.0,
    *,
    arms: Sequence[Arm] | None = None,
    against: Against = "full",
) -> tuple[Arm, float]:
    """The arm with the lowest mean loss in hindsight, and that loss.

    Args:
        traces: (N, K) readings.
        model: costs.
        error_costs: as in `LossTable`.
        arms: to choose from; those of `bandits.regret.default_arms` unless told.
        against: as in `LossTable`.
    """
    arms = default_arms(model) if arms is None else arms
    means = LossTable(traces, model, error_costs, against=against).arm_losses(arms)
    return arms[int(means.argmin())], float(means.min())


def _per_frame(error_costs: ErrorCosts, wanted: NDArray[np.int64]) -> FloatArray:
    if len(wanted) and wanted.min() < 0:
        raise TraceError("loss against labels needs a label for every frame; use the full network's answers instead")
    by_class = np.asarray(error_costs, np.float64)
    if by_class.ndim == 0:
        return np.full(len(wanted), float(by_class))
    if len(wanted) and wanted.max() >= len(by_class):
        raise TraceError(f"error costs are for classes 0..{len(by_class) - 1}, the trace has class {int(wanted.max())}")
    return by_class[wanted]
