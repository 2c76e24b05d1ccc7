from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bandits.build import make_policy
from partitioner.calibrate.codecs import CodecTable
from partitioner.calibrate.fit import Fit, Wishes, fit
from partitioner.calibrate.forms import View, calibrate_exit
from partitioner.calibrate.targets import Target
from split_core import policy
from split_core.criteria.max_prob import MaxProb
from split_core.errors import ConfigError, DataError, PolicyFileError, TraceError
from split_core.evidence import CodecEvidence
from split_core.objective import Objective
from split_core.policy import BanditSection, CodecSection
from split_core.readings import ExitCalibration
from split_core.shown import Shown
from split_core.traces import Traces
from tests.partitioner.calibrate.synthetic import BUNDLE_ID, honest_logits, traces_with_temperatures

ROW = CodecEvidence(cut=0, codec="webp", mean_bytes=300.0, accuracy=0.9, agreement=0.99)
TABLE = CodecTable(100, 0.9, (ROW,))


def fitted(traces: Traces, **wishes: object) -> Fit:
    return fit(traces, Wishes(**wishes), codecs=CodecSection(hidden="u8", input="png"), table=TABLE, seed=0)  # type: ignore[arg-type]


def test_overconfident_exits_are_cooled_and_their_error_falls_on_held_out_samples() -> None:
    result = fitted(traces_with_temperatures(6000, (3.0, 2.0), seed=1))
    final = result.policy.exits[-1]
    assert final.temperature == pytest.approx(2.0, rel=0.05)
    for one in result.held_out:
        assert one.ece_before > 0.05
        assert one.ece_after < 0.03


def test_an_honest_exit_is_left_alone() -> None:
    logits, labels = honest_logits(8000, 5, spread=2.0, seed=3)
    assert (
        calibrate_exit(Shown(logits[:, None]), labels, logits.argmax(1) == labels, View(MaxProb())) == ExitCalibration()
    )


def test_what_no_temperature_repairs_gets_a_map() -> None:
    rng = np.random.default_rng(4)
    logits, _ = honest_logits(8000, 5, spread=3.0, seed=4)
    chance = np.where(logits.max(1) > 4.0, 0.6, 0.9)  # surest where it errs most
    right = rng.random(8000) < chance
    labels = np.where(right, logits.argmax(1), (logits.argmax(1) + 1) % 5)
    found = calibrate_exit(Shown(logits[:, None]), labels, right, View(MaxProb()))
    assert len(found.scores) > 1
    assert set(np.round(found.accuracies, 1)) <= {0.6, 0.7, 0.8, 0.9}


def test_broken_logits_do_not_break_the_fit() -> None:
    logits, labels = honest_logits(500, 5, spread=2.0, seed=5)
    logits[::7] = np.nan
    assert calibrate_exit(Shown(logits[:, None]), labels, logits.argmax(1) == labels, View(MaxProb())).temperature > 0.0
    logits[:] = np.inf
    assert (
        calibrate_exit(Shown(logits[:, None]), labels, logits.argmax(1) == labels, View(MaxProb())) == ExitCalibration()
    )


def test_the_policy_carries_wishes_evidence_and_codecs() -> None:
    traces = traces_with_temperatures(2000, (2.0, 1.0), seed=6)
    made = fitted(traces, objective=Objective(ms=2.0, kb=0.5, mu=0.1), ship="hidden", target=0.9, risk=0.05).policy
    assert (made.bundle_id, made.ship) == (BUNDLE_ID, "hidden")
    assert (made.objective.ms, made.objective.kb, made.objective.mu) == (2.0, 0.5, 0.1)
    assert (made.codecs.hidden, made.codecs.input) == ("u8", "png")
    assert (made.evidence.samples, made.evidence.target, made.evidence.risk) == (2000, 0.9, 0.05)
    assert (made.evidence.codec_samples, made.evidence.codecs) == (100, (ROW,))
    assert made.evidence.data_sha256 == traces.digest()
    read = traces.read_with(made.reader())
    assert [section.accuracy for section in made.exits] == pytest.approx(read.correct.mean(axis=0).tolist(), abs=1e-6)


def test_the_certified_threshold_keeps_its_promise_on_other_samples() -> None:
    made = fitted(traces_with_temperatures(4000, (1.5, 1.0), seed=7), target=0.97, risk=0.05).policy
    other = traces_with_temperatures(20_000, (1.5, 1.0), seed=8).read_with(made.reader())
    threshold = made.exits[0].certified
    assert threshold is not None
    answered = other.confidence[:, 0] >= threshold
    assert 0.2 < answered.mean() < 1.0
    assert other.agrees[answered, 0].mean() >= 0.97


