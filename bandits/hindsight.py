"""All that can be known of a stream only when it has ended: its best fixed arm, and how far a run fell short.

Pseudo-regret, R_T = sum over t of (m_best - m_{a_t}) with m_k the mean reward of arm k, is the comparator under
which bandits are logarithmic.  In a stream of phases m_k is the mean of the frame's phase, and the best fixed arm is
the one of the whole stream: a policy that adapts may have less than none.  The regret against the best path of each
single frame, which the UCBEE figures show, is linear by construction; it is here too, under its own name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bandits.loss import ErrorCosts, LossTable
from bandits.path_table import PathTable, joined
from bandits.policy import Arm
from bandits.regret import RewardTable, best_paths, default_arms
from bandits.stream import Stream
from split_core.tensors import FloatArray


@dataclass(frozen=True, slots=True)
class Regret:
    """Cumulative regret of one run, (N,) each.

    Attributes:
        best_fixed: against the best fixed arm of the joint grid (pseudo-regret).
        oracle: against the best path of every single frame.
    """

    best_fixed: FloatArray
    oracle: FloatArray


class Hindsight:
    """Rewards and losses of every path over a stream.

    Args:
        stream: frames and phases.
        error_costs: of a wrong answer, as in `bandits.loss.LossTable`.
        arms: to choose the best fixed ones from; those of `bandits.regret.default_arms` unless told.

    Attributes:
        stream: as given.
        rewards, losses: of every path, (N, ...).
        error_costs: (N,) of a wrong answer.
        best: the arm with the highest mean reward, and that reward.
        best_by_loss: the arm with the lowest mean loss, and that loss.
    """

    def __init__(self, stream: Stream, error_costs: ErrorCosts = 1.0, *, arms: Sequence[Arm] | None = None) -> None:
        self.stream = stream
        parts = [(stream.traces.rows(rows), phase) for rows, phase in stream.parts()]
        tables = [LossTable(rows, phase.model, error_costs, cloud=phase.cloud) for rows, phase in parts]
        self.losses = joined([table.paths for table in tables])
        self.error_costs = np.concatenate([table.error_costs for table in tables])
        self.rewards = joined([RewardTable(rows, phase.model, cloud=phase.cloud).paths for rows, phase in parts])
        arms = default_arms(stream.model) if arms is None else arms
        rewards, losses = self.rewards.means(arms), self.losses.means(arms)
        self.best = arms[int(rewards.argmax())], float(rewards.max())
        self.best_by_loss = arms[int(losses.argmin())], float(losses.min())
        self._phases = [rows for rows, _ in stream.parts()]
        self._frames = [phase.frames for phase in stream.phases]
        self._means: dict[Arm, FloatArray] = {}

    def expected(self, arm: Arm) -> FloatArray:
        """(N,) mean reward of `arm` in the phase of every frame."""
        found = self._means.get(arm)
        if found is None:
            earned = self.rewards.of(arm)
            means = [float(earned[rows].mean()) for rows in self._phases]
            found = self._means[arm] = np.repeat(means, self._frames)
        return found

    def regret(self, arms: Sequence[Arm | None], rewards: FloatArray, extra: FloatArray) -> Regret:
        """Regret of a run, frame by frame.

        Args:
            arms: (N,) the arm played; None where the policy has none, which is then charged what it really earned.
            rewards: (N,) what was really earned.
            extra: (N,) reward that reading more exits than the arm's own took away.
        """
        expected, armed = rewards.copy(), np.array([arm is not None for arm in arms])
        numbers = {arm: number for number, arm in enumerate(dict.fromkeys(arms))}
        played = np.array([numbers[arm] for arm in arms])
        for arm, number in numbers.items():
            if arm is not None:
                here = played == number
                expected[here] = self.expected(arm)[here]
        lost = np.where(armed, extra, 0.0)
        best_fixed = np.cumsum(self.expected(self.best[0]) - expected + lost)
        return Regret(best_fixed, np.cumsum(best_paths(self.rewards) - rewards))


def best_arm_per_phase(rewards: PathTable, stream: Stream, arms: Sequence[Arm]) -> list[Arm]:
    """The arm with the highest mean reward in each phase: what perfect adaptation would play."""
    return [arms[int(rewards.rows(rows).means(arms).argmax())] for rows, _ in stream.parts()]
