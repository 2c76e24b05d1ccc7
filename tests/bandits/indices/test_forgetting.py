from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.indices.change import PER_SIZE, Bucket, Change, first_after_change
from bandits.indices.statistics import Statistics
from bandits.indices.window import Window

EVENTS = st.lists(st.lists(st.tuples(st.integers(0, 2), st.floats(-1.0, 1.0)), max_size=3), max_size=90)


def pushed(forgetting: Change | Window, rewards: list[float], arm: int = 0) -> Statistics:
    statistics = Statistics(3)
    for reward in rewards:
        forgetting.chose(statistics)
        forgetting.add(statistics, arm, reward)
    return statistics


@given(events=EVENTS, choices=st.integers(1, 40))
def test_a_window_holds_exactly_the_rewards_of_its_last_choices(
    events: list[list[tuple[int, float]]], choices: int
) -> None:
    window, statistics = Window(arms=3, choices=choices), Statistics(3)
    for rewards in events:
        window.chose(statistics)
        for arm, reward in rewards:
            window.add(statistics, arm, reward)
    inside = [[reward for rewards in events[-choices:] for a, reward in rewards if a == arm] for arm in range(3)]
    assert statistics.pulls == [len(rewards) for rewards in inside]
    assert statistics.sums == pytest.approx([sum(rewards) for rewards in inside])
    assert statistics.choices == min(choices, len(events))


@pytest.mark.parametrize("choices", [64, 100, 1000, 2001])
def test_a_long_window_is_up_to_one_part_in_sixteen_shorter_and_never_longer(choices: int) -> None:
    window, statistics, lengths = Window(arms=3, choices=choices), Statistics(3), []
    for _ in range(3 * choices):
        window.chose(statistics)
        window.add(statistics, 0, 1.0)
        lengths.append(statistics.pulls[0])
    assert max(lengths) <= choices
    assert min(lengths[choices:]) > choices * 15 / 16 - 2
    assert statistics.choices == statistics.pulls[0]


def test_a_window_takes_no_more_memory_for_more_rewards() -> None:
    window, statistics = Window(arms=3, choices=5000), Statistics(3)
    for frame in range(6000):
        window.chose(statistics)
        for arm in range(3):
            window.add(statistics, arm, 1.0 if frame % 2 else 0.5)
    assert len(json.dumps(window.state())) < 4000
    assert statistics.mean == [0.75] * 3


def test_a_window_forgets_without_an_error_that_grows() -> None:
    window = Window(arms=3, choices=10)
    statistics = pushed(window, [1e9, *[0.1] * 5000])
    assert statistics.sums[0] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("gap", "cut"), [(0.6, 1), (0.58, 0)])
def test_a_change_is_what_the_formula_of_adwin_says(gap: float, cut: int) -> None:
    # n = 100, L = ln(200 / .002) = 11.5129, 1/m = .04, V = gap^2 / 4:
    # .6 against sqrt(2 * .09 * .460517) + 2 * .460517 / 3 = .594923; .58 against .585329
    halves = [Bucket(50.0, 0.0, 0.0, 1.0), Bucket(50.0, 50.0 * gap, 50.0 * gap * gap, 51.0)]
    assert first_after_change(halves, span=1.0, false_alarm=0.002) == cut


@given(count=st.integers(0, 700))
def test_buckets_are_powers_of_two_few_of_each_size_and_lose_nothing(count: int) -> None:
    change = Change(arms=3, range=(0.0, 1.0))
    pushed(change, [0.5] * count)
    rewards = change.state()["buckets"][0][0::4]
    assert sum(rewards) == count
    assert rewards == sorted(rewards, reverse=True)
    assert all(size == 2 ** int(np.log2(size)) and rewards.count(size) <= PER_SIZE for size in rewards)


def test_when_one_arm_changes_all_forget_what_is_older() -> None:
    change, statistics, rng = Change(arms=3, range=(0.0, 1.0)), Statistics(3), np.random.default_rng(0)
    for frame in range(800):
        change.chose(statistics)
        change.add(statistics, 0, float(rng.random() < (0.2 if frame < 500 else 0.8)))
        change.add(statistics, 1, 0.5)
        if frame < 400:
            change.add(statistics, 2, 0.5)
    assert 250 <= statistics.choices <= 320
    assert statistics.pulls[0] == pytest.approx(300, abs=20)
    assert statistics.mean[0] == pytest.approx(0.8, abs=0.06)
    assert 200 <= statistics.pulls[1] <= 320
    assert statistics.pulls[2] == 0.0
    assert statistics.untried == 1


def test_without_a_change_nothing_is_forgotten() -> None:
    rng, cuts = np.random.default_rng(0), 0
    for _ in range(60):
        statistics = pushed(Change(arms=3, range=(0.0, 1.0)), (rng.random(3000) < 0.3).astype(float).tolist())
        cuts += statistics.pulls[0] < 3000
    assert cuts == 0


def test_a_change_of_quiet_rewards_is_found_sooner_than_of_noisy_ones() -> None:
    def delay(deviation: float) -> int:
        change, statistics, rng = Change(arms=3), Statistics(3), np.random.default_rng(0)
        for frame in range(6000):
            change.chose(statistics)
            change.add(statistics, 0, (0.6 if frame < 2000 else 0.45) + deviation * float(rng.standard_normal()))
            if statistics.pulls[0] < frame:
                return frame - 2000
        return 6000

    assert delay(0.02) < 300
    assert delay(0.15) < 700
    assert delay(0.02) < delay(0.15)
