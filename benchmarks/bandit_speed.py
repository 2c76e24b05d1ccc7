"""What a bandit adds to a frame: python -m benchmarks.bandit_speed [--quick] [--json FILE]

1. every index, one `choose` and one `update`, at 12, 60 and 400 arms, in turn with the like of river and MABWiser
   (pip install 'offramp[bench]'; what is not installed is named); UCB1 in numpy, and with every way to forget;
2. the joint grid, one `begin` and one `learn`, at about as many arms: all its estimates and prices anew;
3. a whole frame through a cascade of six exits, alone and within a guard with classes and conformal sets;
4. a whole frame through the sequential policy at six exits, all that it learns and solves anew included.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np

from bandits.build import make_policy
from bandits.guard import Guard, Limits
from bandits.indices import FORGETTING, INDICES
from bandits.indices.build import make_bandit
from bandits.policy import Answer, Context, Costs, Deeper, Observation, Ship
from benchmarks.bandit_peers import Step, beside, installed
from benchmarks.harness import Goal, arguments, at_most, paired, report, statistics
from split_core.chance import probability
from split_core.conformal import ConformalSets
from split_core.objective import Objective
from split_core.readings import Reading

ARMS = (12, 60, 400)
# Exits and thresholds whose joint grid has about as many arms.
GRIDS = {12: (3, 5), 60: (6, 12), 400: (12, 36)}
GOAL_US = {12: 10.0, 60: 25.0}
SURE = (0.4, 0.6, 0.8, 0.95, 0.97, 0.99)  # confidences of six exits; the cascade asks for 0.9
# Calls per measurement: a peer may take a millisecond.
INNER = 20


class NumpyUcb:
    """The same rule on arrays, to see which is faster; no discount, no subset of arms."""

    def __init__(self, arms: int, c: float) -> None:
        self._c, self._choices = c, 0
        self._pulls, self._mean, self._index = np.ones(arms), np.zeros(arms), np.empty(arms)

    def step(self, reward: float) -> None:
        self._choices += 1
        np.divide(math.log(self._choices), self._pulls, out=self._index)
        np.sqrt(self._index, out=self._index)
        self._index *= self._c
        self._index += self._mean
        arm = int(self._index.argmax())
        self._pulls[arm] += 1.0
        self._mean[arm] += (reward - self._mean[arm]) / self._pulls[arm]


def microseconds(step: Step, rounds: int) -> dict[str, Any]:
    """Time `rounds` single steps, after a tenth as many to warm up."""
    for _ in range(rounds // 10):
        step()
    samples = []
    for _ in range(rounds):
        started_ns = time.perf_counter_ns()
        step()
        samples.append((time.perf_counter_ns() - started_ns) / 1000.0)
    return {**statistics(samples, "us"), "mean": float(np.mean(samples))}


def rewards_of(seed: int) -> Callable[[], float]:
    """Random rewards, drawn beforehand so that drawing is not timed."""
    drawn = cycle(np.random.default_rng(seed).random(100_000).tolist())
    return lambda: next(drawn)


def index_step(index: str, arms: int, forget: str = "none") -> Step:
    """One choice and its reward; every arm has been played before."""
    bandit = make_bandit(index, arms, rng=np.random.default_rng(0), forget=forget)
    reward, allowed = rewards_of(arms), tuple(range(arms))

    def step() -> None:
        bandit.update(bandit.choose(allowed), reward())

    for _ in allowed:
        step()
    return step


def propensity_step(arms: int, *, logged: bool) -> Step:
    """One draw and the probability of what it gave: an integral, which whoever logs works out."""
    bandit, reward, allowed = make_bandit("thompson", arms, rng=np.random.default_rng(0)), rewards_of(arms), range(arms)
    for _ in range(5 * arms):
        bandit.update(bandit.choose(allowed), reward())
    if logged:
        return lambda: probability(bandit.propensity(bandit.choose(allowed), allowed))
    return lambda: bandit.propensity(bandit.choose(allowed), allowed)


def numpy_step(arms: int) -> Step:
    bandit, reward = NumpyUcb(arms, c=0.1), rewards_of(arms)
    return lambda: bandit.step(reward())


def grid_step(arms: int) -> tuple[int, Step]:
    """How many arms there are in fact, and a step: the frame's readings are taken as given."""
    exits, count = GRIDS[arms]
    policy = make_policy(
        "grid",
        exits=exits,
        rng=np.random.default_rng(0),
        objective=Objective(mu=0.1),
        params={"thresholds": np.linspace(0.0, 1.0, count).tolist()},
    )
    costs = Costs.published(exits, per_layer=0.1, offload=0.3)
    context, confidence = Context(tuple(range(exits + 1)), True, 100.0, costs), rewards_of(arms)

    def step() -> None:
        plan = policy.begin(context)
        readings = tuple(Reading(head, 0, confidence()) for head in plan.heads)
        action = policy.next(plan, readings)
        verdict = Reading(exits, 0, confidence()) if isinstance(action, Ship) else None
        policy.learn(Observation(plan, readings, action, verdict, 0.0))  # type: ignore[arg-type]  # all heads read

    return len(policy.state()["arms"]), step


