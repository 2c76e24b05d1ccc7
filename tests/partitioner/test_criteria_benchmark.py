"""What `python -m benchmarks.criteria` compares criteria by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.criteria import compared, savings_goals, savings_table
from benchmarks.criteria_data import Setting, cheapest, curve, demo, front, surest
from benchmarks.criteria_pcee import claim_goals, claim_table, claimed, pcee_rows, verdict
from benchmarks.criteria_plot import PANELS, draw
from split_core.criteria import CRITERIA
from split_core.criteria.base import WEIGHTS
from split_core.traces import Traces


@pytest.fixture(scope="module")
def setting() -> Setting:
    return demo(300)


def point(accuracy: float, compute: float) -> dict[str, float]:
    return {"accuracy": accuracy, "compute": compute}


PAIRS = [
    (point(0.80, 0.2), point(0.79, 0.21)),
    (point(0.90, 0.5), point(0.91, 0.52)),
    (point(0.91, 0.9), point(0.90, 0.88)),
]


def test_what_is_chosen_on_one_half_is_told_on_the_other() -> None:
    assert cheapest(PAIRS, 0.895) == PAIRS[1][1]
    assert cheapest(PAIRS, 0.95) == PAIRS[2][1]
    assert surest(PAIRS, 0.6) == PAIRS[1][1]
    assert surest(PAIRS, 0.1) == PAIRS[0][1]
    assert [found["compute"] for found in front(PAIRS)] == [0.21, 0.52, 0.88]


def test_a_curve_by_hand() -> None:
    confidence = np.array([[0.9, 0.5], [0.4, 0.6], [0.3, 0.9], [0.8, 0.7]])
    prediction = np.array([[1, 1], [0, 1], [1, 0], [0, 1]])
    read = Traces(confidence, prediction, np.ones(4, np.int64))
    first, second = curve(read, np.array([0.25, 1.0]), (0.35, 0.85), {})
    assert (first["accuracy"], first["compute"]) == (0.25, (3 * 0.25 + 1.0) / 4)  # only the third goes on
    assert (second["accuracy"], second["compute"]) == (0.75, (0.25 + 3.0) / 4)


def test_the_demo_pays_for_every_head_on_the_way(setting: Setting) -> None:
    assert (np.diff(setting.together) > 0).all()
    assert setting.alone[-1] == 1.0
    assert 1.0 < setting.together[-1] < 1.05
    assert len(setting.fitted.hidden) == setting.fitted.exits - 1


def test_every_criterion_without_arrays_is_compared_and_drawn(setting: Setting, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figures = compared(setting)
    assert set(figures["curves"]) == {name for name in CRITERIA if WEIGHTS not in CRITERIA.load(name).needs}
    full = figures["single exits"][-1]["accuracy"]
    for found in figures["chosen"].values():
        assert found["accuracy"] > full - 0.05
    assert savings_table(figures).row_count == len(figures["chosen"])
    assert {goal.goal for goal in savings_goals(figures)} == {50.0, 0.5}
    draw(figures, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_every_criterion_of_images_has_its_panel() -> None:
    shown = [name for names in PANELS.values() for name in names]
    assert set(CRITERIA) - {"hash"} <= set(shown)
    assert len(set(shown)) == len(shown)


def test_pcee_spends_more_for_a_higher_target(setting: Setting) -> None:
    rows = pcee_rows(setting)
    assert rows[-1]["compute"] > 2 * rows[0]["compute"]
    assert rows[-1]["accuracy"] > rows[0]["accuracy"]


def test_the_claim_takes_the_highest_target_that_costs_no_more() -> None:
    rows = [
        {"target": 0.8, "compute on the other half": 0.25, "compute": 0.26, "accuracy": 0.84},
        {"target": 0.9, "compute on the other half": 0.5, "compute": 0.5, "accuracy": 0.88},
    ]
    claims = claimed(rows, {"small": point(0.85, 0.3), "middle": point(0.87, 0.6), "tiny": point(0.5, 0.1)})
    assert [(one["network"], one["target"]) for one in claims] == [("small", 0.8), ("middle", 0.9)]
    assert [goal.met for goal in claim_goals(claims)] == [False, True]
    assert "small" in verdict({"claim": claims})
    assert "holds here" in verdict({"claim": claims[1:]})
    assert "no target" in verdict({"claim": []})
    assert claim_table({"claim": claims}).row_count == 2
