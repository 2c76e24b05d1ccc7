"""A running camera follows promote and rollback of its policy store, without a restart."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.app import EdgeApp
from edge_runtime.config import EdgeConfig
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core.cli import main
from split_core.config import parsed
from split_core.drift.base import Drift
from split_core.drift.monitor import Finding
from split_core.policy import BanditSection, ExitSection, ObjectiveSection, PolicyFile
from split_core.policy_state import read_states
from split_core.policy_store import PolicyStore
from split_core.telemetry.decisions import read_log, read_notes
from split_core.telemetry.log_summary import summarised
from split_core.telemetry.metrics import exposition
from split_core.telemetry.shadow import ShadowRecord
from tests.edge_runtime.world import profile
from tests.tiny import tiny_samples

FOUND = Finding("ks", 1, Drift(0.3, 0.2, True))


@pytest.fixture
def site(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A folder with a store whose active policy answers at exit 1, and whose candidate runs the whole network."""
    bundle_id = bundles.load(tiny_bundle).id
    np.savez(tmp_path / "images.npz", images=tiny_samples(50, seed=5)[0])
    profiles.save(profile(3, bundle_id).model_copy(update={"slowdown": 1.0}), tmp_path / "profile.yaml")
    store, file = PolicyStore(tmp_path / "store"), tmp_path / "new.yaml"
    first = BanditSection(name="fixed", params={"split": 1, "threshold": 0.0})
    for version, bandit in enumerate((first, BanditSection(name="edge_only")), 1):
        policies.save(PolicyFile(version=version, bundle_id=bundle_id, exits=(ExitSection(),) * 3, bandit=bandit), file)
        store.add(file)
        if version == 1:
            store.promote("active")
    return tmp_path


def camera(site: Path, tiny_bundle: Path, **more: str) -> EdgeApp:
    """Follows the store of `site` while it shows the same images over and over."""
    config = {
        "bundle": str(tiny_bundle),
        "policy": str(site / "store"),
        "profile": str(site / "profile.yaml"),
        "decisions": str(site / "decisions.jsonl"),
        "source": {"kind": "array", "fps": 100, "options": {"path": str(site / "images.npz"), "loop": True}},
    }
    return EdgeApp(parsed({**config, **more}, EdgeConfig, "test"))


def test_promote_and_rollback_reach_a_running_camera(site: Path, tiny_bundle: Path):
    store, decisions = PolicyStore(site / "store"), site / "decisions.jsonl"
    app = camera(site, tiny_bundle)
    exits: list[int] = []
    moved = threading.Event()

    def follow(outcome, record) -> None:
        """The camera's own outcomes move the story on: whole network seen, roll back; exit 1 again, stop."""
        exits.append(outcome.exit)
        if len(exits) == 20:
            store.promote("active")
        elif outcome.exit == 3 and not moved.is_set():
            moved.set()
            store.rollback()
        elif (moved.is_set() and outcome.exit == 1) or len(exits) > 3000:
            app.stop()

    app.loop._on_outcome = (*app.loop._on_outcome, follow)
    app.run()
    assert exits[:20] == [1] * 20
    assert exits[-1] == 1
    assert 3 in exits
    assert summarised(decisions).lines > len(exits)
    assert [record.exit for record in read_log(decisions)] == exits
    ids = [header["policy"][:12] for header in read_notes(decisions, "header")]
    assert len(ids) == 3
    assert ids[0] == ids[2] != ids[1]


def test_a_policy_in_the_shadow_is_asked_and_reported(site: Path, tiny_bundle: Path, capsys):
    """The first policy answers at exit 1; the candidate, put into the shadow, would run the whole network."""
    store, decisions = PolicyStore(site / "store"), site / "decisions.jsonl"
    app = camera(site, tiny_bundle)
    judged: list[int] = []

    def follow(outcome, record) -> None:
        judged.append(outcome.seq if app.cameras["camera"].stream.rules.shadow else -1)
        if len(judged) == 5:
            store.promote("shadow")
        elif len([seq for seq in judged if seq >= 0]) == 20 or len(judged) > 3000:
            app.stop()

    app.loop._on_outcome = (*app.loop._on_outcome, follow)
    app.run()
    records = [ShadowRecord.from_json(note) for note in read_notes(decisions, "shadow")]
    # The shadow may arrive while a frame is under way; that one ends by the rules that it began with.
    assert [record.seq for record in records] == [seq for seq in judged if seq >= 0]
    assert {(record.where, record.exit, record.label, record.active_exit) for record in records} == {("edge", 3, -1, 1)}
    assert 'offramp_shadow_frames_total{answered="elsewhere"} 20.0' in exposition(app.metrics.registry).decode()
    assert main(["policy", "shadow-report", str(decisions)]) == 0
    assert "would be answered elsewhere: 100.0 %" in capsys.readouterr().out


def test_rollback_brings_back_what_the_policy_had_learned_and_its_void_mark(site: Path, tiny_bundle: Path, capsys):
    store, state = PolicyStore(site / "store2"), site / "state.json"
    for version, mu in enumerate((0.01, 0.5), 1):  # at other prices nothing that was learned holds
        file = PolicyFile(version=version, bundle_id=bundles.load(tiny_bundle).id, exits=(ExitSection(),) * 3)
        policies.save(file.model_copy(update={"objective": ObjectiveSection(mu=mu)}), site / "grid.yaml")
        store.add(site / "grid.yaml")
        if version == 1:
            store.promote("active")
    app = camera(site, tiny_bundle, policy=str(store.folder), state=str(state))
    first = app.cameras["camera"].stream.rules.id
    first_choices: list[int] = []
    other_choices: list[int] = []

    def follow(outcome, record) -> None:
        """40 frames by the first, 10 by the second, then the first again until its first frame."""
        choices = app.cameras["camera"].stream.rules.policy.state()["choices"]
        if app.cameras["camera"].stream.rules.id == first:
            first_choices.append(choices)
        else:
            other_choices.append(choices)
        if len(first_choices) == 40 and not other_choices:
            app.cameras["camera"].stream.rules.monitor.voided(FOUND)
            store.promote("active")
        elif len(other_choices) == 10:
            store.rollback()
        elif (other_choices and app.cameras["camera"].stream.rules.id == first) or len(first_choices) > 3000:
            app.stop()

    app.loop._on_outcome = (*app.loop._on_outcome, follow)
    app.run()
    assert other_choices[:3] == [1, 2, 3]
    assert first_choices == list(range(1, len(first_choices) + 1))
    assert app.cameras["camera"].stream.rules.monitor.void
    said = capsys.readouterr().out
    assert "starting afresh" in said
    assert "going on with what it had learned when it was in force; drift had voided its promises" in said
    assert [one.void for one in read_states(state)] == [FOUND, None]
