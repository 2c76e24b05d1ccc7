from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from bandits.policy import Answer, Costs, Observation, Plan, Ship
from bandits.sequential.drift import Drift
from split_core.errors import ConfigError, PolicyFileError
from tests.bandits.frames import context
from tests.bandits.readings import reading
from tests.bandits.sequential.worlds import Row, context_of, fresh, losses, model_of, network, rows_of

GIVEN = context(Costs.published(3, 0.1, 0.4))


def shown(drift: Drift, confidence: float, wrong: float, *, frames: int = 1500, checked: bool = True) -> int:
    """Shipped frames of exit 1; how many changes are proved by them."""
    rng, plan = np.random.default_rng(0), Plan(GIVEN, (1,))
    before = drift.changes
    for one, missed in zip(rng.beta(8, 8 / confidence - 8, frames), rng.random(frames) < wrong, strict=True):
        seen = Observation(plan, (reading(1, 0, float(one)),), Ship(1), reading(3, int(missed), 0.9), math.nan)
        drift.take(seen, checked=checked)
    return drift.changes - before


def known(frames: int, right: float, seed: int, sure: float = 0.97) -> list[Row]:
    """Two exits that say the same, are always as sure, and are right so often."""
    rng = np.random.default_rng(seed)
    said, wrong = rng.integers(0, 10, frames), rng.random(frames) >= right
    return [
        (reading(1, one, sure), reading(2, one, sure), reading(3, (one + miss) % 10, 0.97))
        for one, miss in zip(said.tolist(), wrong.tolist(), strict=True)
    ]


def test_a_change_of_first_confidences_is_proved() -> None:
    drift = Drift(3)
    assert shown(drift, 0.8, 0.1) == 0
    assert shown(drift, 0.55, 0.1, checked=False) == 1


def test_a_change_of_what_checks_say_is_proved_when_confidences_stay() -> None:
    drift = Drift(3)
    assert shown(drift, 0.8, 0.05, frames=300) == 0
    assert shown(drift, 0.8, 0.6, frames=300) == 1


def test_verdicts_of_frames_that_were_shipped_for_what_they_said_are_no_evidence() -> None:
    drift = Drift(3)
    shown(drift, 0.8, 0.05, checked=False)
    assert shown(drift, 0.8, 0.9, checked=False) == 0


def test_false_alarms_are_no_more_frequent_than_was_asked_for() -> None:
    """At a chance of one in five, over a hundred streams of which nothing changed."""
    rng, plan, alarms = np.random.default_rng(1), Plan(GIVEN, (1,)), 0
    for _ in range(100):
        drift = Drift(2, false_alarm=0.2)
        for one in rng.beta(4, 1, 1000).tolist():
            drift.take(Observation(plan, (reading(1, 0, one),), Answer(1), None, math.nan), checked=False)
        alarms += drift.changes > 0
    assert alarms <= 20


def test_after_a_change_it_recovers_sooner_than_without() -> None:
    """Exits that were hardly ever right now are, and as sure as before."""
    lost = {}
    for forget in ("none", "change"):
        policy = fresh(3, forget=forget)
        losses(policy, GIVEN, known(3000, 0.2, 0), range(3000))
        lost[forget] = losses(policy, GIVEN, known(3000, 1.0, 1), range(3000)).mean()
    assert lost["change"] < 0.95 * lost["none"]


def test_exits_that_grow_surer_than_they_should_are_doubted_sooner() -> None:
    skill = (1.5, 2.5, 3.5, 5.0)
    given = context_of(before := network(skill), model_of(4, whole=0.3, offload=0.8))
    lost = {}
    for forget in ("none", "change"):
        policy = fresh(4, forget=forget)
        losses(policy, given, rows_of(before), range(4000))
        lost[forget] = losses(policy, given, rows_of(network(skill, sharpness=12.0)), range(3000)).mean()
    assert lost["change"] < 0.95 * lost["none"]


@pytest.mark.parametrize("offload", [0.3, 0.8, 1.5])
def test_where_nothing_changes_nothing_is_forgotten(offload: float) -> None:
    traces, model = network((1.5, 2.5, 3.5, 5.0)), model_of(4, whole=0.3, offload=offload)
    lost = [
        losses(fresh(4, forget=forget), context_of(traces, model), rows_of(traces), range(5000))
        for forget in ("none", "change")
    ]
    assert (lost[0] == lost[1]).all()


def test_a_restored_policy_watches_on_to_the_last_bit() -> None:
    one, other = fresh(3, forget="change"), fresh(3, forget="change")
    before, after = known(1500, 0.95, 2), known(1500, 0.3, 3, sure=0.7)
    losses(one, GIVEN, before, range(1500))
    other.restore(json.loads(json.dumps(one.state())))
    assert other.state() == one.state()
    assert (losses(one, GIVEN, after, range(1500)) == losses(other, GIVEN, after, range(1500))).all()
    assert other.state() == one.state()
    assert one.state()["drift"]["changes"] >= 1


def test_a_state_from_before_changes_were_watched_is_taken() -> None:
    one, other = fresh(3), fresh(3, forget="change")
    losses(one, GIVEN, known(500, 0.9, 4), range(500))
    other.restore(one.state())
    assert other.state()["model"] == one.state()["model"]
    one.restore(other.state())
    assert "drift" not in one.state()


@pytest.mark.parametrize("damage", [{"exits": []}, {"exits": [[{}, {}], [{}]]}, {"exits": [1, 2]}, {"changes": -1}])
def test_a_damaged_state_is_refused_whole(damage: dict[str, Any]) -> None:
    policy, learned = fresh(3, forget="change"), fresh(3, forget="change")
    losses(learned, GIVEN, known(500, 0.9, 5), range(500))
    state, before = learned.state(), policy.state()
    with pytest.raises(PolicyFileError):
        policy.restore({**state, "drift": {**state["drift"], **damage}})
    assert policy.state() == before


@pytest.mark.parametrize(
    "forget", ["window", "never", {"name": "change", "false_alarm": 0.9}, {"name": "none", "x": 1}]
)
def test_other_ways_to_forget_are_refused(forget: Any) -> None:
    with pytest.raises(ConfigError, match="forget"):
        fresh(3, forget=forget)


def test_a_lost_reply_still_had_a_first_reading() -> None:
    drift, plan = Drift(3), Plan(GIVEN, (1,))
    before = drift.state()
    seen = Observation(plan, (reading(1, 0, 0.5),), Ship(1), None, math.nan)
    assert seen.lost
    drift.take(seen, checked=True)
    assert drift.state() != before