def guarded_step(limits: Limits) -> Step:
    """A frame of ten classes that no exit is sure of before the fourth."""
    bare = make_policy("cascade", exits=6, rng=np.random.default_rng(0), objective=Objective(mu=0.1))
    policy = Guard(bare, limits, exits=6) if limits else bare
    context = Context(tuple(range(7)), True, 100.0, Costs.published(6, per_layer=0.1, offload=0.3))
    every = [Reading(k, 0, top, np.array([top, *[(1.0 - top) / 9.0] * 9])) for k, top in enumerate(SURE, 1)]

    def step() -> None:
        plan, readings = policy.begin(context), 0
        while isinstance(policy.next(plan, tuple(every[:readings])), Deeper):
            readings += 1
        policy.learn(Observation(plan, tuple(every[:readings]), Answer(readings), None, 0.0))

    return step


def sequential_step() -> Step:
    """Frames of two classes and six exits that get surer; what exits say is drawn beforehand."""
    policy = make_policy("sequential", exits=6, rng=np.random.default_rng(0), objective=Objective(mu=1.0))
    context = Context(tuple(range(7)), True, 100.0, Costs.published(6, per_layer=0.05, offload=0.4))
    rng, frames = np.random.default_rng(1), []
    for ease in rng.random(2_000):
        sure = 1.0 - 0.5 * ease ** np.arange(1.0, 7.0)
        said = (rng.random(6) > sure).astype(int)
        frames.append([Reading(k, int(said[k - 1]), float(sure[k - 1])) for k in range(1, 7)])
    upcoming = cycle(frames)

    def step() -> None:
        row, plan, readings = next(upcoming), policy.begin(context), ()
        while isinstance(action := policy.next(plan, readings), Deeper):
            readings = (*readings, row[plan.heads[len(readings)] - 1])
        verdict = row[5] if isinstance(action, Ship) else None
        policy.learn(Observation(plan, readings, action, verdict, 0.0))

    return step


def family(arms: int, rounds: int) -> dict[str, Any]:
    """Every index, each beside its peers; UCB1 with every way to forget."""
    found: dict[str, Any] = {}
    for index in INDICES:
        for name, make in beside(index).items():
            theirs = make(arms, rewards_of(arms))
            for _ in range(2 * arms):
                theirs()
            found[f"{index} beside {name}"] = paired(index_step(index, arms), theirs, max(10, rounds // 300), INNER)
        found[index] = microseconds(index_step(index, arms), rounds)
    for forget in FORGETTING:
        found[f"ucb1, forget {forget}"] = microseconds(index_step("ucb1", arms, forget), rounds)
    for what, logged in (("logged", True), ("left for later", False)):
        name = f"thompson, choose + propensity, {what}"
        found[name] = microseconds(propensity_step(arms, logged=logged), rounds // 10)
    found["ucb1 in numpy"] = microseconds(numpy_step(arms), rounds)
    return found


def family_goals(arms: int, found: dict[str, Any]) -> list[Goal]:
    if arms not in GOAL_US:
        return []
    return [
        at_most(
            f"{index}: choose + update, {arms} arms", found[index]["median"], "us", GOAL_US[arms], "no more than that"
        )
        for index in INDICES
    ]


def main() -> None:
    options = arguments(__doc__)
    rounds = 3_000 if options.quick else 15_000
    figures: dict[str, Any] = {"peers": {name: found or "not installed" for name, found in installed().items()}}
    goals = []
    for arms in ARMS:
        found = family(arms, rounds)
        count, step = grid_step(arms)
        grid = microseconds(step, rounds)
        figures[f"{arms} arms"] = {**found, f"grid begin + next + learn, {count} arms": grid}
        goals += family_goals(arms, found)
        if arms in GOAL_US:
            name = f"grid: begin + next + learn, {count} arms"
            goals.append(at_most(name, grid["median"], "us", GOAL_US[arms], "no more than that"))
    limits = Limits(never_early=frozenset({1}), sets=ConformalSets([[0.9]] * 6))
    for name, kept in (("alone", Limits()), ("within a guard", limits)):
        figures[f"cascade {name}, four exits read"] = microseconds(guarded_step(kept), rounds)
    sequential = microseconds(sequential_step(), rounds)
    figures["sequential, begin + next + learn, 6 exits"] = sequential
    goals.append(at_most("sequential: mean of a frame, 6 exits", sequential["mean"], "us", 20.0, "no more than that"))
    report("bandit_speed", figures, goals, options)


if __name__ == "__main__":
    main()
