"""Frames for tests of bandits: contexts, traces made of random numbers, and a frame played by the rules."""

from __future__ import annotations

import math

import numpy as np

from bandits.path_model import PathModel
from bandits.policy import Action, Answer, Context, Costs, Deeper, Observation, Plan, Policy
from split_core.objective import Objective
from split_core.readings import Reading
from split_core.traces import Traces
from tests.bandits.readings import reading


def context(
    costs: Costs, *, splits: tuple[int, ...] | None = None, cloud: bool = True, deadline_left_ms: float = math.inf
) -> Context:
    """A frame that may stop anywhere unless told."""
    return Context(tuple(range(costs.exits + 1)) if splits is None else splits, cloud, deadline_left_ms, costs)


def readings_of(confidences: list[float], label: int = 0) -> list[Reading]:
    """Readings of exits 1..K."""
    return [reading(exit, label, confidence) for exit, confidence in enumerate(confidences, 1)]


def play(policy: Policy, given: Context, every: list[Reading]) -> tuple[Plan, tuple[Reading, ...], Action]:
    """`begin` and `next` to the end, as the runtime asks; `every` is what exits 1..K would say."""
    plan = policy.begin(given)
    readings: tuple[Reading, ...] = ()
    action = policy.next(plan, readings)
    while isinstance(action, Deeper):
        assert len(readings) < len(plan.heads), f"deeper than the last head of {plan}"
        readings = (*readings, every[plan.heads[len(readings)] - 1])
        action = policy.next(plan, readings)
    return plan, readings, action


def observed(policy: Policy, given: Context, every: list[Reading]) -> Observation:
    """A frame played to its end over a link that works."""
    plan, readings, action = play(policy, given, every)
    assert not isinstance(action, Deeper)
    verdict = None if isinstance(action, Answer) else every[-1]
    return Observation(plan, readings, action, verdict, math.nan)


def random_traces(samples: int, exits: int, seed: int = 0, *, payloads: bool = True) -> Traces:
    """Exits that get surer and better with depth; 4 classes; payloads that shrink with depth."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, samples)
    ease = rng.random((samples, 1))
    depth = np.arange(1, exits + 1) / exits
    confidence = np.clip(0.3 + 0.6 * ease * depth**0.5 + rng.normal(0, 0.12, (samples, exits)), 0.0, 1.0)
    right = rng.random((samples, exits)) < confidence
    prediction = np.where(right, labels[:, None], (labels[:, None] + 1) % 4)
    sizes = rng.integers(800, 1200, (samples, exits)) // (1 + np.arange(exits)) if payloads else np.empty((0, 0))
    return Traces(confidence, prediction, labels, payload_bytes=sizes.astype(np.int64))


def path_model(exits: int = 3, **changes: object) -> PathModel:
    """A device of 10 ms per segment and 1 ms per head, a worker of 2 ms per segment, a link of 20 ms and 5 ms/KB."""
    values: dict[str, object] = {
        "device_ms": tuple(10.0 * k for k in range(exits + 1)),
        "head_ms": (0.0, *[1.0] * (exits - 1), 0.0),
        "encode_ms": (3.0, *[1.0] * (exits - 1)),
        "cloud_ms": tuple(2.0 * (exits - k) for k in range(exits)),
        "link_base_ms": 20.0,
        "link_ms_per_kb": 5.0,
        "link_residual_ms": (-1.0, 0.0, 1.0),
        "frame_ms": 0.5,
        "result_ms": 0.25,
        "objective": Objective(ms=1.0, kb=0.5, cloud_ms=0.2, mu=0.01),
    }
    return PathModel(**{**values, **changes})  # type: ignore[arg-type]
