"""Synthetic networks for the sequential policy, and a quick way to play a policy through them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bandits.path_model import PathModel
from bandits.policy import Answer, Context, Costs, Deeper, Observation, Policy
from bandits.sequential.policy import Sequential, make_sequential
from split_core.objective import Objective
from split_core.readings import Reading
from split_core.traces import Traces
from tests.bandits.readings import reading

Row = tuple[Reading, ...]


def network(
    skill: Sequence[float], *, classes: int = 10, sharpness: float = 3.0, memory: float = 0.8, frames: int = 5000
) -> Traces:
    """Exits that see the true class through noise that they share.

    Args:
        skill: of every exit, how far the true class stands out.
        classes: C.
        sharpness: of the softmax; high makes all exits surer than they should be.
        memory: correlation of one exit's noise with the next one's.
        frames: N.
    """
    rng = np.random.default_rng(1)
    labels, ease = rng.integers(0, classes, frames), np.exp(rng.normal(0.0, 0.6, frames))
    noise = rng.normal(size=(frames, classes))
    confidence, prediction = np.empty((frames, len(skill))), np.empty((frames, len(skill)), np.int64)
    for exit, each in enumerate(skill):
        if exit:
            noise = memory * noise + math.sqrt(1.0 - memory**2) * rng.normal(size=noise.shape)
        logits = noise.copy()
        logits[np.arange(frames), labels] += each * ease
        powers = np.exp(sharpness * (logits - logits.max(axis=1, keepdims=True)))
        confidence[:, exit] = powers.max(axis=1) / powers.sum(axis=1)
        prediction[:, exit] = logits.argmax(axis=1)
    return Traces(confidence, prediction, labels)


def model_of(exits: int, *, whole: float, offload: float, head: float = 0.0) -> PathModel:
    """`whole` errors to run the network, `offload` times that to ship from anywhere."""
    return PathModel.published(exits, per_layer=whole / exits, offload=whole * offload, head=head, ship="any")


def context_of(traces: Traces, model: PathModel) -> Context:
    return Context(model.splits, True, math.inf, model.costs(traces))


def rows_of(traces: Traces) -> list[Row]:
    return [
        tuple(reading(exit, *one) for exit, one in enumerate(zip(labels, confidences, strict=True), 1))
        for labels, confidences in zip(traces.prediction.tolist(), traces.confidence.tolist(), strict=True)
    ]


def fresh(exits: int, **parameters: object) -> Sequential:
    """A policy for which one unit of cost is worth one error."""
    return make_sequential(  # type: ignore[arg-type]
        exits=exits, rng=np.random.default_rng(0), objective=Objective(mu=1.0), **parameters
    )


def frame(policy: Policy, context: Context, row: Row) -> Observation:
    """One frame through `policy`, over a link that works; it learns nothing yet."""
    plan, readings = policy.begin(context), ()
    action = policy.next(plan, readings)
    while isinstance(action, Deeper):
        readings = (*readings, row[plan.heads[len(readings)] - 1])
        action = policy.next(plan, readings)
    return Observation(plan, readings, action, None if isinstance(action, Answer) else row[-1], math.nan)


def loss_of(seen: Observation, costs: Costs, row: Row) -> float:
    """What a frame lost: costs, and one for an answer that is not the full network's."""
    depth = seen.readings[-1].exit if seen.readings else 0
    cost = float(costs.device[depth]) + sum(float(costs.head[one.exit]) for one in seen.readings)
    if isinstance(seen.action, Answer):
        return cost + (row[seen.action.exit - 1].label != row[-1].label)
    return cost + float(costs.ship[depth])


def losses(policy: Policy, context: Context, rows: Sequence[Row], order: Sequence[int]) -> np.ndarray:
    """Loss of every frame of `rows` in `order`, learning on the way."""
    lost = np.empty(len(order))
    for place, number in enumerate(order):
        seen = frame(policy, context, rows[number])
        policy.learn(seen)
        lost[place] = loss_of(seen, context.costs, rows[number])
    return lost


def shuffles(samples: int, frames: int, seed: int) -> list[int]:
    """All samples in random order, again and again."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(samples) for _ in range(-(-frames // samples))])[:frames].tolist()
