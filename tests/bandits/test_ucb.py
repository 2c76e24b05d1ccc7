from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.indices.forgetting import RESCALE_ABOVE
from bandits.ucb import Ucb
from split_core.errors import PolicyFileError


def played(bandit: Ucb, allowed: list[int], reward: float) -> int:
    arm = bandit.choose(allowed)
    bandit.update(arm, reward)
    return arm


def test_every_arm_is_played_once_first_in_order() -> None:
    bandit = Ucb(4, c=1.0)
    assert [played(bandit, [0, 1, 2, 3], reward) for reward in (0.1, 9.0, 0.3, 0.4)] == [0, 1, 2, 3]


def test_the_index_is_the_mean_plus_the_width_worked_by_hand() -> None:
    bandit = Ucb(2, c=1.0)
    played(bandit, [0, 1], 0.5)
    played(bandit, [0, 1], 0.25)
    # sqrt(ln 2 / 1) = .832555
    assert bandit.indices() == pytest.approx([1.332555, 1.082555], abs=1e-6)
    assert played(bandit, [0, 1], 0.5) == 0
    # .5 + sqrt(ln 3 / 2) = 1.241152 and .25 + sqrt(ln 3) = 1.298147
    assert bandit.indices() == pytest.approx([1.241152, 1.298147], abs=1e-6)
    assert bandit.choose([0, 1]) == 1


def test_c_scales_the_width_and_nothing_else() -> None:
    bandit = Ucb(2, c=0.1)
    played(bandit, [0, 1], 0.5)
    played(bandit, [0, 1], 0.25)
    assert bandit.indices() == pytest.approx([0.5832555, 0.3332555], abs=1e-6)
    assert bandit.means() == [0.5, 0.25]
    assert bandit.pulls() == [1.0, 1.0]


def test_an_arm_that_was_never_observed_has_an_infinite_index() -> None:
    bandit = Ucb(2, c=1.0)
    played(bandit, [1], 0.5)
    assert bandit.indices()[0] == math.inf
    assert bandit.means()[0] == 0.0


def test_ties_go_to_the_lowest_index() -> None:
    bandit = Ucb(3, c=0.0)
    for arm in (2, 1, 0):
        bandit.update(arm, 0.7)
    assert bandit.choose([0, 1, 2]) == 0
    assert bandit.choose([1, 2]) == 1


def test_only_allowed_arms_are_played() -> None:
    bandit = Ucb(3, c=0.0)
    for arm, reward in enumerate((0.1, 0.2, 0.9)):
        bandit.update(arm, reward)
    assert bandit.choose([0, 1]) == 1


def test_an_untried_arm_that_is_not_allowed_is_not_forced() -> None:
    bandit = Ucb(3, c=1.0)
    bandit.update(0, 0.1)
    bandit.update(1, 0.2)
    assert bandit.choose([0, 1]) == 1
    assert bandit.choose([0, 1, 2]) == 2


def test_side_observations_count_as_pulls() -> None:
    bandit = Ucb(2, c=1.0)
    bandit.choose([0, 1])
    for reward in (0.2, 0.4):
        bandit.update(0, reward)
    bandit.update(1, 0.6)
    assert bandit.pulls() == [2.0, 1.0]
    assert bandit.means() == pytest.approx([0.3, 0.6])


class Naive:
    """The same by the definition: keeps every reward, and when it came."""

    def __init__(self, arms: int, c: float, discount: float) -> None:
        self.seen: list[list[tuple[int, float]]] = [[] for _ in range(arms)]
        self.c, self.discount, self.choices = c, discount, 0

    def index(self, arm: int) -> float:
        if not self.seen[arm]:
            return math.inf
        weights = [self.discount ** (self.choices - when) for when, _ in self.seen[arm]]
        mean = sum(w * r for w, (_, r) in zip(weights, self.seen[arm], strict=True)) / sum(weights)
        total = sum(self.discount**age for age in range(self.choices))
        return mean + self.c * math.sqrt(math.log(max(1.0, total)) / sum(weights))


