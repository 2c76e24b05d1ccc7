"""AdaEE, its buffer-aware successor, and the modes of UCBEE, by hand; o = .1 unless a test says otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.policy import Costs, Policy, Ship
from bandits.published.adaee_buffer import AdaEEBuffer
from split_core.errors import PolicyFileError
from split_core.objective import Objective
from tests.bandits.frames import context, observed, readings_of

ALPHAS = [0.0, 0.5, 0.8, 1.0]


def made(name: str, **params: Any) -> Policy:
    given = {"thresholds": ALPHAS, **params}
    return make_policy(name, exits=2, rng=np.random.default_rng(0), objective=Objective(mu=1.0), params=given)


def constant(offload: float) -> Costs:
    return Costs.published(2, per_layer=0.0, offload=offload)


def learned(
    subject: Policy, frames: list[tuple[float, float]], offload: float = 0.1
) -> tuple[list[float], list[float]]:
    """Pulls and means after `frames` of (first, final) confidence."""
    for frame in frames:
        subject.learn(observed(subject, context(constant(offload)), readings_of(list(frame))))
    kept = subject.state()["bandit"]
    return kept["pulls"], [total / max(1.0, pulls) for total, pulls in zip(kept["sums"], kept["pulls"], strict=True)]


# Every arm once: 0 answers .6; .5 answers .6; .8 ships .6 and gets .4; 1 ships .7 and gets .9.
ONE_EACH = [(0.6, 0.9), (0.6, 0.9), (0.6, 0.4), (0.7, 0.9)]


def test_adaee_pays_the_plain_gain_to_the_played_arm_only() -> None:
    assert learned(made("adaee"), ONE_EACH) == ([1, 1, 1, 1], pytest.approx([0.0, 0.0, -0.2 - 0.1, 0.2 - 0.1]))


def test_clipped_a_verdict_less_sure_than_the_exit_gains_nothing() -> None:
    assert learned(made("adaee", reward="clip"), ONE_EACH)[1] == pytest.approx([0.0, 0.0, -0.1, 0.1])


def test_ucbee_without_side_observations_is_clipped_adaee() -> None:
    frames = [tuple(row) for row in np.random.default_rng(0).random((300, 2)).tolist()]
    published = made("ucbee", side="none")
    assert learned(published, frames) == learned(made("adaee", reward="clip"), frames)


def test_ucbee_with_side_observations_may_be_plain() -> None:
    subject = made("ucbee", reward="plain", c=0.1)
    # Arms 0 and .5 answer.  Arm .8 ships .6 for .4: it loses .2 + .1, and the arms below would have answered.
    # Arm 1 ships .7 for .9: it gains .2 - .1, and so does arm .8.
    pulls, means = learned(subject, ONE_EACH)
    assert pulls == [4, 3, 2, 1]
    assert means == pytest.approx([0.0, 0.0, (-0.3 + 0.1) / 2, 0.1])


def buffered(queues: int = 3) -> AdaEEBuffer:
    subject = made("adaee_buffer", thresholds=[0.5, 1.0], queues=queues, slot=10.0)
    assert isinstance(subject, AdaEEBuffer)
    return subject


def index_at(subject: AdaEEBuffer, offload: float) -> int:
    return subject.begin(context(constant(offload))).arm_index


def test_the_queue_is_read_off_the_price() -> None:
    """Arms of queue q have indices 2 q and 2 q + 1; every one is tried once, first those of its queue."""
    subject = buffered()
    assert [index_at(subject, price) for price in (30.0, 34.0, 41.0, 50.0, 500.0)] == [0, 0, 2, 4, 4]
    assert [index_at(subject, price) for price in (10.0, 30.0)] == [0, 4]


def test_a_longer_queue_pays_less_for_the_cloud() -> None:
    subject = buffered()
    for offload in (30.0, 30.0, 40.0, 40.0, 50.0, 50.0):
        seen = observed(subject, context(constant(offload)), readings_of([0.6, 0.9]))
        assert isinstance(seen.action, Ship) == (seen.plan.arm_index % 2 == 1)
        subject.learn(seen)
    # Arm .5 answers for 0, arm 1 ships for .3 - (.1 q - .05).
    sums = [subject.state()["bandits"][queue]["sums"] for queue in "012"]
    assert sums == [pytest.approx([0.0, reward]) for reward in (0.35, 0.25, 0.15)]


def test_a_gain_below_zero_is_none() -> None:
    subject = buffered()
    for _ in range(2):
        subject.learn(observed(subject, context(constant(30.0)), readings_of([0.9, 0.6])))
    assert subject.state()["bandits"]["0"]["sums"] == pytest.approx([0.0, 0.05])


def test_a_state_for_other_queues_is_refused() -> None:
    with pytest.raises(PolicyFileError, match="queues is 4, this policy has 3"):
        buffered().restore(buffered(4).state())
