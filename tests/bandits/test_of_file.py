"""A policy file's bandit within its guard, over a trace: what a camera would have done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandits.guard import Guard
from bandits.of_file import FilePolicy
from bandits.path_model import save
from bandits.replay import replay
from bandits.runs import Run
from split_core import policy as policies
from split_core import traces
from split_core.cli import main
from split_core.errors import PolicyFileError, TraceError
from split_core.policy import PolicyFile
from split_core.readings import softmax
from split_core.traces import Traces
from tests.bandits.frames import path_model, random_traces
from tests.bandits.records import policy_of

MODEL = path_model(3, link_residual_ms=(0.0,))
CASCADE = {"name": "cascade", "params": {"per_exit": [0.0, 0.0]}}  # exit 1 answers all, if it may


def shown_traces() -> Traces:
    """A trace that kept logits, read as they are."""
    plain, rng = random_traces(200, 3), np.random.default_rng(5)
    logits = rng.normal(0.0, 1.5, (200, 3, 4)).astype(np.float32)
    probabilities = softmax(logits)
    return replace(plain, logits=logits, confidence=probabilities.max(axis=2), prediction=logits.argmax(axis=2))


TRACES = shown_traces()


def file_with(**sections: Any) -> PolicyFile:
    made = policy_of(MODEL, **CASCADE).model_dump(mode="json")
    return PolicyFile.model_validate({**made, **sections})


def played(asked: FilePolicy, shown: Traces = TRACES) -> Run:
    policy = asked.over(shown, np.random.default_rng(0), MODEL.objective)
    return replay(policy, shown, MODEL, np.random.default_rng(1))


def early(run: Run) -> np.ndarray:
    """(N,) answered at an exit before the last one."""
    found: np.ndarray = ~run.cloud & (run.exit < 3)
    return found


def test_without_a_guard_exit_1_answers_all() -> None:
    run = played(FilePolicy(file_with()))
    assert set(run.exit) == {1}
    assert early(run).all()


def test_a_class_that_is_never_answered_early_is_not() -> None:
    run = played(FilePolicy(file_with(guard={"never_early": [2]})))
    assert 2 not in TRACES.prediction[np.arange(200), run.exit - 1][early(run)]
    assert early(run)[TRACES.prediction[:, 0] != 2].all()


def test_a_stream_that_is_never_answered_early_is_not() -> None:
    file = file_with(guard={"never_early_segments": {"light": ["night"]}})
    assert not early(played(FilePolicy(file, {"light": "night"}))).any()
    assert early(played(FilePolicy(file, {"light": "day"}))).all()


def test_nothing_is_computed_here_beyond_the_deepest_exit() -> None:
    file = file_with(guard={"deepest": 1}, bandit={"name": "edge_only", "params": {}})
    run = played(FilePolicy(file))
    assert set(run.exit[~run.cloud]) <= {1}


def test_the_thresholds_are_those_of_the_streams_segment() -> None:
    north = {"column": "site", "params": {"north": {"per_exit": [None, 0.0]}}}
    assert set(played(FilePolicy(file_with(segments=north), {"site": "north"})).exit) == {2}
    assert set(played(FilePolicy(file_with(segments=north), {"site": "south"})).exit) == {1}
    assert set(played(FilePolicy(file_with(segments=north))).exit) == {1}


def test_an_unsure_answer_goes_on_and_a_sure_one_does_not() -> None:
    """A set holds the classes of at least 0.6, so it is one class exactly where the largest reaches that."""
    file = file_with(guard={"abstain": {"alpha": 0.1, "quantiles": [[0.4]] * 3}})
    run = played(FilePolicy(file))
    sure = TRACES.confidence >= 0.6
    np.testing.assert_array_equal(run.exit == 1, sure[:, 0])
    assert sure[:, 0].any()
    assert early(run)[~sure[:, 0]].sum() == (run.exit == 2)[~sure[:, 0]].sum() <= sure[:, 1].sum()


def test_a_temperature_of_the_file_is_in_what_is_unsure() -> None:
    abstain = {"alpha": 0.1, "quantiles": [[0.4]] * 3}
    soft = [{"temperature": 50.0}, {"temperature": 50.0}, {}]
    assert not early(played(FilePolicy(file_with(guard={"abstain": abstain}, exits=soft)))).any()


def test_abstaining_over_a_trace_without_logits_is_refused() -> None:
    file = file_with(guard={"abstain": {"alpha": 0.1, "quantiles": [[0.4]] * 3}})
    with pytest.raises(TraceError, match="kept no logits"):
        played(FilePolicy(file), random_traces(20, 3))


def test_a_file_of_another_network_is_refused() -> None:
    with pytest.raises(PolicyFileError, match="calibrates 3 exits, the trace has 4"):
        FilePolicy(file_with()).over(random_traces(20, 4), np.random.default_rng(0), MODEL.objective)


def test_an_envelope_plays_as_long_as_its_promise_stands() -> None:
    file = file_with(envelope={"share": 0.1, "target": 0.9})
    policy = FilePolicy(file).over(TRACES, np.random.default_rng(0), MODEL.objective)
    assert isinstance(policy, Guard)
    assert early(played(FilePolicy(file))).all()


def test_the_command_plays_the_file_of_a_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces.save(TRACES, tmp_path / "trace.npz")
    save(MODEL, tmp_path / "costs.json")
    policies.save(file_with(guard={"never_early_segments": {"light": ["night"]}}), tmp_path / "policy.yaml")
    words = ["replay", str(tmp_path / "trace.npz"), "--costs", str(tmp_path / "costs.json")]
    words += ["--policy", str(tmp_path / "policy.yaml"), "--seeds", "1", "--policies", "cascade"]
    found = {}
    for light in ("day", "night"):
        assert main([*words, "--metadata", f"light={light}", "--json"]) == 0
        rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
        found[light] = rows["cascade"]["mean_cost"]
    assert found["day"] < rows["edge_only"]["mean_cost"]
    assert found["day"] < found["night"]
    assert main([*words, "--metadata", "night"]) == 2
    assert "expected KEY=VALUE" in capsys.readouterr().err
