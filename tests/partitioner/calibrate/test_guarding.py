from __future__ import annotations

import numpy as np
import pytest

from partitioner.calibrate.exit_rule import ExitRule, shared_thresholds
from partitioner.calibrate.guarding import GuardWishes, forbidden, guarded, hide
from partitioner.calibrate.keep import LEAST, Apart, keep
from partitioner.calibrate.segments import FEWEST, Segmented, per_segment
from partitioner.calibrate.targets import Target
from split_core.criteria.max_prob import MaxProb
from split_core.errors import DataError
from split_core.policy_guard import GuardSection
from split_core.readings import ExitCalibration, Reader
from split_core.traces import Traces
from tests.partitioner.calibrate.synthetic import traces_with_temperatures
from tests.partitioner.calibrate.test_choose import drawn

READER = Reader([ExitCalibration()] * 3, MaxProb())


def apart(traces: Traces, told: np.ndarray | None = None) -> Apart:
    return Apart(np.arange(traces.samples), traces, traces, told=told)


def test_classes_streams_and_depth_are_hidden_and_the_last_exit_never_is() -> None:
    traces = drawn(300, seed=0)
    guard = GuardSection(never_early=(1,), never_early_segments={"site": ("north",), "absent": ("x",)}, deepest=1)
    sites = np.where(np.arange(300) < 50, "north", "south")
    hidden = forbidden(traces, guard, {"site": sites.tolist()})
    assert hidden[:50].all()
    assert hidden[:, 1].all()
    assert hidden[50:, 0].tolist() == (traces.prediction[50:, 0] == 1).tolist()
    left = hide(traces, hidden)
    assert (left.confidence[:, :-1][hidden[:, :-1]] == 0.0).all()
    assert (left.confidence[:, -1] == traces.confidence[:, -1]).all()
    assert (left.confidence[:, :-1][~hidden[:, :-1]] == traces.confidence[:, :-1][~hidden[:, :-1]]).all()


def test_thresholds_are_chosen_for_what_the_guard_leaves() -> None:
    traces = traces_with_temperatures(3000, (1.0, 1.0, 1.0), seed=5)
    wishes = GuardWishes(never_early=(2,), deepest=2, abstain=0.1)
    found, section = guarded(apart(traces), wishes, READER, {})
    assert section is not None
    assert section.abstain is not None
    kept = keep(Target(risk=0.5), shared_thresholds(traces.confidence), found)
    assert kept.trial is not None
    assert found.left is not None
    exits = kept.rule.exits(found.left)
    said = traces.prediction[np.arange(traces.samples), exits]
    assert (exits[said == 2] == 2).all()
    assert (exits < 2).any()
    assert min(one for one in kept.rule.common.thresholds if one is not None) >= LEAST


def test_a_limit_counts_the_frames_that_the_guard_sends_on() -> None:
    traces = drawn(2000, seed=6)
    grid = shared_thresholds(traces.confidence)
    keep(Target(max_offload=0.2), grid, apart(traces))
    found, _ = guarded(apart(traces), GuardWishes(never_early=(0, 1, 2)), READER, {})
    with pytest.raises(DataError, match=r"--max-offload 0\.2: no early exit answers"):
        keep(Target(max_offload=0.2), grid, found)


def test_without_wishes_nothing_changes() -> None:
    given = apart(drawn(100, seed=7))
    found, section = guarded(given, GuardWishes(), READER, {})
    assert found is given
    assert section is None


def test_a_segment_with_samples_enough_has_its_own_thresholds() -> None:
    """In the south half of the confident answers are wrong."""
    traces = drawn(4000, seed=8)
    told = np.where(np.arange(4000) % 2 == 0, "north", "south")
    spoiled = np.flatnonzero((told == "south") & (np.random.default_rng(0).random(4000) < 0.5))
    traces.prediction[spoiled, :-1] = (traces.prediction[spoiled, -1:] + 1) % 4
    told[:10] = "west"
    kept = keep(Target(risk=0.2), shared_thresholds(drawn(2000, seed=9).confidence), apart(traces, told))
    assert set(kept.rule.own) <= {"north", "south"}
    assert "north" in kept.rule.own
    early = kept.rule.exits(traces) < 2
    assert early[told == "north"].mean() > early[told == "south"].mean()
    assert kept.trial is not None
    section = kept.rule.section("site")
    own = section.of({"site": "north"})
    assert own == {"by_class": {}, "per_exit": list(kept.rule.own["north"].thresholds)}
    assert section.of({"site": "west"}) == section.of({}) == {}


def test_segments_with_few_samples_or_none_that_carry_the_target_keep_the_common_rule() -> None:
    asked: list[int] = []

    def choose(traces: Traces) -> ExitRule:
        asked.append(traces.samples)
        if traces.samples == FEWEST:
            raise DataError("too few")
        return ExitRule((0.5, float(traces.samples) / 1000))

    told = np.array(["few"] * (FEWEST - 1) + ["refused"] * FEWEST + ["own"] * (FEWEST + 1))
    rule = per_segment(choose, drawn(len(told), seed=1), told)
    assert asked == [3 * FEWEST, FEWEST + 1, FEWEST]
    assert set(rule.own) == {"own"}


def test_each_sample_is_judged_by_the_rule_of_its_segment() -> None:
    traces = drawn(400, seed=2)
    told = np.where(np.arange(400) % 4 == 0, "strict", "plain")
    rule = Segmented(ExitRule((0.5, 0.5)), {"strict": ExitRule((None, None))}, told)
    found, common = rule.exits(traces), ExitRule((0.5, 0.5)).exits(traces)
    assert (found[told == "strict"] == 2).all()
    assert (found[told == "plain"] == common[told == "plain"]).all()
