"""Whatever `INDICES` and `FORGETTING` hold must do this, in every combination."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.arms import ArmBandit
from bandits.indices import FORGETTING, INDICES
from bandits.indices.build import make_bandit
from bandits.ucb import Ucb
from split_core.chance import probability
from split_core.errors import ConfigError, PolicyFileError
from tests.contracts.test_policies import damaged

ARMS = 5
# Short memories, so that 2,000 choices are a long run.
FORGET: dict[str, Any] = {
    "none": "none",
    "discount": {"name": "discount", "discount": 0.996},
    "window": {"name": "window", "choices": 300},
    "change": "change",
}
# For rewards of 0 and 1, and less careful than the proofs: these runs are short.
SCALE: dict[str, dict[str, Any]] = {
    "ucb1": {"c": 0.5},
    "ucb_v": {"c": 0.4, "range": [0.0, 1.0]},
    "ucb_tuned": {"range": [0.0, 1.0]},
    "kl_ucb": {"range": [0.0, 1.0]},
    "bayes_ucb": {},
    "thompson": {},
    "exp3": {"gamma": 0.2, "range": [0.0, 1.0]},
}
WITHOUT_COUNTS = ("exp3",)  # weights of its own
PAIRS = [(name, how) for name in INDICES for how in FORGETTING if how == "none" or name not in WITHOUT_COUNTS]
FORGETFUL = [(name, how) for name, how in PAIRS if how != "none"]
EVERY = pytest.mark.parametrize(("name", "how"), PAIRS)


def bandit(name: str, how: str, *, arms: int = ARMS, seed: int = 0) -> ArmBandit:
    return make_bandit({"name": name, **SCALE[name]}, arms, rng=np.random.default_rng(seed), forget=FORGET[how])


Step = tuple[list[int], list[tuple[int, float]]]
# What one frame allows, and the rewards that come before the next: any arms', any number, or none.
STEPS = st.lists(
    st.tuples(
        st.sets(st.integers(0, ARMS - 1), min_size=1).map(sorted),
        st.lists(st.tuples(st.integers(0, ARMS - 1), st.floats(-3.0, 3.0)), max_size=4),
    ),
    max_size=30,
)


def run(subject: ArmBandit, steps: list[Step]) -> Iterator[tuple[int, float]]:
    for allowed, rewards in steps:
        arm = subject.choose(allowed)
        assert arm in allowed
        yield arm, probability(subject.propensity(arm, allowed))
        for rewarded, reward in rewards:
            subject.update(rewarded, reward)


def frozen(subject: ArmBandit) -> str:
    return json.dumps(subject.state(), sort_keys=True, allow_nan=False)


def earned(subject: ArmBandit, means: Callable[[int], list[float]], frames: int, seed: int = 0) -> list[int]:
    """Arms played for rewards of 0 or 1 with these means, which may change with the frame."""
    rng, played = np.random.default_rng([seed, 1]), []
    for frame, drawn in enumerate(rng.random(frames)):
        arm = subject.choose(range(ARMS))
        subject.update(arm, float(drawn < means(frame)[arm]))
        played.append(arm)
    return played


def test_every_index_and_every_way_to_forget_is_tested() -> None:
    assert set(FORGET) == set(FORGETTING)
    assert set(SCALE) == set(INDICES)


@EVERY
@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_only_allowed_arms_are_played_whatever_comes_back(name: str, how: str, steps: list[Step]) -> None:
    for _, propensity in run(bandit(name, how), steps):
        assert 0.0 < propensity <= 1.0


@EVERY
@settings(max_examples=20, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 2**32 - 1))
def test_the_same_seed_makes_the_same_choices(name: str, how: str, steps: list[Step], seed: int) -> None:
    first, second = bandit(name, how, seed=seed), bandit(name, how, seed=seed)
    assert list(run(first, steps)) == list(run(second, steps))
    assert frozen(first) == frozen(second)


@EVERY
@settings(max_examples=25, deadline=None)
@given(before=STEPS, after=STEPS)
def test_a_restored_bandit_goes_on_bit_identically(name: str, how: str, before: list[Step], after: list[Step]) -> None:
    kept, restored = bandit(name, how, seed=1), bandit(name, how, seed=2)
    list(run(kept, before))
    restored.restore(json.loads(frozen(kept)))
    assert frozen(restored) == frozen(kept)
    assert list(run(kept, after)) == list(run(restored, after))
    assert frozen(restored) == frozen(kept)


@EVERY
def test_a_restored_bandit_goes_on_bit_identically_after_a_long_run_with_a_change(name: str, how: str) -> None:
    kept, restored = bandit(name, how, seed=1), bandit(name, how, seed=2)
    earned(kept, lambda frame: [0.9 if frame < 800 else 0.1, 0.2, 0.3, 0.4, 0.5], 1500)
    before = frozen(kept)
    restored.restore(json.loads(before))
    means = [0.1, 0.2, 0.3, 0.4, 0.5]
    assert earned(kept, lambda _: means, 700, seed=1) == earned(restored, lambda _: means, 700, seed=1)
    assert frozen(restored) == frozen(kept) != before


@EVERY
def test_a_state_does_not_change_behind_the_callers_back(name: str, how: str) -> None:
    subject = bandit(name, how)
    state = subject.state()
    before = json.dumps(state, sort_keys=True)
    earned(subject, lambda _: [0.5] * ARMS, 50)
    assert json.dumps(state, sort_keys=True) == before


@EVERY
def test_the_state_of_another_bandit_is_refused(name: str, how: str) -> None:
    subject = bandit(name, how)
    before = frozen(subject)
    for other, way in [pair for pair in PAIRS if pair != (name, how)]:
        with pytest.raises(PolicyFileError):
            subject.restore(bandit(other, way).state())
    with pytest.raises(PolicyFileError):
        subject.restore(bandit(name, how, arms=ARMS + 1).state())
    assert frozen(subject) == before


@EVERY
def test_a_damaged_state_is_refused_whole_or_taken_whole(name: str, how: str) -> None:
    learned, subject = bandit(name, how), bandit(name, how)
    earned(learned, lambda _: [0.1, 0.2, 0.3, 0.4, 0.5], 400)
    fresh = frozen(subject)
    for what, state in damaged(json.loads(frozen(learned))):
        try:
            subject.restore(state)
        except PolicyFileError:
            assert frozen(subject) == fresh, f"half restored after {what}"
        else:
            subject.update(subject.choose(range(ARMS)), 0.5)
            subject = bandit(name, how)


@EVERY
def test_the_regret_is_clearly_below_that_of_a_random_arm(name: str, how: str) -> None:
    means = [0.1, 0.3, 0.5, 0.6, 0.9]
    played = [earned(bandit(name, how, seed=seed), lambda _: means, 2000, seed=seed) for seed in range(3)]
    regret = np.mean([[max(means) - means[arm] for arm in arms] for arms in played])
    random = max(means) - np.mean(means)
    assert regret < 0.5 * random


@pytest.mark.parametrize(("name", "how"), FORGETFUL)
def test_after_a_change_it_recovers_where_the_form_that_never_forgets_does_not(name: str, how: str) -> None:
    def means(frame: int) -> list[float]:
        return [0.9 if frame < 2000 else 0.1, 0.5, 0.2, 0.2, 0.2]

    def share_of_best(way: str) -> float:
        return float(np.mean([arm == 1 for arm in earned(bandit(name, way), means, 2600)[-250:]]))

    assert share_of_best(how) > 2.0 * share_of_best("none")
    assert share_of_best(how) > 0.6


@pytest.mark.parametrize("how", [how for how in FORGETTING if how != "none"])
@pytest.mark.parametrize("name", WITHOUT_COUNTS)
def test_without_counts_there_is_nothing_to_forget(name: str, how: str) -> None:
    with pytest.raises(ConfigError, match=f"index '{name}' keeps no counts"):
        make_bandit(name, ARMS, rng=np.random.default_rng(0), forget=FORGET[how])


def test_the_short_name_of_ucb1_is_the_same_bandit() -> None:
    long, short = make_bandit("ucb1", ARMS, rng=np.random.default_rng(0), c=0.3), Ucb(ARMS, c=0.3)
    means = [0.1, 0.3, 0.5, 0.6, 0.9]
    assert earned(long, lambda _: means, 300) == earned(short, lambda _: means, 300)


@pytest.mark.parametrize("wrong", ["ucb2", None, 3, [], {"c": 1.0}, {"name": 1}, {"name": "ucb1", "d": 1}, {1: 2}])
def test_an_index_that_is_none_is_one_line(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="index") as caught:
        make_bandit(wrong, ARMS, rng=np.random.default_rng(0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["windw", None, 3, {"name": "window", "choices": 0}, {"name": "none", "choices": 3}])
def test_a_way_to_forget_that_is_none_is_one_line(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="forget") as caught:
        make_bandit("ucb1", ARMS, rng=np.random.default_rng(0), forget=wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*INDICES, *FORGETTING])
@pytest.mark.parametrize("wrong", ["junk", -1, float("nan"), None, [], [2.0], [1.0, 0.0], {"a": 1}, True])
def test_a_parameter_out_of_its_range_names_it(name: str, wrong: Any) -> None:
    for key in ("c", "range", "gamma", "discount", "choices", "false_alarm"):
        index, forget = (
            ({"name": name, key: wrong}, "none") if name in INDICES else ("ucb1", {"name": name, key: wrong})
        )
        with pytest.raises(ConfigError, match=key):
            make_bandit(index, ARMS, rng=np.random.default_rng(0), forget=forget)
