from __future__ import annotations

import numpy as np
import pytest

from bandits import POLICIES
from bandits.compare import (
    BANDED,
    BEST_FIXED,
    LEAKY,
    ORACLE,
    compare,
    seed_mean,
    standard_policies,
    trivial_policies,
)
from bandits.path_model import PathModel
from bandits.regret import best_fixed_arm
from split_core.errors import ConfigError, ProfileError
from tests.bandits.frames import path_model, random_traces

TRACES = random_traces(150, 3)
MODEL = path_model()


def test_the_trivial_policies_are_always_there() -> None:
    assert list(trivial_policies(MODEL)) == ["edge_only", "cloud_only", "offload_all", "random", "best_fixed"]
    assert standard_policies(MODEL).keys() == {
        "edge_only", "cloud_only", "offload_all", "random", "best_fixed", "splitee", "splitee_s", "ucbee", "grid",
        "sequential",
    }  # fmt: skip


def test_where_pixels_may_not_leave_there_is_no_cloud_only() -> None:
    hidden = path_model(ship="hidden")
    assert "cloud_only" not in trivial_policies(hidden)
    assert "cloud_only" not in standard_policies(hidden)


def test_every_policy_has_a_row_and_curves_over_all_frames() -> None:
    found = compare(TRACES, MODEL, standard_policies(MODEL), [0, 1])
    names = list(standard_policies(MODEL))
    assert [row["name"] for row in found.rows] == names
    assert list(found.regret) == list(found.oracle_regret) == list(found.runs) == names
    for name, row in zip(names, found.rows, strict=True):
        assert row["frames"] == 150
        assert row["live"] is False
        assert found.regret[name].shape == (150,)
        assert found.regret[name][-1] == pytest.approx(row["regret"])


def test_the_best_fixed_arm_is_the_line_of_no_regret() -> None:
    found = compare(TRACES, MODEL, {BEST_FIXED: {}, "random": {}}, [0, 1, 2])
    assert found.regret[BEST_FIXED] == pytest.approx(np.zeros(150), abs=1e-9)
    assert found.regret["random"][-1] > 0.0
    arm, _ = best_fixed_arm(TRACES, MODEL)
    assert found.runs[BEST_FIXED].name == BEST_FIXED
    assert set(found.runs[BEST_FIXED].exit) <= {arm.split, 3}


def test_the_leak_of_splitee_s_is_a_line_of_its_own_and_no_policy() -> None:
    model, asked = PathModel.published(3, per_layer=0.1, offload=0.1), {"threshold": 0.5}
    found = compare(TRACES, model, {"splitee_s": asked, LEAKY: asked}, [0])
    assert [row["name"] for row in found.rows] == ["splitee_s", "splitee_s_leaky"]
    assert found.runs[LEAKY].arm.tolist() != found.runs["splitee_s"].arm.tolist()
    assert LEAKY not in POLICIES


def test_the_oracle_of_every_frame_is_below_the_best_fixed_arm_and_no_policy() -> None:
    found = compare(TRACES, MODEL, {ORACLE: {}, BEST_FIXED: {}}, [0])
    oracle, fixed = (row["mean_loss"] for row in found.rows)
    assert oracle < fixed
    assert ORACLE not in POLICIES


def test_numbers_are_means_over_the_seeds() -> None:
    policies = {"random": {"thresholds": [0.5, 0.9]}}
    both = compare(TRACES, MODEL, policies, [3, 4])
    one, other = (compare(TRACES, MODEL, policies, [seed]) for seed in (3, 4))
    assert one.rows[0]["mean_cost"] != other.rows[0]["mean_cost"]
    for key in ("mean_cost", "regret", "accuracy", "offload_share"):
        assert both.rows[0][key] == pytest.approx((one.rows[0][key] + other.rows[0][key]) / 2)
    assert both.rows[0]["exit_share"] == pytest.approx(
        np.mean([one.rows[0]["exit_share"], other.rows[0]["exit_share"]], axis=0).tolist()
    )
    assert both.regret["random"] == pytest.approx((one.regret["random"] + other.regret["random"]) / 2)
    assert both.rows[0]["frames"] == 150


def test_every_seed_meets_another_link() -> None:
    varying = path_model(link_residual_ms=(0.0, 5.0, 40.0))
    one, other = (compare(TRACES, varying, {"cloud_only": {}}, [seed]).rows[0] for seed in (0, 1))
    assert one["mean_cost"] != pytest.approx(other["mean_cost"], rel=1e-9)


def test_the_same_seeds_give_the_same_comparison() -> None:
    policies = standard_policies(MODEL)
    assert compare(TRACES, MODEL, policies, [5]).rows == compare(TRACES, MODEL, policies, [5]).rows


def test_a_policy_meets_the_same_frames_whoever_is_beside_it() -> None:
    alone = compare(TRACES, MODEL, {"splitee": {}}, [5]).rows[0]
    beside = compare(TRACES, MODEL, {"random": {}, "grid": {}, "splitee": {}}, [5]).rows[2]
    assert alone == beside


def test_parameters_reach_the_policies() -> None:
    found = compare(TRACES, MODEL, {"fixed": {"split": 2, "threshold": 0.0}}, [0])
    assert found.rows[0]["exit_share"] == [0.0, 1.0, 0.0]


def test_wrong_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'random'"):
        compare(TRACES, MODEL, {"randon": {}}, [0])
    with pytest.raises(ConfigError, match="did you mean 'threshold'"):
        compare(TRACES, MODEL, {"splitee": {"treshold": 0.5}}, [0])
    with pytest.raises(ProfileError, match="the trace has 4"):
        compare(random_traces(5, 4), MODEL, {"edge_only": {}}, [0])


def test_a_policy_has_settled_when_it_has_under_every_seed() -> None:
    rows = [{**dict.fromkeys(BANDED, 1.0), "settled_frame": frame} for frame in (1, 4, None)]
    assert seed_mean(rows[:2])["settled_frame"] == 2.5
    assert seed_mean(rows)["settled_frame"] is None