def test_a_bandit_that_takes_thresholds_gets_them_from_the_data() -> None:
    traces = traces_with_temperatures(1000, (2.0, 1.0), seed=9)
    grid = fitted(traces, bandit="grid").policy.bandit
    assert grid.params["thresholds"][0] == 0.0
    assert len(grid.params["thresholds"]) > 5
    assert fitted(traces, bandit="edge_only").policy.bandit.params == {}


def test_unless_told_the_sequential_policy_decides() -> None:
    traces = traces_with_temperatures(1000, (2.0, 1.0), seed=9)
    assert fitted(traces).policy.bandit == BanditSection(name="sequential")


def test_what_is_asked_is_played_by_the_cascade_and_tried_on_samples_that_took_no_part() -> None:
    traces = traces_with_temperatures(4000, (1.5, 1.0), seed=13)
    result = fitted(traces, asked=Target(risk=0.05))
    made = result.policy
    (promise,) = made.evidence.promises
    assert made.bandit.name == "cascade"
    assert (promise.samples, promise.held_out) == (2000, 1000)
    assert promise.reached is not None
    assert promise.reached <= 0.05
    assert result.kept is not None
    assert result.kept.trial is not None
    assert set(result.kept.trial.rows) < set(result.apart.rows)
    make_policy("cascade", exits=2, rng=np.random.default_rng(0), objective=Objective(), params=made.bandit.params)
    other = traces_with_temperatures(20_000, (1.5, 1.0), seed=14).read_with(made.reader())
    (threshold,) = made.bandit.params["per_exit"]
    answered = other.confidence[:, 0] >= threshold
    assert answered.any()
    assert (answered & ~other.agrees[:, 0]).mean() <= 0.05


def test_drift_behind_the_first_exit_is_measured_against_the_samples_that_got_there() -> None:
    traces = traces_with_temperatures(4000, (1.5, 1.0), seed=13)
    result = fitted(traces, asked=Target(risk=0.05))
    there = result.apart.read.confidence[:, 0] < result.policy.bandit.params["per_exit"][0]
    [second] = result.policy.evidence.reached_histograms
    assert sum(second.counts) == int(there.sum())  # of those that maps were not fitted on
    assert [sum(one.counts) for one in result.policy.evidence.confidence_histograms] == [2000, 2000]
    assert fitted(traces).policy.evidence.reached_histograms == ()  # nothing asked, no thresholds of our own


def test_another_bandit_would_not_keep_what_is_asked() -> None:
    with pytest.raises(ConfigError, match="--bandit grid: what is asked of thresholds is kept by 'cascade' only"):
        Wishes(bandit="grid", asked=Target(risk=0.05))


def test_limits_on_offloads_ship_after_the_last_early_exit() -> None:
    made = fitted(traces_with_temperatures(1000, (1.5, 1.2, 1.0), seed=15), asked=Target(max_offload=0.4)).policy
    assert made.bandit.params["ship_after"] == 2


def test_the_same_seed_gives_the_same_policy() -> None:
    traces = traces_with_temperatures(1000, (2.0, 1.0), seed=10)
    assert fitted(traces) == fitted(traces)


def test_a_saved_policy_is_bound_to_its_bundle(tmp_path: Path) -> None:
    made = fitted(traces_with_temperatures(1000, (2.0, 1.0), seed=11)).policy
    policy.save(made, tmp_path / "p.yaml")
    loaded = policy.load(tmp_path / "p.yaml")
    assert loaded == made
    loaded.check_bound_to(BUNDLE_ID, 2)
    with pytest.raises(PolicyFileError, match="made for bundle abababababab"):
        loaded.check_bound_to("cd" * 32, 2)
    with pytest.raises(PolicyFileError, match="calibrates 2 exits, the bundle has 3"):
        loaded.check_bound_to(BUNDLE_ID, 3)


def test_unusable_traces_and_wishes_are_refused() -> None:
    traces = traces_with_temperatures(200, (2.0, 1.0), seed=12)
    with pytest.raises(DataError, match="39 samples are too few"):
        fitted(traces.rows(slice(0, 39)))
    with pytest.raises(TraceError, match="kept no logits"):
        fitted(Traces(traces.confidence, traces.prediction, traces.labels))
    with pytest.raises(ConfigError, match="did you mean 'max_prob'"):
        fitted(traces, criterion="max_prop")
    with pytest.raises(ConfigError, match="no policy named 'gird'"):
        fitted(traces, bandit="gird")
