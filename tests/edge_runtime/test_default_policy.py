"""The default policy on a camera: through outages, restarts, other files, and beside other policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.envelope import Envelope
from bandits.guard import Guard
from edge_runtime.following.memory import PolicyMemory
from edge_runtime.following.shadow import ShadowDesk
from edge_runtime.frames.ticket import Rules
from edge_runtime.link.greetings import Greeting
from split_core import policy as policies
from split_core.errors import ConfigError
from split_core.evidence import Evidence
from split_core.policy import DEFAULT_BANDIT, BanditSection, ExitSection, PolicyFile
from split_core.policy_commands import change
from split_core.policy_guard import EnvelopeSection, GuardSection, SegmentsSection
from split_core.policy_state import read_states
from split_core.telemetry.shadow import ShadowRecord
from tests.edge_runtime.test_policy_watch import Camera
from tests.edge_runtime.test_policy_watch import camera as camera  # a fixture
from tests.edge_runtime.world import OBJECTIVE, Fate, World

DEFAULT = BanditSection(name=DEFAULT_BANDIT)
GRID = BanditSection(name="grid", params={"thresholds": [0.0, 0.7, 1.0]})
CERTIFIED: dict[str, Any] = {
    "exits": (ExitSection(certified=0.0), ExitSection(certified=0.0), ExitSection()),
    "evidence": Evidence(target=0.98),
}


def filmed(world: World, frames: int, gap_s: float = 0.03) -> World:
    """So many frames, one after the other, and time for the last."""
    world.camera([gap_s * n for n in range(1, frames + 1)])
    world.play(gap_s * frames + 0.5)
    return world


def default_world(bundle: Path, **given: Any) -> World:
    world = World(bundle, policy=DEFAULT_BANDIT, **given)
    world.play(0.05)
    return world


def rules_of(world: World) -> Rules:
    return world.stream.rules


def learned_frames(policy: Any) -> float:
    return float(policy.state()["model"]["frames"])


def test_without_a_worker_it_answers_all_frames_and_learns_from_those_that_it_ran_whole(tiny_bundle: Path) -> None:
    world = World(tiny_bundle, policy=DEFAULT_BANDIT)
    world.listener.close()
    filmed(world, 60)
    assert {(one.where, one.degraded, one.late) for one in world.outcomes} == {("edge", "", False)}
    assert len(world.outcomes) == 60
    assert 0 < learned_frames(world.made) <= 60


def test_it_goes_on_through_an_outage_and_uses_the_worker_again(tiny_bundle: Path) -> None:
    """The way is believed to be short, so that it ships while there is anybody to ship to."""
    world = default_world(tiny_bundle)
    world.costs.observe_greeting(Greeting(0.0, 0, 0.0))
    world.restart_worker(0.6, 1.2)
    filmed(world, 90)
    back_at_s = min(world.frames.values()) + 1.3
    assert len(world.outcomes) == 90
    assert not [one for one in world.outcomes if one.late]
    assert [one for one in world.outcomes if one.where == "cloud" and world.frames[one.seq] > back_at_s]


def test_a_way_that_is_believed_too_long_is_found_to_be_short_before_anything_is_shipped(tiny_bundle: Path) -> None:
    told = []
    for greets in (False, True):
        world = World(tiny_bundle, policy="edge_only", greets=greets)
        world.costs.link.believe(500.0)
        filmed(world, 60)
        told.append(world.costs.way.ms(300.0))
        assert {one.where for one in world.outcomes} == {"edge"}
    assert told[0] > 400.0
    assert told[1] == pytest.approx(10.0, abs=5.0)  # 5 ms there, 5 ms back


def test_replies_that_are_lost_teach_nothing_and_every_frame_is_answered(tiny_bundle: Path) -> None:
    hello = [Fate()] * 2
    world = default_world(tiny_bundle, fates=[*hello, *([Fate(copies=0)] * 400)])
    filmed(world, 40)
    assert len(world.outcomes) == 40
    assert not [one for one in world.outcomes if one.where == "cloud" or one.late]


def test_what_it_learned_is_there_after_a_restart_and_goes_on_the_same(tiny_bundle: Path, tmp_path: Path) -> None:
    world, ids = filmed(default_world(tiny_bundle, audit=0.5), 80), {"bundle": "a", "policy": "b"}
    memory(tmp_path, ids).close(rules_of(world))
    again = World(tiny_bundle, policy=DEFAULT_BANDIT, seed=5)
    restored = memory(tmp_path, ids)
    assert restored.restore(rules_of(again)).startswith("going on from")
    assert learned_frames(again.made) > 0
    assert again.made.state() == world.made.state()
    restored.close(rules_of(again))


@pytest.mark.parametrize(
    ("ids", "params", "said"),
    [
        ({"bundle": "another"}, {}, "learned with another bundle or policy; starting afresh"),
        ({"bundle": "a"}, {"error_cost": [1.0, 5.0, 1.0, 1.0]}, "cannot be used"),
        ({"bundle": "a"}, {"by_class": 4}, "cannot be used"),
    ],
)
def test_another_bundle_or_other_classes_start_afresh_and_say_so(
    tiny_bundle: Path, tmp_path: Path, ids: dict[str, str], params: dict[str, object], said: str
) -> None:
    memory(tmp_path, {"bundle": "a"}).close(rules_of(filmed(default_world(tiny_bundle), 40)))
    other = World(tiny_bundle, policy=DEFAULT_BANDIT, params=params)
    fresh = json.dumps(other.made.state())
    opened = memory(tmp_path, ids)
    line = opened.restore(rules_of(other))
    assert said in line
    assert "starting afresh" in line
    assert json.dumps(other.made.state()) == fresh
    opened.close(rules_of(other))


def test_a_state_that_a_grid_has_left_behind_starts_it_afresh(tiny_bundle: Path, tmp_path: Path) -> None:
    """As after an update: the same file name, another bandit."""
    memory(tmp_path, {"bundle": "a", "bandit": "grid"}).close(rules_of(filmed(World(tiny_bundle, "grid"), 20)))
    world = World(tiny_bundle, DEFAULT_BANDIT)
    opened = memory(tmp_path, {"bundle": "a", "bandit": DEFAULT_BANDIT})
    assert "starting afresh" in opened.restore(rules_of(world))
    opened.close(rules_of(world))
    kept = [one.binding["bandit"] for one in read_states(tmp_path / "state.json")]
    assert kept == [DEFAULT_BANDIT, "grid"]  # the grid's is there for a rollback


def memory(folder: Path, ids: dict[str, str]) -> PolicyMemory:
    return PolicyMemory(folder / "state.json", ids, every_s=5.0, clock=lambda: 0.0)


def test_a_file_that_is_changed_while_it_runs_keeps_or_forgets_what_it_should(camera: Camera) -> None:
    camera.activate(bandit=DEFAULT)
    follower, before = camera.follow(), camera.load()
    camera.activate(bandit=DEFAULT, codecs={"hidden": "u8z", "input": "png"})
    (same,) = follower.look()
    assert same.artefacts is not None
    assert same.artefacts.teaches_like(before)
    for other in (GRID, BanditSection(name=DEFAULT_BANDIT, params={"error_cost": 2.0})):
        camera.activate(bandit=other)
        (changed,) = follower.look()
        assert changed.artefacts is not None
        assert not changed.artefacts.teaches_like(before)
    assert camera.said == []


def test_it_comes_back_from_a_grid_with_what_it_had_learned(tiny_bundle: Path, tmp_path: Path) -> None:
    world = filmed(default_world(tiny_bundle), 60)
    before, kept = world.made.state(), memory(tmp_path, {"policy": "default"})
    kept.rebind({"policy": "grid"}, rules_of(world))
    back = rules_of(World(tiny_bundle, DEFAULT_BANDIT))
    assert "had learned" in kept.recall({"policy": "default"}, back)
    assert back.policy.state() == before
    kept.close(back)


def shadowed(bundle: Path, active: str, shadow: str) -> Iterator[ShadowRecord]:
    """A policy, and another in its shadow."""
    world, records, refused = default_world(bundle) if active == DEFAULT_BANDIT else World(bundle, active), [], []
    made = make_policy(shadow, exits=3, rng=np.random.default_rng(0), objective=OBJECTIVE)
    desk = ShadowDesk(lambda _, record: records.append(record), refused.append)
    world.loop._on_shadowed = desk.put
    world.stream.rules = replace(world.stream.rules, shadow=replace(world.stream.rules, policy=made, id="5" * 64))
    filmed(world, 40)
    desk.close()
    assert refused == []
    yield from records


@pytest.mark.parametrize(("active", "shadow"), [(DEFAULT_BANDIT, "grid"), ("grid", DEFAULT_BANDIT)])
def test_it_is_asked_in_a_grids_shadow_and_has_one_itself(tiny_bundle: Path, active: str, shadow: str) -> None:
    records = list(shadowed(tiny_bundle, active, shadow))
    assert len(records) == 40
    assert [one for one in records if one.where]  # of some frames its way is known


def test_an_older_files_grid_keeps_its_seal_and_goes_on_deciding(camera: Camera, tmp_path: Path) -> None:
    """An id is of what is not a default: naming another default there would break every sealed file."""
    older = PolicyFile(bundle_id=camera.policy.bundle_id, exits=camera.policy.exits)
    assert older.bandit.name == "grid"
    assert older.id == older.model_copy(update={"bandit": BanditSection(name="grid")}).id
    policies.save(older, tmp_path / "older.yaml")
    assert policies.load(tmp_path / "older.yaml").bandit.name == "grid"


def test_setting_another_bandit_leaves_the_parameters_of_the_old_one_behind(camera: Camera) -> None:
    older = camera.policy.model_copy(update={"bandit": GRID})
    assert change(older, [f"bandit.name={DEFAULT_BANDIT}"]).bandit == DEFAULT
    assert change(older, ["bandit.name=grid", "bandit.params.c=0.1"]).bandit.params == {**GRID.params, "c": 0.1}
    given = change(older, ["bandit.params.error_cost=2.0", f"bandit.name={DEFAULT_BANDIT}"])
    assert given.bandit.params == {"error_cost": 2.0}
    camera.activate(bandit=given.bandit)
    assert camera.load().rules().policy.state()["policy"] == DEFAULT_BANDIT


def test_thresholds_of_segments_are_not_for_it_and_are_refused_in_one_line(camera: Camera) -> None:
    segments = SegmentsSection(column="site", params={"north": {"per_exit": [0.9, 0.9]}})
    camera.activate(bandit=DEFAULT, segments=segments)
    camera.load().rules()  # another site has none
    with pytest.raises(ConfigError, match=r"\Apolicy 'sequential' has no parameter 'per_exit'.*\Z"):
        camera.load(metadata={"site": "north"}).rules()


@pytest.mark.parametrize("given", [{"guard": GuardSection(never_early=(1, 3))}, {"guard": GuardSection(deepest=2)}])
def test_the_guard_of_a_file_holds_around_it(camera: Camera, tiny_bundle: Path, given: dict[str, Any]) -> None:
    camera.activate(bandit=DEFAULT, **given)
    rules = camera.load().rules()
    assert isinstance(rules.policy, Guard)
    world = World(tiny_bundle)
    world.stream.rules = rules
    world.play(0.05)
    filmed(world, 60)
    limits = rules.policy.limits
    assert len(world.outcomes) == 60
    assert not [one for one in world.outcomes if one.exit < 3 and one.label in limits.never_early]
    assert all(max(record.exits, default=0) <= (limits.deepest or 3) for record in world.records)
    assert learned_frames(rules.policy) > 0


def test_within_an_envelope_it_learns_from_audits_and_what_it_promised_is_restored(
    camera: Camera, tiny_bundle: Path, tmp_path: Path
) -> None:
    camera.activate(bandit=DEFAULT, envelope=EnvelopeSection(share=1.0), **CERTIFIED)
    world, rules = World(tiny_bundle), camera.load().rules()
    assert isinstance(rules.policy, Envelope)
    world.stream.rules = rules
    world.play(0.05)
    filmed(world, 120)
    assert len(world.outcomes) == 120
    assert not [one for one in world.outcomes if one.late]
    state = rules.policy.state()
    assert state["learner"]["model"]["frames"] > 0
    memory(tmp_path, {"bundle": "a"}).close(rules)
    again, opened = camera.load().rules(), memory(tmp_path, {"bundle": "a"})
    assert opened.restore(again).startswith("going on")
    assert again.policy.state() == state
    opened.close(again)
