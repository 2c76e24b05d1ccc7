from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bandits.measured import LiveRuns, live_rows, measured_model
from bandits.path_model import PathModel
from bandits.policy import Arm
from split_core.errors import ProfileError, TraceError
from split_core.telemetry.decisions import FrameRecord
from tests.bandits.frames import path_model, random_traces
from tests.bandits.records import policy_of, profile_of, record, walked

TRACES = random_traces(300, 3)
TRUTH = path_model(link_residual_ms=(0.0,))
# Between them they ship every cut that is ever cheapest, and answer at every exit.
ARMS = [Arm(0, 1.0), Arm(1, 0.7), Arm(2, 0.7), Arm(3, 0.0)]


def log_of(model: PathModel, rows: range = range(300), residual_ms: Any = lambda row: 0.0) -> list[FrameRecord]:
    """Row by row, one arm after the other."""
    return [walked(model, TRACES, row, ARMS[row % 4], residual_ms=residual_ms(row)) for row in rows]


def measured(records: dict[str, list[FrameRecord]], model: PathModel = TRUTH, profile: Any = None) -> PathModel:
    return measured_model(
        LiveRuns(records, {}), policy_of(model), profile or profile_of(model), deadline_ms=None, seed=0
    )


@pytest.mark.parametrize("ship", ["any", "hidden"])
def test_a_log_of_a_known_world_gives_the_world_back(ship: str) -> None:
    truth = path_model(link_residual_ms=(0.0,), ship=ship)
    arms = ARMS if ship == "any" else [Arm(1, 0.7), Arm(2, 0.7), Arm(3, 0.0)]
    records = [walked(truth, TRACES, row, arms[row % len(arms)]) for row in range(300)]
    found = measured({"one": records[:150], "other": records[150:]}, truth)
    for name in ("device_ms", "head_ms", "link_base_ms", "link_ms_per_kb", "frame_ms", "result_ms"):
        assert getattr(found, name) == pytest.approx(getattr(truth, name), abs=1e-6), name
    assert found.link_residual_ms == pytest.approx([0.0] * len(found.link_residual_ms), abs=1e-6)
    assert (found.objective, found.ship, found.deadline_ms) == (truth.objective, ship, None)
    np.testing.assert_allclose(found.costs(TRACES).ship, truth.costs(TRACES).ship)


def test_a_device_slower_than_its_profile_is_stretched_by_one_factor() -> None:
    slower = path_model(link_residual_ms=(0.0,), device_ms=(0.0, 15.0, 30.0, 45.0), head_ms=(0.0, 1.5, 1.5, 0.0))
    found = measured({"grid": log_of(slower)}, slower, profile_of(TRUTH))
    assert found.device_ms == pytest.approx((0.0, 15.0, 30.0, 45.0))
    assert found.head_ms == pytest.approx((0.0, 1.5, 1.5, 0.0))


def test_times_of_packing_and_of_the_worker_are_those_measured_where_there_are_any() -> None:
    """The profile says 3 ms to pack the input and the worker needs 6; the run saw other numbers for cut 0 only."""
    other = path_model(link_residual_ms=(0.0,), encode_ms=(7.0, 1.0, 1.0), cloud_ms=(9.0, 4.0, 2.0))
    records = [walked(other, TRACES, row, Arm(0, 1.0)) for row in range(50)]
    found = measured({"cloud_only": records}, other, profile_of(TRUTH))
    assert found.encode_ms == pytest.approx((7.0, 1.0, 1.0))
    # 9 of the profile's 30 ms from cut 0; the same share of its 20 and 10 ms from cuts 1 and 2.
    assert found.cloud_ms == pytest.approx((9.0, 6.0, 3.0))


def test_degraded_frames_do_not_stretch_the_device() -> None:
    bad = [record(seq=row, exits=(1,), device_ms=900.0, latency_ms=999.0, degraded="overload") for row in range(500)]
    assert measured({"grid": log_of(TRUTH) + bad}).device_ms == pytest.approx(TRUTH.device_ms)


def test_a_noisy_link_is_kept_as_residuals() -> None:
    noise = np.random.default_rng(5).exponential(8.0, 300)
    found = measured({"grid": log_of(TRUTH, residual_ms=lambda row: float(noise[row]))})
    line_ms = found.link_base_ms + found.link_ms_per_kb
    assert line_ms + np.mean(found.link_residual_ms) == pytest.approx(25.0 + 8.0, abs=1.5)
    assert np.std(found.link_residual_ms) == pytest.approx(8.0, abs=1.5)


def test_without_one_answer_of_the_cloud_there_are_no_costs() -> None:
    records = [walked(TRUTH, TRACES, row, Arm(3, 0.0)) for row in range(20)]
    with pytest.raises(ProfileError, match="no frame of this log was answered by the cloud"):
        measured({"edge_only": records})


def test_every_live_row_carries_its_replay_over_the_same_frames() -> None:
    shown = np.random.default_rng(1).permutation(300)[:80]
    records = {
        "edge_only": [walked(TRUTH, TRACES, int(row), Arm(3, 0.0)) for row in shown],
        "fixed": [walked(TRUTH, TRACES, int(row), Arm(2, 0.7)) for row in shown[:40]],
    }
    rows = live_rows(LiveRuns(records, {"fixed": {"split": 2, "threshold": 0.7}}), TRACES, TRUTH, seed=0)
    assert [(row["name"], row["live"], row["frames"]) for row in rows] == [("edge_only", True, 80), ("fixed", True, 40)]
    for row in rows:
        again = row.pop("replayed")
        assert again.pop("live") is False
        for key in again:
            # The world is exactly the model, so the replay must be believed to the last digit.
            assert again[key] == pytest.approx(row[key]), key


def test_frames_that_the_trace_does_not_have_are_refused() -> None:
    records = [walked(TRUTH, TRACES, 299, Arm(3, 0.0))]
    with pytest.raises(TraceError, match="the run 'edge_only' has frame 299, the trace 299 rows"):
        live_rows(LiveRuns({"edge_only": records}, {}), TRACES.rows(slice(0, 299)), TRUTH, seed=0)
