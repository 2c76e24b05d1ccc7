"""What the authors of SplitEE-S and I-SplitEE let their bandits know: the final exit's reading of every frame.

A device has it only for frames that it shipped, so this is for replay, to compare with (`offramp replay` calls it
splitee_s_leaky): it is in no registry, and no policy file can name it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bandits.policy import Action, Context, Observation, Plan, Policy
from split_core.readings import Reading
from split_core.traces import Traces


class Leaky:
    """A `Policy` that learns from every frame as if it had been answered by the last exit too.

    Args:
        policy: decides, and learns; one that pays arms by `bandits.rewards.SplitEESReward`.
        traces: the frames that will be played, in their order; each must be learned from once, in turn.
    """

    def __init__(self, policy: Policy, traces: Traces) -> None:
        self._policy, self._frame = policy, 0
        last = zip(traces.prediction[:, -1].tolist(), traces.confidence[:, -1].tolist(), strict=True)
        self._final: Sequence[Reading] = [Reading(traces.exits, label, confidence) for label, confidence in last]

    def begin(self, context: Context) -> Plan:
        """As the policy does."""
        return self._policy.begin(context)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """As the policy does: what is known too early is learned from, not acted on."""
        return self._policy.next(plan, readings)

    def learn(self, observation: Observation) -> None:
        """Tell the final reading, unless the reply was lost."""
        final, self._frame = self._final[self._frame], self._frame + 1
        self._policy.learn(observation if observation.lost else replace(observation, verdict=final))

    def state(self) -> dict[str, Any]:
        """The policy's."""
        return self._policy.state()

    def restore(self, state: dict[str, Any]) -> None:
        """As the policy does; the frames go on where they were.

        Raises:
            PolicyFileError: the state belongs to another policy.
        """
        self._policy.restore(state)
