from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from bandits.path_model import PathModel, fit_path_model, load, save
from split_core.errors import ProfileError
from split_core.objective import Objective
from split_core.telemetry.decisions import FrameRecord
from split_core.traces import Traces
from tests.bandits.frames import path_model, random_traces
from tests.bandits.records import record, shipped

# Two frames, three exits; shipping the input, hidden state 1, hidden state 2 in bytes.
PRICED = Traces(
    np.full((2, 3), 0.5), np.zeros((2, 3), np.int64), np.zeros(2, np.int64),
    payload_bytes=np.array([[1000, 4000, 400], [3000, 4000, 600]]),
)  # fmt: skip


def test_shipping_is_priced_as_by_hand() -> None:
    """Encode + cloud + base + result + 5 ms/KB: cut 0 is 32.25 + 5 and + 15, cut 1 25.25 + 20, cut 2 23.25 + 2 and + 3."""
    paths = path_model().paths(PRICED)
    # Cut 0 costs 42.25 + .5 * 2 + .2 * 6 on average, cut 1 more, cut 2 25.75 + .5 * .5 + .2 * 2.
    assert paths.payload == (0, 0, 2)
    assert paths.ship_ms.tolist() == pytest.approx(np.array([[34.25, 34.25, 25.25], [44.25, 44.25, 26.25]]))
    assert paths.payload_bytes.tolist() == [[1000, 1000, 400], [3000, 3000, 600]]
    assert paths.cloud_ms.tolist() == [6.0, 6.0, 2.0]
    assert paths.allowed.all()


def test_costs_are_means_over_the_trace_in_units_of_the_objective() -> None:
    costs = path_model(link_residual_ms=(0.0, 4.0)).costs(PRICED)
    assert costs.device.tolist() == [0.0, 10.0, 20.0, 30.0]
    assert costs.head.tolist() == [0.0, 1.0, 1.0, 0.0]
    # milliseconds with a mean residual of 2, .5 per KB, .2 per cloud millisecond
    by_hand = [39.25 + 2 + 0.5 * 2 + 0.2 * 6, 39.25 + 2 + 0.5 * 2 + 0.2 * 6, 25.75 + 2 + 0.5 * 0.5 + 0.2 * 2]
    assert costs.ship == pytest.approx(by_hand)
    assert costs.payload == (0, 0, 2)


def test_weights_of_the_objective_decide_what_is_shipped() -> None:
    by_bytes = path_model(objective=Objective(ms=0.0, kb=1.0))
    by_cloud = path_model(objective=Objective(ms=0.0, cloud_ms=1.0))
    assert by_bytes.paths(PRICED).payload == (0, 0, 2)
    assert by_cloud.paths(PRICED).payload == (0, 1, 2)


def test_pixels_never_leave_with_ship_hidden() -> None:
    model = path_model(ship="hidden")
    paths = model.paths(PRICED)
    assert model.splits == (1, 2, 3)
    assert path_model().splits == (0, 1, 2, 3)
    assert paths.payload[1:] == (1, 2)
    assert paths.allowed.tolist() == [False, True, True]
    assert model.costs(PRICED).ship[0] == np.inf


def test_of_payloads_with_one_price_the_deepest_is_shipped() -> None:
    assert PathModel.published(4, per_layer=0.1, offload=0.3, ship="any").paths(random_traces(5, 4)).payload == (
        0,
        1,
        2,
        3,
    )


def test_published_costs_are_those_of_the_papers() -> None:
    model = PathModel.published(4, per_layer=0.1, offload=0.3, head=0.02)
    costs = model.costs(random_traces(5, 4))
    assert costs.device == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert costs.head == pytest.approx([0.0, 0.02, 0.02, 0.02, 0.02])
    assert costs.ship == pytest.approx([np.inf, 0.3, 0.3, 0.3])
    assert (model.objective.ms, model.objective.mu, model.splits) == (1.0, 1.0, (1, 2, 3, 4))


