"""The parameters `index` and `forget` of policies."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.indices import FORGETTING, INDICES
from bandits.policy import Costs, Policy
from bandits.strata import Strata
from bandits.strata_window import WindowedStrata
from split_core.errors import ConfigError, PolicyFileError
from split_core.objective import Objective
from tests.bandits.frames import context, observed, readings_of

EXITS = 4
COSTS = Costs.published(EXITS, per_layer=0.1, offload=0.3)
OF_MEANS = ("ucb1", "kl_ucb", "bayes_ucb", "thompson")  # what the grid can play
PLAYS = [
    *(
        (name, index, forget)
        for name in ("splitee", "splitee_s", "ucbee", "adaee", "i_splitee", "ceebert1", "ceebert2", "a_capeen")
        for index in INDICES
        for forget in FORGETTING
    ),
    *(("grid", index, forget) for index in OF_MEANS for forget in ("none", "discount", "window")),
]
EVERY = pytest.mark.parametrize(
    ("name", "index", "forget"), [play for play in PLAYS if play[1] != "exp3" or play[2] == "none"]
)


def policy(name: str, *, seed: int = 0, **given: Any) -> Policy:
    params = {"threshold": 0.8} if name in ("splitee", "splitee_s") else {}
    return make_policy(
        name, exits=EXITS, rng=np.random.default_rng(seed), objective=Objective(mu=1.0), params={**params, **given}
    )


def frames(count: int, seed: int = 0) -> list[list[float]]:
    """Confidences that grow with depth."""
    rng = np.random.default_rng(seed)
    ease = rng.random((count, 1))
    return np.clip(
        0.4 + 0.5 * ease * np.arange(1, EXITS + 1) / EXITS + rng.normal(0, 0.1, (count, EXITS)), 0, 1
    ).tolist()


def played(subject: Policy, confidences: list[list[float]]) -> list[tuple[int, float]]:
    choices = []
    for values in confidences:
        seen = observed(subject, context(COSTS), readings_of(values))
        choices.append((seen.plan.arm_index, seen.plan.propensity))
        subject.learn(seen)
    return choices


def frozen(subject: Policy) -> str:
    return json.dumps(subject.state(), sort_keys=True, allow_nan=False)


@EVERY
def test_it_learns_and_goes_on_bit_identically_when_restored(name: str, index: str, forget: str) -> None:
    kept, restored = (policy(name, seed=seed, index=index, forget=forget) for seed in (1, 2))
    choices = played(kept, frames(300))
    assert all(0.0 < propensity <= 1.0 for _, propensity in choices)
    restored.restore(json.loads(frozen(kept)))
    assert frozen(restored) == frozen(kept)
    assert played(restored, frames(100, seed=1)) == played(kept, frames(100, seed=1))
    assert frozen(restored) == frozen(kept)


@pytest.mark.parametrize("name", ["splitee", "splitee_s", "ucbee", "grid"])
def test_a_rule_that_draws_tells_with_which_probability(name: str) -> None:
    choices = played(policy(name, index="thompson"), frames(400))
    assert min(propensity for _, propensity in choices) < 1.0


def test_another_index_does_not_take_the_scale_of_ucb1() -> None:
    plain, scaled = policy("ucbee", c=0.1, index="ucb_tuned"), policy("ucbee", c=5.0, index="ucb_tuned")
    assert played(plain, frames(300)) == played(scaled, frames(300))
    own = policy("ucbee", index={"name": "ucb_tuned", "c": 0.01})
    assert played(own, frames(300)) != played(plain, frames(300))


@pytest.mark.parametrize("index", ["ucb_v", "ucb_tuned", "exp3"])
def test_the_grid_refuses_an_index_that_needs_more_than_it_keeps(index: str) -> None:
    with pytest.raises(ConfigError, match=f"index: '{index}' needs more .* give ucb1, kl_ucb, bayes_ucb, thompson$"):
        policy("grid", index=index)


def test_the_grid_refuses_half_a_state_whole() -> None:
    learned, subject = policy("grid", index="thompson", seed=1), policy("grid", index="thompson", seed=2)
    played(learned, frames(100))
    before = frozen(subject)
    for key, value in (("generator", {}), ("strata", {"sums": []}), ("choices", -1)):
        with pytest.raises(PolicyFileError):
            subject.restore({**learned.state(), key: value})
        assert frozen(subject) == before


def test_never_forgetting_is_a_discount_of_one() -> None:
    assert played(policy("grid", forget="none"), frames(500)) == played(policy("grid", discount=1.0), frames(500))


def test_windowed_strata_hold_between_seven_eighths_and_all_of_their_frames() -> None:
    window, every = WindowedStrata(2, [0.5], choices=80), frames(400)
    for number, values in enumerate(every):
        window.observe(readings_of(values[:1]), values[3], ran_to_end=True)
        if number >= 80:
            assert 70 <= window.frames <= 80
            recent = Strata(2, [0.5], discount=1.0)
            for past in every[number + 1 - int(window.frames) : number + 1]:
                recent.observe(readings_of(past[:1]), past[3], ran_to_end=True)
            ours, fresh = window.estimates(), recent.estimates()
            assert ours.value == pytest.approx(fresh.value)
            assert ours.uncertainty == pytest.approx(fresh.uncertainty)


def test_a_window_lets_the_grid_follow_a_cloud_that_got_worse() -> None:
    good, bad = [[0.6, 0.6, 0.6, 0.99]] * 2000, [[0.6, 0.6, 0.6, 0.62]] * 600
    quick, slow = policy("grid", forget={"name": "window", "choices": 400}), policy("grid", forget="none")
    shipped = []
    for subject in (quick, slow):
        ships = [split == 0 or (split < EXITS and alpha > 0.6) for split, alpha in subject.state()["arms"]]
        shipped.append(np.mean([ships[arm] for arm, _ in played(subject, good + bad)[-100:]]))
    assert shipped[0] < 0.2
    assert shipped[1] > 0.8
