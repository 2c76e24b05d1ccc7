from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandits import path_model as path_models
from bandits.loss import best_fixed_arm_by_loss
from bandits.regret import arm_means, best_fixed_arm
from split_core import policy as policies
from split_core import profiles, traces
from split_core.cli import main
from split_core.policy import PolicyFile
from split_core.telemetry.decisions import DecisionLog, FrameRecord
from tests.bandits.frames import path_model, random_traces
from tests.bandits.records import policy_of, profile_of, record, walked
from tests.bandits.test_measured import ARMS

TRACES = random_traces(120, 3)
TRUTH = path_model(link_residual_ms=(0.0,))
PUBLISHED = "--published", "lambda=0.1,offload=0.3"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A trace, costs, a policy, a profile, and the logs of two live runs, as commands would have left them."""
    traces.save(TRACES, tmp_path / "trace.npz")
    path_models.save(TRUTH, tmp_path / "costs.json")
    policies.save(policy_of(TRUTH, name="grid", params={"c": 0.1}), tmp_path / "policy.yaml")
    profiles.save(profile_of(TRUTH), tmp_path / "profile.yaml")
    write_log(tmp_path / "grid.jsonl", [walked(TRUTH, TRACES, row, ARMS[row % 4]) for row in range(100)])
    write_log(tmp_path / "edge.jsonl", [walked(TRUTH, TRACES, row, ARMS[3]) for row in range(60)])
    return tmp_path


def write_log(path: Path, records: list[FrameRecord]) -> None:
    log = DecisionLog(path, {})
    for line in records:
        log.write(line)
    log.close()


@pytest.fixture
def replayed(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """What `offramp replay trace.npz ... --json` prints."""

    def command(*words: object) -> dict[str, Any]:
        code = main(["replay", str(folder / "trace.npz"), "--seeds", "1", "--json", *map(str, words)])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        found: dict[str, Any] = json.loads(captured.out)
        return found

    return command


def live(folder: Path) -> list[object]:
    """Words that give costs by live runs."""
    return [
        "--policy", folder / "policy.yaml", "--profile", folder / "profile.yaml",
        "--log", f"grid={folder / 'grid.jsonl'}", "--log", f"edge_only={folder / 'edge.jsonl'}",
    ]  # fmt: skip


def names(found: dict[str, Any]) -> list[str]:
    return [row["name"] for row in found["rows"]]


def test_the_answer_has_the_keys_that_reports_read(replayed: Any) -> None:
    found = replayed(*PUBLISHED)
    assert list(found) == [
        "rows", "regret", "oracle_regret", "exits", "best_fixed", "phases", "cost_model", "scenario", "frames", "published",
    ]  # fmt: skip
    assert list(found["best_fixed"]) == ["split", "threshold", "mean_reward", "by_loss"]
    assert list(found["exits"]) == ["policy", "frame", "share"]
    assert found["exits"]["policy"] == "sequential"


def test_published_costs_play_the_papers_policies_without_a_split_0(replayed: Any) -> None:
    found = replayed(*PUBLISHED)
    assert names(found) == [
        "edge_only",
        "offload_all",
        "random",
        "best_fixed",
        "splitee",
        "splitee_s",
        "ucbee",
        "grid",
        "sequential",
    ]
    assert found["cost_model"]["device_ms"] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert (found["cost_model"]["link_base_ms"], found["cost_model"]["ship"]) == (0.3, "hidden")


def test_published_costs_may_price_heads_and_give_mu(replayed: Any) -> None:
    found = replayed("--published", "lambda=0.08, offload=0.3, head=0.02, mu=0.5", "--policies", "splitee")
    assert found["cost_model"]["head_ms"] == pytest.approx([0.0, 0.02, 0.02, 0.02])
    assert found["cost_model"]["objective"]["mu"] == 0.5


def test_curves_are_over_all_frames_and_no_policy_is_left_out(replayed: Any) -> None:
    found = replayed(*PUBLISHED)
    by_name = {row["name"]: row for row in found["rows"]}
    assert set(found["regret"]) == set(by_name) - {"best_fixed"}
    assert set(found["oracle_regret"]) == set(by_name)
    for name, curve in found["regret"].items():
        assert len(curve["frame"]) == len(curve["regret"])
        assert (curve["frame"][0], curve["frame"][-1]) == (1, 120)
        assert curve["regret"][-1] == pytest.approx(by_name[name]["regret"], abs=1e-3)


def test_shares_of_exits_and_offloads_add_up_in_every_window(replayed: Any) -> None:
    found = replayed(*PUBLISHED)["exits"]
    assert len(found["frame"]) == len(found["share"]) == 50
    assert found["frame"][-1] == 120
    for shares in found["share"]:
        assert len(shares) == 4
        assert sum(shares) == pytest.approx(1.0)


def test_the_best_fixed_arm_is_that_of_the_trace(replayed: Any, folder: Path) -> None:
    found = replayed("--costs", folder / "costs.json")
    arm, mean = best_fixed_arm(TRACES, TRUTH)
    least, loss = best_fixed_arm_by_loss(TRACES, TRUTH)
    assert found["best_fixed"] == {
        "split": arm.split, "threshold": arm.threshold, "mean_reward": pytest.approx(mean),
        "by_loss": {"split": least.split, "threshold": least.threshold, "mean_loss": pytest.approx(loss)},
    }  # fmt: skip
    assert {row["name"]: row for row in found["rows"]}["best_fixed"]["regret"] == pytest.approx(0.0, abs=1e-9)


def test_costs_from_a_file_are_used_as_they_are(replayed: Any, folder: Path) -> None:
    found = replayed("--costs", folder / "costs.json")
    assert "cloud_only" in names(found)
    assert found["cost_model"]["link_ms_per_kb"] == 5.0
    assert "link_residual_ms" not in found["cost_model"]


def test_chosen_policies_stand_beside_the_trivial_ones(replayed: Any, folder: Path) -> None:
    found = replayed("--costs", folder / "costs.json", "--policies", "splitee, ucbee")
    assert names(found) == ["edge_only", "cloud_only", "offload_all", "random", "best_fixed", "splitee", "ucbee"]
    assert found["exits"]["policy"] == "edge_only"


def test_live_runs_give_the_costs_and_stand_beside_their_replay(replayed: Any, folder: Path) -> None:
    found = replayed(*live(folder))
    first, second = found["rows"][:2]
    assert (first["name"], first["live"], first["frames"]) == ("grid", True, 100)
    assert (second["name"], second["live"], second["frames"]) == ("edge_only", True, 60)
    assert second["replayed"]["mean_cost"] == pytest.approx(second["mean_cost"])
    assert second["replayed"]["live"] is False
    assert found["cost_model"]["link_base_ms"] == pytest.approx(20.0)
    assert found["cost_model"]["device_ms"] == pytest.approx([0.0, 10.0, 20.0, 30.0])


def test_fitted_costs_can_be_saved_and_used_again(replayed: Any, folder: Path) -> None:
    first = replayed(*live(folder), "--save-costs", folder / "fitted.json", "--policies", "splitee")
    again = replayed("--costs", folder / "fitted.json", "--policies", "splitee")
    assert again["cost_model"] == first["cost_model"]
    replays = [row for row in first["rows"] if not row["live"]]
    assert [row["mean_cost"] for row in replays] == [row["mean_cost"] for row in again["rows"]]


def test_a_deadline_is_counted(replayed: Any, folder: Path) -> None:
    found = replayed(*live(folder), "--deadline-ms", "25", "--policies", "splitee")
    by_name = {row["name"]: row for row in found["rows"] if not row["live"]}
    assert found["cost_model"]["deadline_ms"] == 25.0
    assert by_name["edge_only"]["deadline_misses"] == 120
    assert by_name["cloud_only"]["degraded"] == 120


def test_seeds_are_averaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs: dict[int, float] = {}
    for seeds in (1, 2):
        words = ["replay", str(folder / "trace.npz"), *PUBLISHED, "--json", "--policies", "splitee"]
        assert main([*words, "--seeds", str(seeds)]) == 0
        rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
        costs[seeds] = rows["random"]["mean_cost"]
    assert costs[1] != costs[2]


def test_people_get_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(folder / "trace.npz"), "--seeds", "1", *map(str, live(folder))]) == 0
    printed = capsys.readouterr().out
    assert "regret against the best fixed arm in hindsight" in printed
    assert all(name in printed for name in ("cloud_only", "grid (live)", "its replay", "best_fixed", "splitee_s"))


def test_a_trace_without_labels_has_no_accuracy_and_still_a_table(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unlabelled = traces.Traces(TRACES.confidence, TRACES.prediction, np.full(120, -1))
    traces.save(unlabelled, folder / "trace.npz")
    assert main(["replay", str(folder / "trace.npz"), "--seeds", "2", *PUBLISHED]) == 0
    assert "splitee" in capsys.readouterr().out


def test_measured_and_papers_costs_stand_side_by_side(replayed: Any, folder: Path) -> None:
    found = replayed("--costs", folder / "costs.json", "--policies", "splitee")
    beside = found["published"]
    assert found["cost_model"]["link_base_ms"] == 20.0
    assert (beside["cost_model"]["link_base_ms"], beside["cost_model"]["ship"]) == (0.3, "hidden")
    assert names(beside) == ["edge_only", "offload_all", "random", "best_fixed", "splitee"]
    assert replayed(*PUBLISHED)["published"] is None
    other = replayed("--costs", folder / "costs.json", "--published", "lambda=0.2,offload=0.5")["published"]
    assert other["cost_model"]["link_base_ms"] == 0.5


def test_a_scenario_is_played_and_told(replayed: Any) -> None:
    found = replayed(*PUBLISHED, "--scenario", "price_steps:factors=[1, 8]", "--frames", "200", "--policies", "fixed")
    assert (found["scenario"], found["frames"]) == ("price_steps", 200)
    assert found["phases"] == [
        {"name": "cloud price x 1", "frames": 100}, {"name": "cloud price x 8", "frames": 100},
    ]  # fmt: skip
    steady = replayed(*PUBLISHED, "--frames", "200", "--policies", "fixed")
    dear, cheap = ({row["name"]: row for row in each["rows"]}["offload_all"] for each in (found, steady))
    assert dear["mean_cost"] > cheap["mean_cost"] + 0.5


def test_a_shift_goes_to_the_second_trace(replayed: Any, folder: Path) -> None:
    traces.save(random_traces(50, 3, seed=8), folder / "other.npz")
    found = replayed(folder / "other.npz", *PUBLISHED, "--scenario", "shift", "--policies", "fixed")
    assert [phase["name"] for phase in found["phases"]] == ["trace 1", "trace 2"]


def test_mistakes_cost_what_they_are_said_to(replayed: Any) -> None:
    one, ten = (replayed(*PUBLISHED, "--error-cost", cost, "--policies", "fixed") for cost in ("1", "[10, 10, 10, 10]"))
    for row, dear in zip(one["rows"], ten["rows"], strict=True):
        assert dear["mean_loss"] == pytest.approx(row["mean_loss"] + 9.0 * (1.0 - row["agreement"]))


def test_the_page_opens_offline_and_the_picture_is_one(replayed: Any, folder: Path) -> None:
    replayed("--costs", folder / "costs.json", "--html", folder / "page.html", "--plot", folder / "regret.png")
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "Measured costs" in page
    assert "Published costs" in page
    assert page.count("<svg") == 2
    assert not any(link in page for link in ("http://", "https://", "<script", "<link"))
    assert (folder / "regret.png").read_bytes().startswith(b"\x89PNG")
    replayed(*PUBLISHED, "--plot", folder / "regret.svg")
    assert "<svg" in (folder / "regret.svg").read_text(encoding="utf-8")


def test_the_frames_of_a_log_that_were_read_whole_are_a_trace(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = [
        record(seq=row, exits=(1, 2, 3), labels=tuple(TRACES.prediction[row].tolist()),
               confidences=tuple(TRACES.confidence[row].tolist()), exit=3)
        for row in range(40)
    ]  # fmt: skip
    seen = [
        record(seq=40, exits=(1, 2), labels=(1, 1), confidences=(0.4, 0.5), exit=3, where="cloud", verdict_label=2,
               verdict_confidence=0.9),
        record(seq=41, exits=(1,), exit=1),
    ]  # fmt: skip
    write_log(folder / "whole.jsonl", [*whole, *seen])
    assert main(["replay", str(folder / "whole.jsonl"), *PUBLISHED, "--seeds", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frames"] == 41
    assert found["rows"][0]["accuracy"] is None


def test_arms_are_estimated_from_a_log_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.choice(4, 400, p=[0.4, 0.3, 0.2, 0.1])
    records = [walked(TRUTH, TRACES, row % 120, ARMS[arm]) for row, arm in enumerate(drawn)]
    chance = dict(enumerate([0.4, 0.3, 0.2, 0.1]))
    write_log(folder / "drawn.jsonl", [replace(r, propensity=chance[a]) for r, a in zip(records, drawn, strict=True)])
    words = ["replay", "--off-policy", str(folder / "drawn.jsonl"), "--policy", str(folder / "policy.yaml")]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["left_out"], len(found["rows"])) == (400, 0, 5)
    truth = dict(zip((f"{arm.split} @ {arm.threshold:g}" for arm in ARMS), arm_means(TRACES, ARMS, TRUTH), strict=True))
    for row in found["rows"][:4]:
        assert abs(row["dr"]["value"] - truth[row["arm"]]) < 4.0 * row["dr"]["std_error"]
    assert main(words) == 0
    assert "effective frames" in capsys.readouterr().out


BAD_OPTIONS = {
    "no costs": ([], 2, "nothing says what things cost"),
    "a policy without a log": (["--policy", "{0}/policy.yaml"], 2, "nothing says what things cost"),
    "no number": (["--published", "lambda=x,offload=0.3"], 2, "expected lambda=0.1,offload=0.3"),
    "no equals sign": (["--published", "lambda"], 2, "expected lambda=0.1,offload=0.3"),
    "no offload": (["--published", "lambda=0.1"], 2, "expected lambda=0.1,offload=0.3"),
    "unknown price": (["--published", "lambda=0.1,offload=0.3,hed=1"], 2, "'hed' is none of"),
    "negative price": (["--published", "lambda=0.1,offload=-1"], 2, "offload"),
    "negative layer": (["--published", "lambda=-0.1,offload=1"], 2, "lambda"),
    "endless price": (["--published", "lambda=0.1,offload=inf"], 2, "offload"),
    "negative mu": (["--published", "lambda=0.1,offload=0.3,mu=-1"], 2, "mu"),
    "unknown policy": ([*PUBLISHED, "--policies", "splite"], 2, "did you mean 'splitee'"),
    "unknown scenario": ([*PUBLISHED, "--scenario", "outages"], 2, "did you mean 'outage'"),
    "a wrong parameter of it": ([*PUBLISHED, "--scenario", "outage:window=2"], 2, "did you mean 'windows'"),
    "an error cost below 0": ([*PUBLISHED, "--error-cost", "-1"], 2, "--error-cost '-1': expected a number"),
    "too few error costs": ([*PUBLISHED, "--error-cost", "[1, 2]"], 3, "classes 0..1"),
    "a plot of another kind": ([*PUBLISHED, "--plot", "{0}/a.gif"], 2, "ends in .png or .svg"),
    "a log that was never read whole": (["{0}/edge.jsonl", *PUBLISHED], 3, "no frame in this log was read at all"),
    "a log without a name": (["--log", "grid.jsonl"], 2, "expected NAME=FILE"),
    "no seeds": ([*PUBLISHED, "--seeds", "0"], 2, "seeds"),
    "unknown option": ([*PUBLISHED, "--sees", "1"], 2, "--sees"),
    "no such costs": (["--costs", "{0}/nowhere.json"], 3, "nowhere.json: cannot be read"),
    "costs of another kind": (["--costs", "{0}/policy.yaml"], 3, "policy.yaml"),
    "no such log": (["--log", "grid={0}/nowhere.jsonl"], 3, "nowhere.jsonl"),
    "no log": (["--log", "grid={0}/policy.yaml"], 3, "policy.yaml"),
    "no such policy file": ([*PUBLISHED, "--policy", "{0}/nowhere.yaml"], 3, "nowhere.yaml"),
    "no such profile": (
        ["--policy", "{0}/policy.yaml", "--profile", "{0}/nowhere.yaml", "--log", "grid={0}/grid.jsonl"],
        3, "nowhere.yaml",
    ),
    "a log without the cloud": (
        ["--policy", "{0}/policy.yaml", "--profile", "{0}/profile.yaml", "--log", "edge_only={0}/edge.jsonl"],
        3, "no frame of this log was answered by the cloud",
    ),
    "a log of an unknown policy": (["--costs", "{0}/costs.json", "--log", "gird={0}/grid.jsonl"], 2, "did you mean 'grid'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_a_bad_option_is_one_line_that_says_which(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, code, said = BAD_OPTIONS[case]
    assert said in refused(capsys, code, folder / "trace.npz", *(word.format(folder) for word in words))


def test_a_trace_that_is_none_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.npz" in refused(capsys, 3, folder / "nowhere.npz", *PUBLISHED)
    assert "policy.yaml: not a trace" in refused(capsys, 3, folder / "policy.yaml", *PUBLISHED)


def test_costs_of_another_network_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces.save(random_traces(20, 4), folder / "trace.npz")
    assert "for 3 exits, the trace has 4" in refused(capsys, 3, folder / "trace.npz", "--costs", folder / "costs.json")


def test_a_policy_and_a_profile_of_two_networks_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profiles.save(profile_of(path_model(4)), folder / "profile.yaml")
    assert "calibrates 3 exits, the bundle has 4" in refused(capsys, 3, folder / "trace.npz", *live(folder))


def test_a_run_over_other_frames_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces.save(TRACES.rows(slice(0, 50)), folder / "trace.npz")
    assert "has frame 99, the trace 50 rows" in refused(capsys, 3, folder / "trace.npz", *live(folder))


def test_a_wrong_parameter_of_the_policy_file_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong: PolicyFile = policy_of(TRUTH, name="splitee", params={"treshold": 0.9})
    policies.save(wrong, folder / "policy.yaml")
    words = ["--costs", folder / "costs.json", "--policy", folder / "policy.yaml"]
    assert "did you mean 'threshold'" in refused(capsys, 2, folder / "trace.npz", *words)


def test_a_log_of_a_deeper_network_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deeper, model = random_traces(120, 4), path_model(4, link_residual_ms=(0.0,))
    write_log(folder / "deep.jsonl", [walked(model, deeper, row, ARMS[row % 3]) for row in range(20)])
    for costs in (["--costs", folder / "costs.json"], live(folder)):
        words = [*costs, "--log", f"splitee={folder / 'deep.jsonl'}"]
        assert "the run 'splitee' used exit 4, these costs are for 3" in refused(
            capsys, 3, folder / "trace.npz", *words
        )


def test_a_log_of_another_bundle_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces.save(replace(TRACES, bundle_id="a" * 64), folder / "trace.npz")
    log = DecisionLog(folder / "foreign.jsonl", {"bundle": "b" * 64})
    log.write(walked(TRUTH, TRACES, 0, ARMS[0]))
    log.close()
    words = ["--costs", folder / "costs.json", "--log", f"splitee={folder / 'foreign.jsonl'}"]
    assert "a log of bundle bbbbbbbbbbbb" in refused(capsys, 3, folder / "trace.npz", *words)


def test_a_log_without_frames_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "empty.jsonl").touch()
    for costs in (["--costs", folder / "costs.json"], live(folder)):
        words = [*costs, "--log", f"splitee={folder / 'empty.jsonl'}"]
        assert "the run 'splitee' has no frames" in refused(capsys, 3, folder / "trace.npz", *words)


@pytest.mark.parametrize("value", ["-1.0", "NaN", "Infinity"])
def test_costs_that_are_no_times_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str], value: str) -> None:
    text = (folder / "costs.json").read_text()
    for key in ("device_ms", "head_ms", "encode_ms", "cloud_ms"):
        document = json.loads(text)
        document[key][-1] = "HERE"
        (folder / "costs.json").write_text(json.dumps(document).replace('"HERE"', value))
        assert key in refused(capsys, 3, folder / "trace.npz", "--costs", folder / "costs.json")


def test_an_empty_trace_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces.save(TRACES.rows(slice(0, 0)), folder / "trace.npz")
    assert "trace" in refused(capsys, 3, folder / "trace.npz", *PUBLISHED)


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: object) -> str:
    """The one line that it says."""
    assert main(["replay", *map(str, words)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("offramp replay: ")
    assert captured.err.count("\n") == 1
    return captured.err
