"""`offramp demo --quick`, as CI runs it: every room, real processes, real images, three outages."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from split_core.telemetry.log_summary import summarised

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROW = {
    "name",
    "live",
    "accuracy",
    "agreement",
    "latency_ms",
    "kb_per_frame",
    "exit_share",
    "offload_share",
    "mean_cost",
    "regret",
    "deadline_misses",
    "degraded",
}
POLICIES = {"edge_only", "random", "best_fixed", "splitee", "splitee_s", "ucbee", "grid", "sequential"}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one quick demo."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("demo")
    words = [sys.executable, "-m", "split_core.cli", "demo", "--quick", "--out", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def result(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "result.json").read_text())
    return document


def test_the_result_has_the_keys_that_others_read(result):
    assert {"setting", "exits", "runs", "outage", "versions"} <= set(result)
    assert {"link", "slowdown", "objective"} <= set(result["setting"])
    assert set(result["runs"]) == {"any", "hidden"}
    for run in result["runs"].values():
        assert all(set(row) >= ROW for row in run["policies"])
        assert all(set(row["latency_ms"]) == {"mean", "p50", "p95", "p99"} for row in run["policies"])


def test_every_policy_is_there_replayed_and_three_of_them_live_beside_their_replay(result):
    rows = result["runs"]["any"]["policies"]
    assert {row["name"] for row in rows if not row["live"]} >= POLICIES | {"cloud_only"}
    live = {row["name"]: row for row in rows if row["live"]}
    assert set(live) == {"sequential", "edge_only", "cloud_only"}
    assert all(row["replayed"]["frames"] == row["frames"] for row in live.values())


def test_the_network_is_as_good_as_it_is_said_to_be(result):
    accuracy = [exit["accuracy"] for exit in result["exits"]]
    assert len(accuracy) == 6
    assert accuracy[-1] >= 0.925
    assert 0.75 <= accuracy[0] < accuracy[-1] - 0.05
    assert all(later >= earlier - 0.003 for earlier, later in itertools.pairwise(accuracy))


def test_live_answers_are_as_right_as_their_replay(result):
    for run in result["runs"].values():
        for row in (row for row in run["policies"] if row["live"] and row["name"] != "sequential"):
            assert row["accuracy"] == pytest.approx(row["replayed"]["accuracy"], abs=0.02)


def test_pixels_never_leave_when_they_may_not(out, result):
    from split_core.telemetry.decisions import read_log

    shipped = {record.shipped for record in read_log(out / "decisions" / "hidden-sequential.jsonl")}
    assert 0 not in shipped
    assert all(row["name"] != "cloud_only" for row in result["runs"]["hidden"]["policies"])
    assert result["privacy"]["mean_cost_hidden"] > 0


def test_through_kill_freeze_and_black_hole_every_frame_has_one_outcome_by_its_deadline(result):
    outage = result["outage"]
    assert [fault["kind"] for fault in outage["faults"]] == ["kill", "freeze", "black_hole"]
    assert outage["outcomes"] + outage["dropped"] == outage["frames"]
    assert outage["duplicates"] == 0
    assert outage["deadline_misses"] == 0


def test_the_cloud_is_used_again_after_every_fault(result):
    assert all(fault["recovery_s"] is not None for fault in result["outage"]["faults"])


def test_the_report_opens_offline(out):
    text = (out / "report.html").read_text()
    assert "<html" in text
    assert not [line for line in text.splitlines() if 'src="http' in line or 'href="http' in line]


def test_the_decision_logs_are_whole(out):
    logs = sorted((out / "decisions").glob("*.jsonl"))
    assert len(logs) >= 6
    assert all(summarised(log).lines > 100 for log in logs)
