from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bandits.build import make_policy
from edge_runtime.memory import PolicyMemory
from split_core.objective import Objective


def grid(splits=(1, 2, 3)):
    return make_policy(
        "grid", exits=3, rng=np.random.default_rng(0), objective=Objective(), params={"splits": list(splits)}
    )


def memory(path: Path, bundle: str = "a") -> PolicyMemory:
    return PolicyMemory(path, {"bundle": bundle}, every_s=5.0, clock=lambda: 0.0)


def test_what_was_learned_is_there_again(tmp_path: Path):
    first = memory(tmp_path / "state.json")
    policy = grid()
    first.close(policy)
    second = grid()
    again = memory(tmp_path / "state.json")
    assert again.restore(second).startswith("going on")
    assert second.state() == policy.state()
    again.close(second)


def test_another_bundle_starts_afresh_and_says_so(tmp_path: Path):
    memory(tmp_path / "state.json").close(grid())
    other = memory(tmp_path / "state.json", bundle="b")
    assert "starting afresh" in other.restore(grid())
    other.close(grid())


def test_another_list_of_arms_starts_afresh_and_says_so(tmp_path: Path):
    memory(tmp_path / "state.json").close(grid())
    again = memory(tmp_path / "state.json")
    assert "starting afresh" in again.restore(grid(splits=(1, 3)))
    again.close(grid())


def test_a_damaged_file_starts_afresh(tmp_path: Path):
    (tmp_path / "state.json").write_text("{half")
    again = memory(tmp_path / "state.json")
    assert "starting afresh" in again.restore(grid())
    again.close(grid())


def test_it_saves_by_itself_when_it_is_time_to(tmp_path: Path):
    now = [0.0]
    saving = PolicyMemory(tmp_path / "state.json", {"bundle": "a"}, every_s=5.0, clock=lambda: now[0])
    policy = grid()
    saving.tick(policy)
    now[0] = 6.0
    saving.tick(policy)
    saving._writer.close()
    assert json.loads((tmp_path / "state.json").read_text())["binding"] == {"bundle": "a"}
