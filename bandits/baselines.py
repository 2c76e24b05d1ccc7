"""What every learned policy is printed beside: a fixed arm, a random one, device only, cloud only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bandits import params, saved
from bandits.arms import ArmPolicy, ArmTable, joint_arms
from bandits.grid import THRESHOLDS
from bandits.policy import Arm, Policy
from bandits.rewards import no_rewards
from split_core.objective import Objective


class FirstAllowed:
    """Always the first arm that is allowed; learns nothing."""

    def choose(self, allowed: Sequence[int]) -> int:
        """The first of `allowed`."""
        return allowed[0]

    def propensity(self, arm: int, allowed: Sequence[int]) -> float:
        """1: there is no chance in it."""
        return 1.0

    def update(self, arm: int, reward: float) -> None:
        """Nothing to learn."""

    def state(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


class Uniform:
    """Any allowed arm with the same probability; learns nothing.

    Args:
        rng: draws; its state is saved, so that a restored policy draws on where it was.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def choose(self, allowed: Sequence[int]) -> int:
        """One of `allowed`."""
        return allowed[int(self._rng.integers(len(allowed)))]

    def propensity(self, arm: int, allowed: Sequence[int]) -> float:
        """One over the number of allowed arms."""
        return 1.0 / len(allowed)

    def update(self, arm: int, reward: float) -> None:
        """Nothing to learn."""

    def state(self) -> dict[str, Any]:
        """State of the generator."""
        return {"generator": dict(self._rng.bit_generator.state)}

    def restore(self, state: dict[str, Any]) -> None:
        """Draw on from `state`.

        Raises:
            PolicyFileError: not the state of this kind of generator.
        """
        saved.restore_generator(self._rng, state, "random")


def make_fixed(
    *, exits: int, rng: np.random.Generator, objective: Objective, split: int = 1, threshold: float = 0.85
) -> Policy:
    """One arm for ever.

    Args:
        exits: K.
        rng: not used.
        objective: not used.
        split: 0 ships every input, K answers everything on the device.
        threshold: confidence from which the device answers.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    where = params.whole("split", split, 0, exits)
    return _constant("fixed", Arm(where, params.number("threshold", threshold, 0.0, 1.0)), exits)


def make_random(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    splits: Sequence[int] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Policy:
    """An arm of the joint grid, drawn anew for every frame.

    Args:
        exits: K.
        rng: draws the arms.
        objective: not used.
        splits: the grid's splits, all of 0..K unless told.
        thresholds: the grid's thresholds.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    where = params.splits("splits", range(exits + 1) if splits is None else splits, exits)
    arms = joint_arms(exits, where, params.thresholds("thresholds", thresholds))
    return ArmPolicy(ArmTable("random", arms, exits=exits), Uniform(rng), no_rewards, heads="played")


def make_edge_only(*, exits: int, rng: np.random.Generator, objective: Objective) -> Policy:
    """The whole network on the device, always."""
    return _constant("edge_only", Arm(exits, 0.0), exits)


def make_cloud_only(*, exits: int, rng: np.random.Generator, objective: Objective) -> Policy:
    """Ship every compressed input."""
    return _constant("cloud_only", Arm(0, 1.0), exits)


def make_offload_all(*, exits: int, rng: np.random.Generator, objective: Objective) -> Policy:
    """Run one segment, then always ship: under SplitEE's constant costs nothing learned beats it where o is small."""
    return _constant("offload_all", Arm(1, 1.0), exits)


def _constant(name: str, arm: Arm, exits: int) -> Policy:
    return ArmPolicy(ArmTable(name, [arm], exits=exits), FirstAllowed(), no_rewards, heads="played")
