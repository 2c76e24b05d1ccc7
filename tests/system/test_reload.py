"""A camera whose settings change while it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from edge_runtime.app import EdgeApp
from edge_runtime.config import EdgeConfig
from edge_runtime.frames.outcomes import Outcome
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core.config import parsed
from split_core.errors import ConfigError
from split_core.policy import BanditSection, ExitSection, PolicyFile
from split_core.telemetry.decisions import read_log, read_notes
from tests.edge_runtime.world import profile
from tests.tiny import tiny_samples

EXIT_1 = BanditSection(name="fixed", params={"split": 1, "threshold": 0.0})


@pytest.fixture
def site(tiny_bundle: Path, tmp_path: Path) -> Path:
    bundle_id = bundles.load(tiny_bundle).id
    np.savez(tmp_path / "images.npz", images=tiny_samples(50, seed=5)[0])
    profiles.save(profile(3, bundle_id).model_copy(update={"slowdown": 1.0}), tmp_path / "profile.yaml")
    for name, bandit in (("one", EXIT_1), ("whole", BanditSection(name="edge_only"))):
        file = PolicyFile(bundle_id=bundle_id, exits=(ExitSection(),) * 3, bandit=bandit)
        policies.save(file, tmp_path / f"{name}.yaml")
    return tmp_path


def settings(site: Path, bundle: Path, **changes: Any) -> EdgeConfig:
    document = {
        "bundle": str(bundle),
        "policy": str(site / "one.yaml"),
        "profile": str(site / "profile.yaml"),
        "decisions": str(site / "decisions.jsonl"),
        "source": {"kind": "array", "fps": 100, "options": {"path": str(site / "images.npz"), "loop": True}},
    }
    return parsed({**document, **changes}, EdgeConfig, "test")


def play(config: EdgeConfig, read: Callable[[], EdgeConfig], until: Callable[[EdgeApp, Outcome], bool]) -> EdgeApp:
    """Run; after five frames the settings are read again, until some frame says that it is enough."""
    app, seen = EdgeApp(config), 0
    reloader = app._reloader
    reloader.read = read

    def follow(outcome: Outcome, _: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 5:
            reloader.ask()
        if seen > 3000 or (seen > 5 and until(app, outcome)):
            app.stop()

    app.loop._on_outcome = (*app.loop._on_outcome, follow)
    app.run()
    assert seen <= 3000
    return app


def test_another_policy_and_deadline_hold_from_one_frame_to_the_next(site: Path, tiny_bundle: Path) -> None:
    new = settings(site, tiny_bundle, policy=str(site / "whole.yaml"), deadline_ms=321.0)
    app = play(settings(site, tiny_bundle), lambda: new, lambda _, outcome: outcome.exit == 3)
    exits = [record.exit for record in read_log(site / "decisions.jsonl")]
    assert exits[:5] == [1] * 5
    assert exits[-1] == 3
    assert exits == sorted(exits)
    assert len(list(read_notes(site / "decisions.jsonl", "header"))) == 2
    budget = app.cameras["camera"].stream.deployment.budget
    assert budget.deadline_at_s(1.0) == pytest.approx(1.321)


def test_what_needs_a_restart_is_said_in_one_line(site: Path, tiny_bundle: Path) -> None:
    new = settings(site, tiny_bundle, threads=2, audit={"share": 0.5})
    with structlog.testing.capture_logs() as said:
        play(settings(site, tiny_bundle), lambda: new, lambda app, _: app.cameras["camera"].stream.rules.audit == 0.5)
    assert [line["settings"] for line in said if "restart" in line["event"]] == [["threads"]]
    assert [line["changed"] for line in said if line["event"] == "reloaded"] == [["audit.share"]]


@pytest.mark.parametrize("bad", ["file", "policy"])
def test_a_bad_file_changes_nothing(site: Path, tiny_bundle: Path, bad: str) -> None:
    def read() -> EdgeConfig:
        if bad == "file":
            raise ConfigError("edge.yaml: not valid YAML")
        return settings(site, tiny_bundle, policy=str(site / "absent.yaml"), deadline_ms=321.0)

    refused: list[str] = []
    with structlog.testing.capture_logs() as said:

        def until(app: EdgeApp, _: Outcome) -> bool:
            refused[:] = [line["reason"] for line in said if line["log_level"] == "error"]
            return bool(refused)

        app = play(settings(site, tiny_bundle), read, until)
    assert len(refused) == 1
    assert app.cameras["camera"].stream.deployment.budget.deadline_at_s(1.0) == pytest.approx(1.2)
    assert {record.exit for record in read_log(site / "decisions.jsonl")} == {1}