def test_without_measured_payloads_bytes_count_as_0() -> None:
    paths = path_model().paths(Traces(PRICED.confidence, PRICED.prediction, PRICED.labels))
    assert not paths.payload_bytes.any()
    assert paths.ship_ms[0].tolist() == pytest.approx([29.25, 25.25, 23.25])


def test_a_trace_of_another_network_is_refused() -> None:
    with pytest.raises(ProfileError, match="for 3 exits, the trace has 4"):
        path_model().paths(random_traces(5, 4))


def test_a_model_comes_back_from_its_file(tmp_path: Path) -> None:
    model = path_model(ship="hidden", deadline_ms=150.0)
    save(model, tmp_path / "costs.json")
    assert load(tmp_path / "costs.json") == model
    assert json.loads((tmp_path / "costs.json").read_text())["objective"]["kb"] == 0.5


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "\xff", '{"device_ms": [0, 1], "head_ms": [0, 0], "encode_ms": [0], "cloud_ms": [0]}']
)
def test_a_file_that_is_no_cost_model_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ProfileError, match=r"costs\.json") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    document = path_model().model_dump(mode="json")
    document["link_base"] = document.pop("link_base_ms")
    (tmp_path / "costs.json").write_text(json.dumps(document))
    with pytest.raises(ProfileError, match="link_base"):
        load(tmp_path / "costs.json")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"nowhere\.json: cannot be read"):
        load(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    "change",
    [
        {"head_ms": (0.0, 1.0)}, {"encode_ms": (1.0,)}, {"cloud_ms": ()}, {"device_ms": (1.0, 2.0, 3.0, 4.0)},
        {"head_ms": (1.0, 1.0, 1.0, 0.0)}, {"link_residual_ms": ()}, {"link_base_ms": -1.0}, {"deadline_ms": 0.0},
        {"ship": "pixels"}, {"device_ms": (0.0,)},
    ],
)  # fmt: skip
def test_a_model_whose_parts_do_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        path_model(**change)


def fitted(records: list[FrameRecord], **changes: Any) -> PathModel:
    values: dict[str, Any] = {
        "device_ms": (0.0, 10.0, 20.0, 30.0), "head_ms": (0.0, 1.0, 1.0, 0.0), "encode_ms": (3.0, 1.0, 1.0),
        "cloud_ms": (6.0, 4.0, 2.0), "objective": Objective(), "ship": "any", "deadline_ms": 150.0,
    }  # fmt: skip
    return fit_path_model(records, **{**values, **changes}, rng=np.random.default_rng(0))


def test_a_fit_gives_back_a_known_link() -> None:
    rng = np.random.default_rng(4)
    records = [shipped(int(size), 20.0 + 5.0 * size / 1000) for size in rng.integers(500, 20_000, 100)]
    local = [record(latency_ms=11.5, device_ms=11.0) for _ in range(30)]
    model = fitted(records + local)
    assert model.link_base_ms == pytest.approx(20.0, abs=1e-6)
    assert model.link_ms_per_kb == pytest.approx(5.0, abs=1e-6)
    assert model.link_residual_ms == pytest.approx([0.0] * 100, abs=1e-6)
    assert (model.frame_ms, model.result_ms) == (pytest.approx(0.5), pytest.approx(0.25))
    assert (model.device_ms, model.ship, model.deadline_ms) == ((0.0, 10.0, 20.0, 30.0), "any", 150.0)


def test_degraded_frames_say_nothing_about_the_link() -> None:
    good = [shipped(1000, 25.0), shipped(2000, 30.0), shipped(3000, 35.0)]
    bad = [
        replace(shipped(1000, 500.0), degraded="late"),
        record(where="edge", shipped=1, degraded="deadline", latency_ms=900.0),
    ]
    assert fitted(good + bad) == fitted(good)


def test_a_log_without_a_verdict_cannot_be_fitted() -> None:
    with pytest.raises(ProfileError, match="no frame of this log was answered by the cloud"):
        fitted([record(latency_ms=11.5, device_ms=11.0)])
