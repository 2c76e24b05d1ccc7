"""A policy over a trace: what it would have answered, shipped, paid and learned.

Every frame goes through `begin`, `next` and `learn` as in the runtime, with times from a `PathModel`, so that all
policies meet the same frames, the same link and the same deadline.
"""

from __future__ import annotations

import math

import numpy as np

from bandits.path_model import PathModel
from bandits.policy import Answer, Context, Deeper, Observation, Plan, Policy, Ship
from bandits.runs import FrameResult, Run, run_of
from split_core.readings import Reading
from split_core.traces import Traces


def replay(policy: Policy, traces: Traces, model: PathModel, rng: np.random.Generator, *, name: str = "policy") -> Run:
    """Play `policy` over `traces` in their order.

    A shipped frame whose reply would come after the deadline is answered then by the surest reading on the
    device (exit 1 is evaluated when there is none), and the policy learns nothing from it.

    Args:
        policy: learns on the way.
        traces: (N, K) readings; without payload bytes shipping costs none.
        model: costs, of as many exits.
        rng: draws the link's residual of every frame.
        name: of the run.

    Raises:
        ProfileError: the trace has another number of exits than `model`.
        ValueError: the policy broke the protocol of `bandits.policy`.
    """
    player = _Player(traces, model, rng)
    results = [player.play(policy, sample) for sample in range(traces.samples)]
    return run_of(name, results, traces, model, live=False)


class _Player:
    """Frames of one trace, priced; `play` takes one of them through a policy."""

    def __init__(self, traces: Traces, model: PathModel, rng: np.random.Generator) -> None:
        self._model, self._paths = model, model.paths(traces)
        self._confidence, self._prediction = traces.confidence.tolist(), traces.prediction.tolist()
        self._residual_ms = rng.choice(model.link_residual_ms, traces.samples).tolist()
        deadline_ms = math.inf if model.deadline_ms is None else model.deadline_ms
        self._context = Context(model.splits, True, deadline_ms, model.costs(traces))
        self._deadline_ms = deadline_ms

    def play(self, policy: Policy, sample: int) -> FrameResult:
        plan = policy.begin(self._context)
        readings: tuple[Reading, ...] = ()
        action = policy.next(plan, readings)
        while isinstance(action, Deeper):
            if len(readings) == len(plan.heads):
                raise ValueError(f"the policy goes deeper than the last exit of its plan, {plan.heads}")
            readings = (*readings, self._reading(sample, plan.heads[len(readings)]))
            action = policy.next(plan, readings)
        if isinstance(action, Answer):
            result = self._answered(plan, readings, self._computed(readings, action.exit))
            verdict = None
        else:
            result = self._shipped(plan, readings, action, sample)
            verdict = None if result.degraded else self._reading(sample, self._model.exits)
        policy.learn(Observation(plan, readings, action, verdict, result.cost))
        return result

    def _reading(self, sample: int, exit: int) -> Reading:
        return Reading(exit, self._prediction[sample][exit - 1], self._confidence[sample][exit - 1])

    def _computed(self, readings: tuple[Reading, ...], exit: int) -> Reading:
        for reading in readings:
            if reading.exit == exit:
                return reading
        raise ValueError(f"the policy answers at exit {exit}, which was not read")

    def _ready_ms(self, plan: Plan, depth: int) -> float:
        """From capture until segments 1..depth and the heads on the way are done."""
        heads = sum(self._model.head_ms[head] for head in plan.heads if head <= depth)
        return self._model.frame_ms + self._model.device_ms[depth] + heads

    def _answered(self, plan: Plan, readings: tuple[Reading, ...], answer: Reading) -> FrameResult:
        latency_ms = self._ready_ms(plan, readings[-1].exit)
        cost = self._model.objective.cost(latency_ms)
        return FrameResult(
            answer.exit,
            "edge",
            -1,
            answer.label,
            answer.confidence,
            latency_ms,
            0.0,
            cost,
            False,
            plan.arm,
            plan.arm_index,
            tuple(reading.exit for reading in readings),
        )

    def _shipped(self, plan: Plan, readings: tuple[Reading, ...], action: Ship, sample: int) -> FrameResult:
        depth = readings[-1].exit if readings else 0
        offered = depth < self._model.exits and self._paths.allowed[depth]
        if not offered or action.cut != self._paths.payload[depth]:
            raise ValueError(f"the policy ships cut {action.cut} from depth {depth}, which the context does not offer")
        ready_ms = self._ready_ms(plan, depth)
        latency_ms = ready_ms + float(self._paths.ship_ms[sample, depth]) + self._residual_ms[sample]
        late = latency_ms > self._deadline_ms
        answer = self._reading(sample, self._model.exits)
        if late:
            latency_ms = max(self._deadline_ms, ready_ms)
            answer = max(readings or (self._reading(sample, 1),), key=lambda reading: reading.confidence)
        payload_bytes = float(self._paths.payload_bytes[sample, depth])
        cost = self._model.objective.cost(
            latency_ms, payload_bytes=payload_bytes, cloud_ms=float(self._paths.cloud_ms[depth])
        )
        return FrameResult(
            answer.exit,
            "edge" if late else "cloud",
            action.cut,
            answer.label,
            answer.confidence,
            latency_ms,
            payload_bytes,
            cost,
            late,
            plan.arm,
            plan.arm_index,
            tuple(reading.exit for reading in readings),
        )