@given(
    arms=st.integers(1, 5),
    c=st.floats(0.0, 2.0),
    discount=st.sampled_from([1.0, 0.99, 0.9, 0.5]),
    rewards=st.lists(st.tuples(st.floats(-2.0, 1.0), st.integers(0, 4), st.booleans()), min_size=1, max_size=60),
)
def test_every_index_is_that_of_the_definition(
    arms: int, c: float, discount: float, rewards: list[tuple[float, int, bool]]
) -> None:
    bandit, naive = Ucb(arms, c=c, discount=discount), Naive(arms, c, discount)
    for reward, side, answered in rewards:
        arm = bandit.choose(range(arms))
        naive.choices += 1
        assert 0 <= arm < arms
        if answered:
            for observed in {arm, side % arms}:
                bandit.update(observed, reward)
                naive.seen[observed].append((naive.choices, reward))
        indices = [naive.index(arm) for arm in range(arms)]
        assert bandit.indices() == pytest.approx(indices, rel=1e-6, abs=1e-6)


def test_rescaling_the_weights_changes_no_index() -> None:
    bandit, naive = Ucb(2, c=1.0, discount=0.9), Naive(2, 1.0, 0.9)
    enough = math.ceil(math.log(RESCALE_ABOVE) / -math.log(0.9)) + 20
    rng = np.random.default_rng(0)
    for reward in rng.random(enough):
        arm = bandit.choose([0, 1])
        naive.choices += 1
        bandit.update(arm, float(reward))
        naive.seen[arm].append((naive.choices, float(reward)))
    assert bandit.state()["weight"] < 1e6
    assert bandit.indices() == pytest.approx([naive.index(0), naive.index(1)], rel=1e-6)


def test_a_discount_forgets_an_arm_that_got_worse() -> None:
    forgetful, faithful = Ucb(2, c=0.05, discount=0.98), Ucb(2, c=0.05)
    late: dict[Ucb, list[int]] = {forgetful: [], faithful: []}
    for bandit, arms in late.items():
        for frame in range(600):
            paid = (0.9, 0.5) if frame < 300 else (0.1, 0.5)
            arm = bandit.choose([0, 1])
            bandit.update(arm, paid[arm])
            arms.append(arm)
    assert np.mean(late[forgetful][400:]) > 0.9
    assert np.mean(late[forgetful][400:]) > np.mean(late[faithful][400:])


def test_pulls_of_a_worse_arm_grow_with_the_logarithm_of_time() -> None:
    rng, bandit, worse = np.random.default_rng(1), Ucb(2, c=math.sqrt(2)), []
    for _ in range(8000):
        arm = bandit.choose([0, 1])
        bandit.update(arm, float(rng.random() < (0.8, 0.4)[arm]))
        worse.append(arm)
    pulls = np.cumsum(worse)
    assert pulls[-1] < 8 * math.log(8000) / 0.4**2 + 10  # Auer et al. 2002, theorem 1
    assert pulls[7999] - pulls[3999] < pulls[3999] - pulls[99]


@given(rewards=st.lists(st.floats(-1.0, 1.0), max_size=40), discount=st.sampled_from([1.0, 0.9]))
def test_a_restored_bandit_has_the_same_bits(rewards: list[float], discount: float) -> None:
    kept, restored = Ucb(3, c=0.3, discount=discount), Ucb(3, c=0.3, discount=discount)
    for reward in rewards:
        played(kept, [0, 1, 2], reward)
    restored.restore(json.loads(json.dumps(kept.state())))
    for reward in rewards:
        assert played(kept, [0, 1, 2], reward) == played(restored, [0, 1, 2], reward)
    assert restored.state() == kept.state()
    assert restored.indices() == kept.indices()


@pytest.mark.parametrize(
    "change",
    [
        {"pulls": [1.0, 2.0]}, {"pulls": [1.0, 2.0, -1.0]}, {"pulls": None}, {"sums": [0.0, 0.0, math.nan]},
        {"sums": [0.0, 0.0, "1"]}, {"sums": [True, 0.0, 0.0]}, {"choices": -1.0}, {"choices": "many"},
        {"weight": 0.5}, {"weight": math.inf},
    ],
)  # fmt: skip
def test_a_state_that_is_no_state_is_refused(change: dict[str, object]) -> None:
    bandit = Ucb(3, c=1.0)
    with pytest.raises(PolicyFileError, match=next(iter(change))):
        bandit.restore({**bandit.state(), **change})
