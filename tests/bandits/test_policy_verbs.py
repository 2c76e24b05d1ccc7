from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandits import path_model
from bandits.build import make_policy
from bandits.path_model import PathModel
from bandits.policy import Policy
from bandits.replay import replay
from edge_runtime.following.memory import PolicyMemory
from edge_runtime.frames.ticket import Rules
from split_core import policy as policies
from split_core import traces
from split_core.cli import main
from split_core.criteria.max_prob import MaxProb
from split_core.drift.base import Drift
from split_core.drift.monitor import DriftMonitor, Finding
from split_core.policy import BanditSection, ExitSection, PolicyFile
from split_core.policy_state import PolicyState, document, read_states
from split_core.readings import ExitCalibration, Reader
from tests.bandits.frames import random_traces

EXITS = 3
MODEL = PathModel.published(EXITS, per_layer=0.05, offload=0.15)
BUNDLE = "a" * 64


@pytest.fixture
def policy_path(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    section = BanditSection(name="splitee", params={"c": 0.1})
    policies.save(PolicyFile(bundle_id=BUNDLE, exits=(ExitSection(),) * EXITS, bandit=section), path)
    return path


def fresh() -> Policy:
    return make_policy(
        "splitee", exits=EXITS, rng=np.random.default_rng(0), objective=MODEL.objective, params={"c": 0.1}
    )


def camera(path: Path, policy_path: Path, seed: int, **changed: Any) -> PolicyState:
    """What a camera keeps after 300 frames."""
    policy = fresh()
    replay(policy, random_traces(300, EXITS, seed=seed, payloads=False), MODEL, np.random.default_rng(0))
    binding = {"bundle": BUNDLE, "policy": policies.load(policy_path).id, "profile": "pi5.yaml", "bandit": "splitee"}
    kept = replace(PolicyState({**binding, **changed}, policy.state()), void=None)
    path.write_bytes(document([kept]))
    return kept


def test_a_new_camera_gets_a_state_that_it_takes(tmp_path: Path, policy_path: Path, capsys: Any) -> None:
    kept = [camera(tmp_path / f"{seed}.json", policy_path, seed) for seed in range(2)]
    states = [str(tmp_path / f"{seed}.json") for seed in range(2)]
    out = tmp_path / "new.json"
    assert main(["policy", "warm-start", str(policy_path), *states, "--weight", "20", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cameras"] == 2
    start = read_states(out)[0]
    assert start.binding == kept[0].binding
    memory = PolicyMemory(out, kept[0].binding, every_s=5.0, clock=lambda: 0.0)
    rules = Rules(Reader([ExitCalibration()] * EXITS, MaxProb()), fresh(), MODEL.objective, True, DriftMonitor(()))
    assert memory.restore(rules).startswith("going on from")
    assert rules.policy.state() == start.state
    assert sum(start.state["bandit"]["pulls"]) == pytest.approx(20.0)


def test_a_policy_that_was_in_force_before_is_found(tmp_path: Path, policy_path: Path) -> None:
    path, out = tmp_path / "kept.json", tmp_path / "new.json"
    kept = camera(path, policy_path, 0)
    path.write_bytes(document([PolicyState({**kept.binding, "policy": "c" * 64}, {}), kept]))
    assert main(["policy", "warm-start", str(policy_path), str(path), "--out", str(out)]) == 0
    assert read_states(out)[0].binding == kept.binding


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"policy": "c" * 64}, "nothing learned under policy"),
        ({"bundle": "c" * 64}, "nothing learned under policy"),
        ({"profile": "nano.yaml"}, "different profiles, nano.yaml, pi5.yaml: pool those of one"),
    ],
)
def test_only_the_same_cameras_are_pooled(
    tmp_path: Path, policy_path: Path, capsys: Any, changed: dict[str, str], message: str
) -> None:
    camera(tmp_path / "0.json", policy_path, 0)
    camera(tmp_path / "1.json", policy_path, 1, **changed)
    out = tmp_path / "new.json"
    states = [str(tmp_path / "0.json"), str(tmp_path / "1.json")]
    assert main(["policy", "warm-start", str(policy_path), *states, "--out", str(out)]) != 0
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_what_drift_has_voided_starts_nobody(tmp_path: Path, policy_path: Path, capsys: Any) -> None:
    path = tmp_path / "0.json"
    void = replace(camera(path, policy_path, 0), void=Finding("psi", 1, Drift(0.4, 0.2, True)))
    path.write_bytes(document([void]))
    assert main(["policy", "warm-start", str(policy_path), str(path), "--out", str(tmp_path / "new.json")]) != 0
    assert "drift has voided what this camera learned" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "new.json"], "expected: policy warm-start POLICY STATE ... --out FILE"),
        (["0.json"], "expected: policy warm-start POLICY STATE ... --out FILE"),
        (["0.json", "--out", "new.json", "--weight", "0"], "--weight: expected a number from 1"),
    ],
)
def test_what_is_missing_is_said(policy_path: Path, capsys: Any, options: list[str], message: str) -> None:
    assert main(["policy", "warm-start", str(policy_path), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_threshold_from_source_data_becomes_the_bandit(tmp_path: Path, policy_path: Path, capsys: Any) -> None:
    trace, costs = tmp_path / "source.npz", tmp_path / "costs.json"
    traces.save(replace(random_traces(300, EXITS, payloads=False), bundle_id=BUNDLE), trace)
    path_model.save(MODEL, costs)
    command = ["policy", "source-threshold", str(policy_path), "--trace", str(trace), "--costs", str(costs), "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    changed = policies.load(policy_path)
    assert (changed.bandit.name, changed.version, changed.id) == ("source_threshold", 2, found["id"])
    assert changed.bandit.params == {"split": found["split"], "threshold": found["threshold"]}
    make_policy(
        "source_threshold",
        exits=EXITS,
        rng=np.random.default_rng(0),
        objective=MODEL.objective,
        params=changed.bandit.params,
    )


def test_a_source_of_another_bundle_is_refused(tmp_path: Path, policy_path: Path, capsys: Any) -> None:
    trace, costs = tmp_path / "source.npz", tmp_path / "costs.json"
    traces.save(replace(random_traces(30, EXITS, payloads=False), bundle_id="b" * 64), trace)
    path_model.save(MODEL, costs)
    assert main(["policy", "source-threshold", str(policy_path), "--trace", str(trace), "--costs", str(costs)]) != 0
    assert "a trace of bundle bbbbbbbbbbbb" in capsys.readouterr().err
    assert main(["policy", "source-threshold", str(policy_path)]) == 2
