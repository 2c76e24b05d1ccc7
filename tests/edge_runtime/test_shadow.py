from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.policy import Context, Costs
from edge_runtime.following.shadow import Case, ShadowDesk, judge
from edge_runtime.frames.raw import Raw
from edge_runtime.frames.ticket import Ending, Rules
from split_core.criteria.learned import Learned
from split_core.criteria.max_prob import MaxProb
from split_core.drift.monitor import DriftMonitor
from split_core.errors import ConfigError
from split_core.objective import Objective
from split_core.readings import ExitCalibration, Reader, Reading
from split_core.telemetry.metrics import EdgeMetrics, exposition
from split_core.telemetry.shadow import ShadowRecord, ShadowTally
from tests.edge_runtime.world import OBJECTIVE, World

ARRAYS = {"weight": np.zeros(77, np.float32), "bias": np.zeros((), np.float32)}
MISFIT = Reader([ExitCalibration()] * 3, Learned(3, ARRAYS))
UNSURE, SURE = [1.0, 0.0, 0.0, 0.0], [0.0, 9.0, 0.0, 0.0]


def rules(policy: str, temperature: float = 1.0, **params: Any) -> Rules:
    made = make_policy(policy, exits=3, rng=np.random.default_rng(0), objective=OBJECTIVE, params=params)
    reader = Reader([ExitCalibration(temperature)] * 3, MaxProb())
    return Rules(reader, made, OBJECTIVE, True, DriftMonitor(()), id="5" * 64)


def case(*logits: list[float], verdict: list[float] | None = None, cloud: bool = True) -> Case:
    """Exits 1, 2, ... with these logits, the last of which answered, or the worker did."""
    costs = Costs(np.arange(4.0), np.array([0.0, 0.1, 0.1, 0.0]), np.array([7.0, 5.0, 5.0]), (0, 1, 2))
    raws = tuple(Raw(exit, np.array(row, np.float32)) for exit, row in enumerate(logits, 1))
    said = Raw(3, np.array(verdict, np.float32)) if verdict else None
    where = "cloud" if verdict else "edge"
    answer = Reading(3 if verdict else len(logits), 1, 0.9)
    context = Context((0, 1, 2, 3) if cloud else (1, 2, 3), cloud, 100.0, costs)
    return Case(7, context, raws, said, len(logits) if verdict else -1, Ending(answer, where))


def test_it_would_have_answered_earlier():
    record = judge(rules("cascade", per_exit=0.8), case(SURE, SURE))
    assert (record.where, record.exit, record.label) == ("edge", 1, 1)
    assert record.elsewhere
    assert record.cost == pytest.approx(1.1)  # one segment and one head
    assert record.active_cost == pytest.approx(2.2)


def test_its_own_calibration_reads_what_was_computed():
    surer = judge(rules("cascade", per_exit=0.8, temperature=0.2), case(UNSURE, SURE))
    assert (surer.exit, surer.confidence) == (1, pytest.approx(1 / (1 + 3 * math.exp(-5))))
    assert judge(rules("cascade", per_exit=0.8), case(UNSURE, SURE)).exit == 2


def test_what_was_not_computed_is_unknown_beyond_the_last_reading_and_not_guessed():
    record = judge(rules("cascade", per_exit=0.8), case(UNSURE))
    assert (record.where, record.exit, record.beyond, record.label) == ("", -1, 1, -1)
    assert (record.confidence, record.cost) == (None, None)


def test_the_last_exit_answers_whatever_it_would_have_said():
    record = judge(rules("cascade", per_exit=[0.8, 0.8]), case(UNSURE, UNSURE))
    assert (record.where, record.exit, record.label, record.confidence) == ("edge", 3, -1, None)
    assert record.cost == pytest.approx(3.2)


def test_a_verdict_that_came_back_is_read_by_the_shadow_and_one_that_did_not_is_not_known():
    shadow = rules("fixed", split=1, threshold=0.8)
    came = judge(shadow, case(UNSURE, verdict=SURE))
    assert (came.where, came.exit, came.label, came.elsewhere) == ("cloud", 3, 1, False)
    assert came.cost == came.active_cost == pytest.approx(6.1)
    absent = judge(shadow, case(UNSURE, SURE))
    assert (absent.where, absent.exit, absent.label, absent.confidence) == ("cloud", 3, -1, None)


def test_a_bandit_in_the_shadow_learns_from_known_ways_only():
    known, unknown = rules("grid", splits=[3]), rules("grid", splits=[1, 2, 3])
    fresh = unknown.policy.state()["strata"]
    for _ in range(5):
        judge(unknown, case(UNSURE, cloud=False))
        judge(known, case(SURE, SURE, SURE, cloud=False))
    assert unknown.policy.state()["strata"] == fresh
    one = rules("grid", splits=[1, 2, 3])
    judge(one, case(SURE, SURE, SURE, cloud=False))
    assert one.policy.state()["strata"] != fresh


