from __future__ import annotations

import json
import math

import numpy as np
import pytest

from bandits.strata import RESCALE_ABOVE, Strata
from split_core.readings import Reading
from tests.bandits.readings import reading


def readings(*confidences: float) -> list[Reading]:
    return [reading(exit, 0, confidence) for exit, confidence in enumerate(confidences, 1)]


def three_frames() -> Strata:
    """One that ran to the end, one shipped from exit 1, one answered there."""
    strata = Strata(2, [0.5], discount=1.0)
    strata.observe(readings(0.8), 0.9, ran_to_end=True)
    strata.observe(readings(0.4), 0.7, ran_to_end=False)
    strata.observe(readings(0.6), None, ran_to_end=False)
    return strata


def test_value_share_and_uncertainty_worked_by_hand() -> None:
    estimates = three_frames().estimates()
    # Exit 1: a third of the readings lie below .5.  Their final is .7 once, and .625 by the prior, halfway
    # from the middle of the bin, .25, to 1.
    assert estimates.share[1, 0] == pytest.approx(1 / 3)
    assert estimates.value[1, 0] == pytest.approx((0.7 + 0.625) / 2 / 3 + (0.8 + 0.6) / 3)
    # Two thirds known from three readings, one third squared from one verdict.
    assert estimates.uncertainty[1, 0] == pytest.approx((2 / 3) / 3 + (1 / 3) ** 2 / 1)


def test_shipping_the_input_knows_only_what_came_back_whatever_was_read() -> None:
    estimates = three_frames().estimates()
    assert estimates.value[0, 0] == pytest.approx(0.9)  # not .8, the mean with the verdict of a hard frame
    assert estimates.share[0, 0] == 1.0
    assert estimates.uncertainty[0, 0] == pytest.approx(1.0)


def test_a_bin_without_verdicts_is_worth_halfway_to_certainty() -> None:
    strata = Strata(2, [0.5], discount=1.0)
    strata.observe(readings(0.4), None, ran_to_end=False)
    assert strata.estimates().value[1, 0] == pytest.approx(0.625)


def test_an_exit_that_was_never_read_is_beyond_all_measure_uncertain() -> None:
    uncertainty = three_frames().estimates().uncertainty
    assert (Strata(2, [0.5], discount=1.0).estimates().uncertainty > 1e50).all()
    assert (uncertainty < 10).all()


def test_fully_observed_it_is_the_plain_mean_over_n_frames() -> None:
    rng = np.random.default_rng(0)
    shallow, final = rng.random(400), rng.random(400)
    strata = Strata(2, [0.3, 0.7], discount=1.0)
    for low, high in zip(shallow, final, strict=True):
        strata.observe(readings(low), high, ran_to_end=True)
    estimates = strata.estimates()
    for column, alpha in enumerate((0.3, 0.7)):
        truth = np.where(shallow >= alpha, shallow, final).mean()
        assert estimates.value[1, column] == pytest.approx(truth, abs=2e-3)  # the prior is still felt
        assert estimates.share[1, column] == pytest.approx((shallow < alpha).mean())
        assert estimates.uncertainty[1, column] == pytest.approx(1 / 400, rel=1e-6)


def test_a_verdict_says_nothing_about_the_exits_passed_on_the_way() -> None:
    kind, harsh = Strata(3, [0.5], discount=1.0), Strata(3, [0.5], discount=1.0)
    for strata, final in ((kind, 1.0), (harsh, 0.0)):
        strata.observe(readings(0.3, 0.4), final, ran_to_end=False)
    assert (kind.estimates().value[:2] == harsh.estimates().value[:2]).all()
    assert kind.estimates().value[2, 0] > harsh.estimates().value[2, 0]


