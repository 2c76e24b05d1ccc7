from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from split_core import policy as policies
from split_core.cli import main
from split_core.drift.base import Drift
from split_core.drift.monitor import Finding
from split_core.policy import ExitSection, PolicyFile
from split_core.policy_state import PolicyState, document
from split_core.telemetry.decisions import DecisionLog
from split_core.telemetry.shadow import ShadowRecord

EARLIER = ShadowRecord(1, "a" * 12, "edge", 1, 1, 5, 0.8, 2.0, "edge", 3, 5, 0.9, 4.0)
OTHER_LABEL = replace(EARLIER, seq=2, label=6, confidence=0.6)
UNKNOWN = replace(EARLIER, seq=3, where="", exit=-1, beyond=2, label=-1, confidence=None, cost=None)
SHIPPED = replace(EARLIER, seq=4, where="cloud", exit=3, label=-1, confidence=None, cost=6.0)


def log(folder: Path, *records: ShadowRecord) -> str:
    path = folder / "decisions.jsonl"
    written = DecisionLog(path, {"policy": "p"})
    written.note("drift", {"detector": "ks"})
    for record in records:
        written.note("shadow", asdict(record))
    written.close()
    return str(path)


def test_the_report_sets_the_shadow_beside_what_was_active(tmp_path: Path, capsys):
    assert main(["policy", "shadow-report", log(tmp_path, EARLIER, OTHER_LABEL, UNKNOWN, SHIPPED)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "shadow aaaaaaaaaaaa, 4 frames; its way is unknown for 25.0 %: 1 beyond exit 2"
    assert lines[1] == "would be answered elsewhere: 100.0 % of 3 known ways"
    assert lines[2] == "same label: 50.0 % of 2 known answers"
    table = {line[:24].strip(): line[24:].split() for line in lines[4:]}
    assert table["answered at edge 1"] == ["66.7", "%", "0.0", "%"]
    assert table["answered at cloud 3"] == ["33.3", "%", "0.0", "%"]
    assert table["answered at edge 3"] == ["0.0", "%", "100.0", "%"]
    assert table["mean confidence"] == ["0.700", "0.900"]
    assert table["expected cost"] == ["3.333", "4.000"]


def test_shadows_are_reported_one_by_one(tmp_path: Path, capsys):
    assert main(["policy", "shadow-report", log(tmp_path, EARLIER, replace(EARLIER, policy="b" * 12)), "--json"]) == 0
    assert [one["policy"][0] for one in json.loads(capsys.readouterr().out)] == ["a", "b"]


def test_a_log_without_a_shadow_says_what_to_do(tmp_path: Path, capsys):
    assert main(["policy", "shadow-report", log(tmp_path)]) != 0
    assert "puts the candidate there" in capsys.readouterr().err


def test_show_says_which_policy_is_void(tmp_path: Path, capsys):
    policies.save(PolicyFile(bundle_id="b" * 64, exits=(ExitSection(),)), tmp_path / "policy.yaml")
    void = PolicyState({"policy": "c" * 64, "bandit": "grid"}, {}, Finding("psi", 1, Drift(0.4, 0.2, True)))
    fine = PolicyState({"policy": "d" * 64, "bandit": "cascade"}, {})
    (tmp_path / "state.json").write_bytes(document([void, fine]))
    words = ["policy", "show", str(tmp_path / "policy.yaml"), "--state", str(tmp_path / "state.json")]
    assert main(words) == 0
    *_, first, second = capsys.readouterr().out.splitlines()
    assert first == "# in force  policy cccccccccccc  grid: VOID, psi at exit 1: 0.4 over 0.2"
    assert second == "# before    policy dddddddddddd  cascade: as calibrated"
