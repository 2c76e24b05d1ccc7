from __future__ import annotations

import json

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.policy import Costs
from bandits.strata import Strata
from bandits.strata_change import BLOCK, ChangingStrata
from split_core.errors import PolicyFileError
from split_core.objective import Objective
from split_core.tensors import FloatArray
from tests.bandits.frames import context, observed, readings_of

THRESHOLDS = [0.5, 0.7, 0.9, 1.0]


def frames(count: int, mean: float, seed: int) -> FloatArray:
    """(N, 3) confidences of exits 1, 2 and the final one."""
    rng = np.random.default_rng(seed)
    ease = np.clip(rng.normal(mean, 0.15, (count, 1)), 0, 1)
    confidences: FloatArray = np.clip(ease + np.array([0.0, 0.05, 0.15]) + rng.normal(0, 0.05, (count, 3)), 0, 1)
    return confidences


def shown(strata: Strata, rows: FloatArray, *, shipped_below: float = 0.7) -> None:
    """Each frame is read at exit 1 and shipped below a threshold, or runs to the end: one in eight."""
    for place, (one, two, last) in enumerate(rows.tolist()):
        if place % 8 == 0:
            strata.observe(readings_of([one, two]), last, ran_to_end=True)
        else:
            strata.observe(readings_of([one]), last if one < shipped_below else None, ran_to_end=False)


def truth(rows: FloatArray) -> FloatArray:
    one, last = rows[:, 0], rows[:, 2]
    return np.array([np.where(one >= alpha, one, last).mean() for alpha in THRESHOLDS])


def test_while_nothing_changes_nothing_is_forgotten_and_estimates_are_those_of_plain_strata() -> None:
    plain, watching = Strata(3, THRESHOLDS, discount=1.0), ChangingStrata(3, THRESHOLDS)
    for strata in (plain, watching):
        shown(strata, frames(20_000, 0.7, 0))
    assert watching.changes == 0
    assert watching.frames == 20_000
    np.testing.assert_allclose(watching.estimates().value, plain.estimates().value, rtol=1e-9)


def test_after_a_change_of_confidences_what_came_before_does_not_count() -> None:
    plain, watching = Strata(3, THRESHOLDS, discount=1.0), ChangingStrata(3, THRESHOLDS)
    after = frames(3000, 0.55, 2)
    for strata in (plain, watching):
        shown(strata, frames(20_000, 0.75, 1))
        shown(strata, after)
    assert watching.changes >= 1
    assert 3000 - BLOCK <= watching.frames <= 3000 + 2 * BLOCK
    assert watching.estimates().value[1] == pytest.approx(truth(after), abs=0.015)
    assert np.abs(plain.estimates().value[1] - truth(after)).max() > 0.05


def test_a_change_is_noticed_within_a_few_blocks() -> None:
    watching = ChangingStrata(3, THRESHOLDS)
    shown(watching, frames(20 * BLOCK, 0.75, 1))
    shown(watching, frames(3 * BLOCK, 0.6, 2))
    assert watching.changes >= 1


def test_censored_frames_are_counted_after_a_change_as_they_were_before_it() -> None:
    """The means of arms that were never played, from readings and fair verdicts alone, are unbiased after a cut."""
    watching, rest = ChangingStrata(3, THRESHOLDS), frames(12_000, 0.6, 4)
    shown(watching, frames(10_000, 0.8, 3), shipped_below=0.9)
    shown(watching, rest, shipped_below=0.9)
    assert watching.changes >= 1
    assert watching.estimates().value[1, :3] == pytest.approx(truth(rest)[:3], abs=0.01)


def test_prices_are_nothing_to_forget_for() -> None:
    subject = make_policy(
        "grid", exits=3, rng=np.random.default_rng(0), objective=Objective(mu=0.01), params={"forget": "change"}
    )
    for place, row in enumerate(frames(6000, 0.7, 5).tolist()):
        price = 3.0 if place < 3000 else 60.0
        given = context(Costs.published(3, per_layer=1.0, offload=price))
        subject.learn(observed(subject, given, readings_of(row)))
    assert subject.state()["strata"]["changes"] == 0
    assert subject.state()["strata"]["frames"] > 5900


def test_a_restored_table_is_the_same_to_the_last_bit_and_goes_on_so() -> None:
    one, other = ChangingStrata(3, THRESHOLDS), ChangingStrata(3, THRESHOLDS)
    shown(one, frames(2000, 0.8, 6))
    other.restore(json.loads(json.dumps(one.state())), "grid")
    assert other.state() == one.state()
    for strata in (one, other):
        shown(strata, frames(1000, 0.5, 7))
    assert other.state() == one.state()
    assert one.changes >= 1


@pytest.mark.parametrize("damage", [{"blocks": []}, {"blocks": [[1.0]]}, {"changes": -1}, {"watches": None}])
def test_a_damaged_state_is_refused_whole(damage: dict[str, object]) -> None:
    fresh, state = ChangingStrata(3, THRESHOLDS), ChangingStrata(3, THRESHOLDS).state()
    before = fresh.state()
    with pytest.raises(PolicyFileError):
        fresh.restore({**state, **damage}, "grid")
    assert fresh.state() == before


def test_strata_that_forget_in_another_way_are_refused() -> None:
    with pytest.raises(PolicyFileError, match="watches"):
        ChangingStrata(3, THRESHOLDS).restore(Strata(3, THRESHOLDS, discount=1.0).state(), "grid")