def censored_stream(frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exit confidences and final confidence that share their ease; a final one that is better where exit 1 is not."""
    rng = np.random.default_rng(7)
    ease = rng.random(frames)
    first = np.clip(ease + rng.normal(0, 0.1, frames), 0, 1)
    second = np.clip(0.3 + 0.7 * ease + rng.normal(0, 0.05, frames), 0, 1)
    final = np.clip(0.55 + 0.45 * ease + rng.normal(0, 0.05, frames), 0, 1)
    return first, second, final


def test_what_was_answered_locally_does_not_bias_the_means_of_other_arms() -> None:
    """Known means; most frames are censored by confidence.  Imputing or leaving out what is missing is off by far."""
    thresholds = [0.5, 0.7, 0.9, 1.0]
    first, second, final = censored_stream(6000)
    # The arm is drawn without looking at the frame: mostly (2, .7), sometimes what ships all from an exit.
    arms = np.random.default_rng(1).choice(4, 6000, p=[0.7, 0.1, 0.1, 0.1])
    strata = Strata(3, thresholds, discount=1.0)
    skipped, imputed = [], []
    for one, two, last, arm in zip(first, second, final, arms, strict=True):
        split, alpha = ((2, 0.7), (2, 1.0), (1, 1.0), (0, 1.0))[arm]
        read = readings(one, two)[:split]
        shipped = not read or read[-1].confidence < alpha
        strata.observe(read, last if shipped else None, ran_to_end=False)
        skipped += [last] if shipped else []
        imputed.append(last if shipped else read[-1].confidence)
    value = strata.estimates().value
    for exit, confidence in ((1, first), (2, second)):
        for column, alpha in enumerate(thresholds):
            truth = np.where(confidence >= alpha, confidence, final).mean()
            assert value[exit, column] == pytest.approx(truth, abs=0.01), (exit, alpha)
    assert value[0, 0] == pytest.approx(final.mean(), abs=0.01)
    assert final.mean() - np.mean(skipped) > 0.05
    assert abs(np.mean(imputed) - final.mean()) > 0.01


def test_audits_of_answered_frames_settle_what_shipping_them_would_be_worth_and_bias_nothing() -> None:
    """Arm (1, .5) alone is played; a tenth of what it answers is audited, whatever the frame looks like."""
    thresholds = [0.5, 0.7, 0.9, 1.0]
    first, _, final = censored_stream(40_000)
    final = np.where(first >= 0.5, final - 0.2, final)  # the cloud is worse there than the optimistic prior believes
    drawn = np.random.default_rng(3).random(40_000) < 0.1
    audited, never = (Strata(2, thresholds, discount=1.0) for _ in range(2))
    for one, last, audit in zip(first, final, drawn, strict=True):
        audited.observe(readings(one), last if one < 0.5 or audit else None, ran_to_end=False)
        never.observe(readings(one), last if one < 0.5 else None, ran_to_end=False)
    truth = [np.where(first >= alpha, first, final).mean() for alpha in thresholds]
    assert audited.estimates().value[1] == pytest.approx(truth, abs=0.01)
    assert (never.estimates().value[1] - truth)[2:].min() > 0.03


def test_old_frames_fade() -> None:
    strata = Strata(2, [0.5], discount=0.9)
    for _ in range(200):
        strata.observe(readings(0.9), None, ran_to_end=False)
    for _ in range(50):
        strata.observe(readings(0.6), None, ran_to_end=False)
    # 1 / (1 - .9) = 10 frames are remembered, and .9^50 of them are old.
    assert strata.frames == pytest.approx(10.0, rel=1e-6)
    assert strata.estimates().value[1, 0] == pytest.approx(0.6, abs=0.01)


def test_rescaling_the_weights_changes_no_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    often, never = Strata(2, [0.5], discount=0.5), Strata(2, [0.5], discount=0.5)
    for number in range(60):
        often.observe(readings(0.1 + number / 70), 0.8, ran_to_end=False)
        with monkeypatch.context() as patch:
            patch.setattr("bandits.strata.RESCALE_ABOVE", math.inf)
            never.observe(readings(0.1 + number / 70), 0.8, ran_to_end=False)
    assert often._weight < RESCALE_ABOVE < never._weight
    for one, other in zip(_arrays(often), _arrays(never), strict=True):
        assert one == pytest.approx(other, rel=1e-12)


def _arrays(strata: Strata) -> list[np.ndarray]:
    estimates = strata.estimates()
    return [estimates.value, estimates.share, estimates.uncertainty, np.array([strata.frames])]


def test_a_restored_table_is_the_same_to_the_last_bit() -> None:
    strata, other = three_frames(), Strata(2, [0.5], discount=1.0)
    other.restore(json.loads(json.dumps(strata.state())), "grid")
    assert other.state() == strata.state()
    assert (other.estimates().value == strata.estimates().value).all()
