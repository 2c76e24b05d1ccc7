from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from bandits.build import make_policy
from bandits.policy import Answer, Context, Costs, Observation
from edge_runtime.following.memory import PolicyMemory
from edge_runtime.frames.ticket import Rules
from split_core.criteria.max_prob import MaxProb
from split_core.drift.base import Drift
from split_core.drift.histogram import histogram
from split_core.drift.monitor import DriftMonitor, Finding
from split_core.objective import Objective
from split_core.policy_state import KEEP, read_states, told
from split_core.readings import ExitCalibration, Reader, Reading

FOUND = Finding("ks", 1, Drift(0.3, 0.2, True))


def rules(splits=(1, 2, 3), frames: int = 0) -> Rules:
    """A grid that has seen so many frames."""
    grid = make_policy(
        "grid", exits=3, rng=np.random.default_rng(0), objective=Objective(), params={"splits": list(splits)}
    )
    context = Context((1, 2, 3), False, 100.0, Costs.published(3, 0.1, 0.3))
    for _ in range(frames):
        plan = grid.begin(context)
        readings = tuple(Reading(exit, 0, 0.7) for exit in plan.heads)
        grid.learn(Observation(plan, readings, Answer(readings[-1].exit), None, 0.1))
    return Rules(Reader([ExitCalibration()] * 3, MaxProb()), grid, Objective(), True, DriftMonitor(()))


def memory(path: Path | None, bundle: str = "a") -> PolicyMemory:
    return PolicyMemory(path, {"bundle": bundle}, every_s=5.0, clock=lambda: 0.0)


def test_what_was_learned_is_there_again(tmp_path: Path):
    learned, second = rules(frames=20), rules()
    memory(tmp_path / "state.json").close(learned)
    again = memory(tmp_path / "state.json")
    assert again.restore(second).startswith("going on")
    assert second.policy.state() == learned.policy.state()
    again.close(second)


def test_what_the_monitor_had_staked_is_there_again_and_nonsense_is_not(tmp_path: Path):
    """A false alarm is promised to be rare over all frames together, not between two restarts."""
    certain = histogram(np.linspace(0.0, 1.0, 200))
    before, after = (replace(rules(), monitor=DriftMonitor((certain,))) for _ in range(2))
    for x in np.random.default_rng(0).random(30):
        before.monitor.see(1, float(x))
    memory(tmp_path / "state.json").close(before)
    again = memory(tmp_path / "state.json")
    again.restore(after)
    assert after.monitor.saved() == before.monitor.saved() != DriftMonitor((certain,)).saved()
    again.close(after)
    saved = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps({**saved, "drift": {"1": 3}}))
    again = memory(tmp_path / "state.json")
    assert "not what a martingale remembers" in again.restore(after)
    again._writer.close()


def test_another_bundle_starts_afresh_and_says_so(tmp_path: Path):
    memory(tmp_path / "state.json").close(rules())
    other = memory(tmp_path / "state.json", bundle="b")
    assert "starting afresh" in other.restore(rules())
    other.close(rules())


def test_another_list_of_arms_starts_afresh_and_says_so(tmp_path: Path):
    memory(tmp_path / "state.json").close(rules())
    again = memory(tmp_path / "state.json")
    assert "starting afresh" in again.restore(rules(splits=(1, 3)))
    again.close(rules())


def test_a_damaged_file_starts_afresh(tmp_path: Path):
    for content in ("{half", "[1]", '{"binding": 1}', '{"binding": {}, "state": {}, "void": {"exit": 1}}'):
        (tmp_path / "state.json").write_text(content)
        again = memory(tmp_path / "state.json")
        assert "starting afresh" in again.restore(rules()), content
        again._writer.close()


def test_it_saves_by_itself_when_it_is_time_to(tmp_path: Path):
    now = [0.0]
    saving = PolicyMemory(tmp_path / "state.json", {"bundle": "a"}, every_s=5.0, clock=lambda: now[0])
    saving.tick(rules())
    now[0] = 6.0
    saving.tick(rules())
    saving._writer.close()
    assert json.loads((tmp_path / "state.json").read_text())["binding"] == {"bundle": "a"}


def test_a_policy_that_comes_back_goes_on_with_what_it_had_learned():
    kept, old, between, back = memory(None, "first"), rules(frames=30), rules(frames=3), rules()
    kept.rebind({"bundle": "second"}, old)
    assert kept.recall({"bundle": "third"}, back) == ""
    assert "had learned" in kept.recall({"bundle": "first"}, back)
    kept.rebind({"bundle": "first"}, between)
    assert back.policy.state() == old.policy.state() != between.policy.state()


def test_it_comes_back_so_after_a_restart_too(tmp_path: Path):
    first, old = memory(tmp_path / "state.json", "first"), rules(frames=30)
    first.rebind({"bundle": "second"}, old)
    first.close(rules())
    second, back = memory(tmp_path / "state.json", "second"), rules()
    second.restore(rules())
    second.recall({"bundle": "first"}, back)
    assert back.policy.state() == old.policy.state()
    second.close(rules())
    assert [one.binding["bundle"] for one in read_states(tmp_path / "state.json")] == ["second", "first"]


def test_so_many_policies_are_remembered_and_no_more(tmp_path: Path):
    many = memory(tmp_path / "state.json", "0")
    for number in range(1, 3 * KEEP):
        many.rebind({"bundle": str(number)}, rules())
    many.close(rules())
    assert len(read_states(tmp_path / "state.json")) == KEEP


def test_the_void_mark_survives_a_restart_and_is_not_another_policys(tmp_path: Path):
    first, voided = memory(tmp_path / "state.json", "first"), rules()
    voided.monitor.voided(FOUND)
    first.close(voided)
    assert "VOID, ks at exit 1" in told(read_states(tmp_path / "state.json"))[0]
    again, same, other = memory(tmp_path / "state.json", "first"), rules(), rules()
    assert "stay void" in again.restore(same)
    assert same.monitor.void
    assert same.monitor.cause == FOUND
    again.rebind({"bundle": "second"}, same)
    again.close(other)
    lines = told(read_states(tmp_path / "state.json"))
    assert [("VOID" in line) for line in lines] == [False, True]


def test_a_place_that_cannot_be_written_is_told_once_and_the_next_saving_makes_up_for_it(tmp_path: Path):
    told: list[str] = []
    path = tmp_path / "state.json"
    path.mkdir()
    saving = PolicyMemory(path, {"bundle": "a"}, every_s=5.0, clock=lambda: 0.0, tell=told.append)
    for frames in (1, 2):
        saving.save(rules(frames=frames))
        saving._writer.flush()
    assert [line.split(" (")[0] for line in told] == ["cannot be written"]
    assert saving.unsaved == 2
    path.rmdir()
    learned = rules(frames=20)
    saving.close(learned)
    assert told[1:] == ["is written again"]
    assert read_states(path)[0].state == learned.policy.state()
