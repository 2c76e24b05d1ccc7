"""A policy over a trace: what it would have answered, shipped, paid and learned.

Every frame goes through `begin`, `next` and `learn` as in the runtime, with times from a `PathModel`, so that all
policies meet the same frames, the same link and the same deadline.  It is charged what a frame really costs and
told what a device would know (`bandits.known_costs`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bandits.hindsight import Hindsight
from bandits.known_costs import KnownCosts
from bandits.link_estimate import LinkModel
from bandits.path_model import PathModel
from bandits.policy import Action, Answer, Context, Deeper, Observation, Plan, Policy, Ship
from bandits.runs import FrameResult, Run, run_of
from bandits.stream import Phase, in_order
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
    return replay_stream(policy, Hindsight(in_order(traces, model)), rng, name=name).run


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run, and what the policy itself took of it.

    Attributes:
        run: the frames.
        policy_s: seconds within the policy's own `begin`, `next` and `learn`, all frames together.
    """

    run: Run
    policy_s: float


def replay_stream(
    policy: Policy,
    hindsight: Hindsight,
    rng: np.random.Generator,
    *,
    name: str = "policy",
    clock: Callable[[], float] = time.perf_counter,
) -> Replayed:
    """Play `policy` over a stream whose conditions may change; see `replay`.

    Args:
        policy: learns on the way.
        hindsight: of the stream; one serves every policy over it.
        rng: draws the link's residual of every frame.
        name: of the run.
        clock: seconds, for the policy's own time.
    """
    stream, timed = hindsight.stream, _Timed(policy, clock)
    link = _link_at(stream.model) if stream.link_changes else None
    results: list[FrameResult] = []
    for rows, phase in stream.parts():
        player = _Player(stream.traces.rows(rows), phase, link, rng)
        results += [player.play(timed, sample) for sample in range(phase.frames)]
    return Replayed(run_of(name, results, hindsight, live=False), timed.seconds)


def _link_at(model: PathModel) -> LinkModel:
    """A link that was known well when the stream began."""
    return LinkModel(model.link_base_ms + model.mean_residual_ms, model.link_ms_per_kb, weight=50.0)


class _Timed:
    """A policy, and how long its three calls take."""

    def __init__(self, policy: Policy, clock: Callable[[], float]) -> None:
        self._policy, self._clock, self.seconds = policy, clock, 0.0

    def begin(self, context: Context) -> Plan:
        started_s = self._clock()
        plan = self._policy.begin(context)
        self.seconds += self._clock() - started_s
        return plan

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        started_s = self._clock()
        action = self._policy.next(plan, readings)
        self.seconds += self._clock() - started_s
        return action

    def learn(self, observation: Observation) -> None:
        started_s = self._clock()
        self._policy.learn(observation)
        self.seconds += self._clock() - started_s


class _Player:
    """Frames of one phase, priced; `play` takes one of them through a policy."""

    def __init__(self, traces: Traces, phase: Phase, link: LinkModel | None, rng: np.random.Generator) -> None:
        model = self._model = phase.model
        cut_ms, sizes = model.cuts(traces)
        self._cut_ms, self._sizes = cut_ms.tolist(), sizes.tolist()
        self._confidence, self._prediction = traces.confidence.tolist(), traces.prediction.tolist()
        self._residual_ms = rng.choice(model.link_residual_ms, traces.samples).tolist()
        self._deadline_ms = math.inf if model.deadline_ms is None else model.deadline_ms
        self._known, self._cloud = KnownCosts(model, cut_ms.mean(axis=0), sizes.mean(axis=0), link), phase.cloud
        self._context = self._described()

    def _described(self) -> Context:
        return Context(self._model.splits, self._cloud, self._deadline_ms, self._known.costs)

    def play(self, policy: _Timed, sample: int) -> FrameResult:
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
        if not plan.context.may_ship(depth) or action.cut != plan.context.costs.payload[depth]:
            raise ValueError(f"the policy ships cut {action.cut} from depth {depth}, which the context does not offer")
        ready_ms = self._ready_ms(plan, depth)
        latency_ms = ready_ms + self._cut_ms[sample][action.cut] + self._residual_ms[sample]
        late = latency_ms > self._deadline_ms
        answer = self._reading(sample, self._model.exits)
        if late:
            latency_ms = max(self._deadline_ms, ready_ms)
            answer = max(readings or (self._reading(sample, 1),), key=lambda reading: reading.confidence)
        payload_bytes = self._sizes[sample][action.cut]
        self._met(sample, payload_bytes)
        cost = self._model.objective.cost(
            latency_ms, payload_bytes=payload_bytes, cloud_ms=self._model.cloud_ms[action.cut]
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

    def _met(self, sample: int, payload_bytes: float) -> None:
        """The device has seen its link."""
        model = self._model
        link_ms = model.link_base_ms + model.link_ms_per_kb * payload_bytes / 1000.0 + self._residual_ms[sample]
        if self._known.offloaded(payload_bytes, link_ms):
            self._context = self._described()