def test_the_sums_are_those_of_the_frames():
    shadow = rules("cascade", per_exit=0.8)
    frames = [case(SURE, SURE), case(SURE), case(UNSURE), case(UNSURE, UNSURE)]
    told = ShadowTally(judge(shadow, one) for one in frames).summary()
    assert told["unknown"] == 0.25
    assert told["unknown_beyond"] == {"1": 1}
    assert told["elsewhere"] == pytest.approx(2 / 3)
    assert told["exits"] == {"edge 1": pytest.approx(2 / 3), "edge 3": pytest.approx(1 / 3)}
    assert (told["answers_known"], told["agreement"], told["offload"]) == (2, 1.0, 0.0)


def test_another_shadow_begins_anew():
    tally, shadow = ShadowTally(), rules("cascade")
    tally.add(judge(shadow, case(SURE)))
    tally.add(judge(replace(shadow, id="6" * 64), case(SURE)))
    assert (tally.policy, tally.frames) == ("6" * 12, 1)


def played(
    bundle: Path, shadow: Rules | None, policy: str = "edge_only"
) -> tuple[World, list[ShadowRecord], list[str]]:
    """Some frames through a whole edge loop, with a shadow beside it."""
    world, records, refused = World(bundle, policy), [], []
    desk = ShadowDesk(lambda _, record: records.append(record), refused.append)
    world.loop._on_shadowed = desk.put
    world.stream.rules = replace(world.stream.rules, shadow=shadow)
    world.camera([0.03 * n for n in range(1, 21)])
    world.play(1.0)
    desk.close()
    return world, records, refused


def test_a_running_loop_asks_its_shadow_after_every_outcome(tiny_bundle: Path):
    world, records, refused = played(tiny_bundle, rules("fixed", split=1, threshold=0.0))
    assert len(world.outcomes) == 20
    assert refused == []
    # edge_only reads no exit but the last one, so exit 1 is not known.
    assert {(record.active_exit, record.where, record.beyond) for record in records} == {(3, "", 0)}
    world, records, _ = played(tiny_bundle, rules("edge_only"), policy="edge_only")
    assert [record.seq for record in records] == [outcome.seq for outcome in world.outcomes]
    assert all(record.label == record.active_label and not record.elsewhere for record in records)


def test_without_a_shadow_nothing_is_kept_or_asked(tiny_bundle: Path):
    world, records, _ = played(tiny_bundle, None)
    assert (len(world.outcomes), records) == (20, [])


def test_prices_are_the_shadows_own(tiny_bundle: Path):
    dear = replace(rules("edge_only"), objective=Objective(ms=10.0, mu=0.01))
    _, [record, *_], _ = played(tiny_bundle, dear)
    _, [cheap, *_], _ = played(tiny_bundle, rules("edge_only"))
    assert record.cost == pytest.approx(10.0 * cheap.cost)


def test_frames_that_it_has_no_time_for_are_counted_as_lost_and_cost_the_camera_nothing(tiny_bundle: Path):
    world, records, metrics = World(tiny_bundle, "edge_only"), [], EdgeMetrics()
    desk = ShadowDesk(records.append, str, capacity=0)
    metrics.watch_shadow(lambda: desk.tally, lambda: desk.lost)
    world.loop._on_shadowed = desk.put
    world.stream.rules = replace(world.stream.rules, shadow=rules("edge_only"))
    world.camera([0.03 * n for n in range(1, 6)])
    world.play(1.0)
    desk.close()
    assert (len(world.outcomes), records) == (5, [])
    assert "offramp_shadow_frames_lost_total 5.0" in exposition(metrics.registry).decode()


def test_a_shadow_that_cannot_judge_says_so_once(tiny_bundle: Path):
    shadow = replace(rules("cascade", per_exit=0.8), reader=MISFIT)
    records: list[ShadowRecord] = []
    refused: list[str] = []
    desk = ShadowDesk(lambda _, record: records.append(record), refused.append)
    wide = replace(case(UNSURE), raws=(Raw(1, np.zeros(4, np.float32), np.zeros(3)),))
    desk._judge([(shadow, wide), (shadow, wide)])
    desk.close()
    assert records == []
    assert len(refused) == 1
    assert "3 wide, the arrays are for 77" in refused[0]


def test_rules_that_do_not_fit_the_network_are_noticed_without_a_frame(tiny_bundle: Path):
    world = World(tiny_bundle, "edge_only")
    world.deployment.probe.compute()
    world.deployment.probe.check(rules("grid").reader)
    with pytest.raises(ConfigError, match="the arrays are for 77"):
        world.deployment.probe.check(MISFIT)
    assert world.outcomes == []
