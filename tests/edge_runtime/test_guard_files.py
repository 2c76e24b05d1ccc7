"""From the policy file's sections and the camera's configuration to the guard that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandits.guard import Guard, Limits
from bandits.policy import Answer, Costs, Policy
from edge_runtime.app import EdgeApp
from edge_runtime.config import EdgeConfig
from split_core import policy as policies
from split_core.config import parsed
from split_core.errors import ConfigError, PolicyFileError
from split_core.policy import BanditSection, ExitSection, PolicyFile
from split_core.telemetry.decisions import read_log
from split_core.telemetry.metrics import exposition
from tests.bandits.frames import context, play, readings_of
from tests.edge_runtime.test_policy_watch import Camera
from tests.tiny import tiny_samples

CASCADE = BanditSection(name="cascade", params={"per_exit": [0.5, 0.5]})
SEGMENTS = {"column": "site", "params": {"north": {"per_exit": [0.9, None], "by_class": {}}}}
GUARD = {"never_early": [1], "never_early_segments": {"light": ["night"]}, "deepest": 2}
ABSTAIN = {"alpha": 0.1, "quantiles": [[0.4], [0.4], [0.4]]}
OPEN = context(Costs.published(3, per_layer=1.0, offload=5.0))


@pytest.fixture
def camera(tiny_bundle: Path, tmp_path: Path) -> Camera:
    return Camera(tmp_path, tiny_bundle)


def answered_at(policy: Policy, confidence: float, label: int = 0) -> int | None:
    """The exit that answers a frame of which all exits say the same; None when it is shipped."""
    _, _, action = play(policy, OPEN, readings_of([confidence] * 3, label))
    return action.exit if isinstance(action, Answer) else None


def test_a_policy_file_without_the_new_sections_keeps_its_id() -> None:
    """Printed by the release before these sections came."""
    made = PolicyFile(
        bundle_id="ab" * 32,
        exits=(ExitSection(temperature=1.5),) * 2,
        bandit=BanditSection(name="cascade", params={"per_exit": [0.9]}),
    )
    assert made.id == "f84158cc971a6049480863d9c9aa5e27ba8fa91207465c5de4619e629aa80d82"
    assert not {"guard", "segments"} & set(made.model_dump(mode="json"))


def test_sections_survive_the_file_and_change_its_id(camera: Camera, tmp_path: Path) -> None:
    made = PolicyFile.model_validate(
        {**camera.policy.model_dump(mode="json"), "guard": {**GUARD, "abstain": ABSTAIN}, "segments": SEGMENTS}
    )
    policies.save(made, tmp_path / "p.yaml")
    assert policies.load(tmp_path / "p.yaml") == made
    assert made.id != camera.policy.id
    (line,) = [one for one in policies.differences(camera.policy, made) if "deepest" in one]
    assert line == "guard.deepest: absent -> 2"


@pytest.mark.parametrize(
    ("guard", "said"),
    [({"never_early": [-1]}, "numbers from 0"), ({"deepest": -1}, "deepest"), ({"abstain": {"alpha": 2}}, "alpha")],
)
def test_a_guard_that_makes_no_sense_is_refused_in_one_line(
    camera: Camera, tmp_path: Path, guard: dict[str, Any], said: str
) -> None:
    policies.save(camera.policy, tmp_path / "p.yaml")
    text = (tmp_path / "p.yaml").read_text()
    (tmp_path / "p.yaml").write_text(f"{text}guard: {guard}\n")
    with pytest.raises(PolicyFileError, match=said) as caught:
        policies.load(tmp_path / "p.yaml")
    assert "\n" not in str(caught.value)


def test_without_anything_to_guard_there_is_no_guard(camera: Camera) -> None:
    camera.activate(bandit=CASCADE)
    assert camera.load().limits() == Limits()
    assert not isinstance(camera.load().policy(), Guard)


def test_the_guard_of_the_file_runs(camera: Camera) -> None:
    camera.activate(bandit=CASCADE, guard=GUARD)
    policy = camera.load().policy()
    assert isinstance(policy, Guard)
    assert policy.deepest == 2
    assert answered_at(policy, 0.8) == 1
    assert answered_at(policy, 0.8, label=1) is None


def test_a_streams_metadata_says_whether_it_exits_early(camera: Camera) -> None:
    camera.activate(bandit=CASCADE, guard=GUARD)
    assert answered_at(camera.load(metadata={"light": "day"}).policy(), 0.8) == 1
    assert answered_at(camera.load(metadata={"light": "night"}).policy(), 0.8) is None


def test_a_streams_metadata_picks_its_thresholds(camera: Camera) -> None:
    camera.activate(bandit=CASCADE, segments=SEGMENTS)
    assert answered_at(camera.load(metadata={"site": "north"}).policy(), 0.8) == 3
    assert answered_at(camera.load(metadata={"site": "north"}).policy(), 0.95) == 1
    assert answered_at(camera.load(metadata={"site": "south"}).policy(), 0.8) == 1
    assert answered_at(camera.load().policy(), 0.8) == 1


def test_a_bandit_of_the_cameras_own_has_no_thresholds_of_segments(camera: Camera) -> None:
    camera.activate(bandit=CASCADE, segments=SEGMENTS)
    own = camera.load(metadata={"site": "north"}, bandit={"name": "edge_only", "params": {}})
    assert answered_at(own.policy(), 0.8) == 3


def test_what_was_learned_under_another_guard_does_not_hold(camera: Camera) -> None:
    camera.activate()
    plain = camera.load()
    camera.activate(guard=GUARD)
    guarded = camera.load()
    assert not guarded.teaches_like(plain)
    assert guarded.teaches_like(camera.load())


def test_a_guardrail_that_is_not_there_stops_the_start(camera: Camera) -> None:
    camera.activate()
    with pytest.raises(ConfigError, match="guardrail: math has no 'doors'"):
        camera.load(guardrail="math:doors")


def test_a_camera_with_a_guardrail_answers_every_frame_and_counts_what_went_wrong(
    camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _ = tiny_samples(30, seed=1)
    np.savez(tmp_path / "frames.npz", images=images)
    (tmp_path / "broken_rule.py").write_text("def rule(**answer):\n    raise RuntimeError('no')\n")
    monkeypatch.chdir(tmp_path)
    camera.activate(bandit={"name": "cascade", "params": {"per_exit": [0.0, 0.0]}})
    files = {"bundle": str(camera.bundle), "policy": str(camera.store.folder)}
    config = {
        **files,
        "profile": str(tmp_path / "profile.yaml"),
        "guardrail": "broken_rule:rule",
        "deadline_ms": 3_600_000,  # however slow this machine: a frame that runs late skips exits, and their questions
        "source": {"kind": "array", "every": True, "options": {"path": str(tmp_path / "frames.npz")}},
        "decisions": str(tmp_path / "log.jsonl"),
    }
    app = EdgeApp(parsed(config, EdgeConfig, "test"))
    app.run()
    summary = app.summary()
    assert summary["outcomes"] == len(images)
    assert summary["marked"] == {"guardrail": len(images)}
    records = list(read_log(tmp_path / "log.jsonl"))
    assert {(record.exit, record.marked) for record in records} == {(3, "guardrail")}
    shown = exposition(app.metrics.registry).decode()
    assert f'offramp_frames_marked_total{{why="guardrail"}} {len(images)}.0' in shown
    assert f"offramp_guardrail_errors_total {3 * len(images)}.0" in shown
