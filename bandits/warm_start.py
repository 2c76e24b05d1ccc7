"""Fleet warm start: what other devices learned, as the first observations of one more.

Means over all devices are pooled by how much each has seen, and then made to weigh as little as `weight` observations
do: enough to start near the fleet's best, little enough for the new device's own frames to outweigh it soon.

**How the weight is shared out.**  Devices have played their best arm thousands of times and the others a few dozen
times.  Scaled down alike, the others would weigh nothing and all be tried again; so every arm keeps min(N, m)
observations, with m such that all together weigh `weight`.  To know m of each of the bad ones is what a cold device
has to buy.

**Why so little.**  What makes a start good is that its means are those of thousands of frames, not that it weighs as
much.  A device explores where its own doubt is; the more a prior weighs, the longer an arm that the fleet thought
little of stays untried, in a stationary setting for ever.  A grid that starts from nothing plays its deepest arm in
its first frames, which shows everything: one that starts warm still plays half of them, for a view of its own.

A start is made by the policy itself: states that are not its own are refused, and the result is one that it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bandits.grid import DEEPEST_FIRST
from bandits.policy import Policy
from bandits.sequential.counts import Counts
from bandits.sequential.states import Groups
from split_core.errors import PolicyFileError
from split_core.tensors import FloatArray

State = dict[str, Any]

ARM_KEYS = frozenset({"pulls", "sums", "squares", "choices", "weight"})
STRATA_KEYS = frozenset({"sums", "frames", "weight"})
MODEL_KEYS = frozenset({"frames", "curve", "counts"})
BIN_KEYS = frozenset({"verdicts", "right", "frames"})

WEIGHT = 32.0


def warm_start(make: Callable[[], Policy], states: Sequence[State], *, weight: float = WEIGHT) -> State:
    """A state for a policy that has seen nothing, from those of others that have.

    Args:
        make: a new policy, with nothing learned; called once per state and once more.
        states: of policies that are the same in all that a state must match, at least one.
        weight: how many observations the start may weigh at most: rewards of arms (side observations are
            some, too), frames of a grid or of the sequential policy.

    Returns:
        What `restore` of such a policy takes.

    Raises:
        PolicyFileError: a state belongs to another policy, or the policy keeps nothing that can be pooled.
    """
    for state in states:
        make().restore(state)
    policy = make()
    start = policy.state()
    if "learner" not in start:  # an envelope's own part stays as new: what it promises is this device's to keep
        policy.restore(_pooled(start, states, weight))
    else:
        policy.restore({**start, "learner": _pooled(start["learner"], [one["learner"] for one in states], weight)})
    return policy.state()


def _pooled(start: State, states: Sequence[State], weight: float) -> State:
    for key, pool in POOLS.items():
        if key in start:
            return {**start, **pool(start, states, weight)}
    raise _not_poolable(start)


def waterline(counts: FloatArray, weight: float) -> float:
    """The m at which min(count, m) add up to `weight`; infinity where all counts together are no more."""
    if counts.sum() <= weight:
        return float("inf")
    ascending = np.sort(counts.ravel())
    below = np.concatenate([[0.0], np.cumsum(ascending)[:-1]])
    left = len(ascending) - np.arange(len(ascending))
    filled = (weight - below) / left  # the line, if the first 0, 1, .. are below it
    return float(filled[int(np.argmax(filled <= ascending))])


def _kept(counts: FloatArray, weight: float) -> FloatArray:
    """By how much each count is scaled to come to `weight` in all."""
    line = waterline(counts, weight)
    return np.minimum(1.0, np.divide(line, counts, out=np.ones_like(counts), where=counts > 0.0))


def _total(sections: Sequence[Mapping[str, Any]], key: str) -> FloatArray:
    """Sum over devices of what is kept in units of each one's newest observation."""
    total: FloatArray = np.sum([np.asarray(one[key], np.float64) / one["weight"] for one in sections], axis=0)
    return total


def _arms(start: State, states: Sequence[State], weight: float) -> State:
    """Counts and sums of rewards per arm."""
    fresh, sections = _fresh(start, "bandit", ARM_KEYS), [state["bandit"] for state in states]
    kept = _kept(_total(sections, "pulls"), weight)
    sums = {key: (_total(sections, key) * kept).tolist() for key in ("pulls", "sums", "squares")}
    return {"bandit": {**fresh, **sums, "weight": 1.0}}


def _strata(start: State, states: Sequence[State], weight: float) -> State:
    """A grid's cells: shares and confidences of an exit's bins together, final confidences bin by bin."""
    fresh, sections = _fresh(start, "strata", STRATA_KEYS), [state["strata"] for state in states]
    cells = _total(sections, "sums").reshape(4, start["exits"], -1)
    readings = cells[0].sum(axis=1, keepdims=True)
    cells[:2] *= np.minimum(1.0, weight / np.maximum(readings, 1e-12))
    cells[2:] *= np.stack([_kept(verdicts, weight) for verdicts in cells[2]])
    frames = min(weight, float(_total(sections, "frames")))
    choices = min(int(weight), DEEPEST_FIRST // 2)
    return {"choices": choices, "strata": {**fresh, "sums": cells.ravel().tolist(), "frames": frames, "weight": 1.0}}


def _counts(start: State, states: Sequence[State], weight: float) -> State:
    """The sequential policy's tables, all alike; the curves are those of the device that has seen most."""
    fresh, models = _fresh(start, "model", MODEL_KEYS), [state["model"] for state in states]
    frames = sum(model["frames"] for model in models)
    counts, *others = [_tables(start, model) for model in models]
    for name in fresh["counts"]:
        for other in others:
            getattr(counts, name)[...] += getattr(other, name)
    counts.forget(min(1.0, weight / max(1.0, frames)))
    curve = max(models, key=lambda model: float(model["frames"]))["curve"]
    return {"model": {"frames": min(weight, frames), "curve": curve, "counts": counts.state()}}


def _tables(start: State, model: State) -> Counts:
    found = Counts(start["exits"], Groups(start["groups"]).count)
    found.restore(model["counts"], start["policy"])
    return found


def _verdicts(start: State, states: Sequence[State], weight: float) -> State:
    """Counts of verdicts per bin of confidence, as HI-LCB keeps them."""
    _fresh(start, "rule", BIN_KEYS)
    sums = {key: np.sum([state["rule"][key] for state in states], axis=0) for key in ("verdicts", "right")}
    kept = _kept(sums["verdicts"], weight)
    frames = min(weight, sum(state["rule"]["frames"] for state in states))
    return {"rule": {**{key: (value * kept).tolist() for key, value in sums.items()}, "frames": frames}}


def _fresh(start: State, key: str, known: frozenset[str]) -> State:
    """Section `key` of a policy that has learned nothing; what keeps more than `known` forgets by order or draws."""
    section: State = start[key]
    if not known <= section.keys() or section.keys() - known - {"kind", "generator"}:
        raise _not_poolable(start)
    return section


def _not_poolable(start: State) -> PolicyFileError:
    return PolicyFileError(
        f"policy {start.get('policy')!r} keeps nothing that devices can pool; warm starts are for bandits over arms "
        f"that forget nothing or by discount, for grid, sequential and hi_lcb"
    )


POOLS: dict[str, Callable[[State, Sequence[State], float], State]] = {
    "strata": _strata,
    "bandit": _arms,
    "model": _counts,
    "rule": _verdicts,
}
