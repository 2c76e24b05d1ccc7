from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.releases.trial import BLOCK, Before, Terms, Trial

TERMS = Terms(probation_s=60.0)


def before(frames: int = 2000, bad: int = 0) -> Before:
    known = Before()
    for n in range(frames):
        known.add(n < bad)
    return known


def on_probation(terms: Terms = TERMS, known: Before | None = None) -> Trial:
    trial = Trial("0002", terms)
    trial.loaded()
    while trial.stage == "comparing":
        trial.compared(True)
    trial.switch(known or before(), now=100.0)
    return trial


def test_a_release_that_answers_alike_passes_after_some_frames_and_waits_for_a_worker():
    trial = Trial("0002", TERMS)
    trial.loaded()
    frames = 0
    while trial.stage == "comparing":
        trial.compared(True)
        frames += 1
    assert trial.stage == "waiting"
    assert frames == 31  # the first n where n good ones speak 100 to 1 against 0.8
    assert not trial.switched


def test_a_release_that_answers_differently_is_refused_and_says_how_often():
    trial = Trial("0002", TERMS)
    trial.loaded()
    while trial.stage == "comparing":
        trial.compared(False, "'cat' for 'dog'")
    assert trial.stage == "refused"
    assert trial.why.startswith("0 of 4 frames were answered as before and in time, expected 80%")
    assert trial.why.endswith("'cat' for 'dog'")


def test_what_cannot_be_proved_in_the_frames_that_are_allowed_is_refused():
    trial = Trial("0002", Terms(frames=50))
    trial.loaded()
    for n in range(50):
        trial.compared(n % 5 > 0)
    assert trial.stage == "refused"
    assert "was not proved" in trial.why


@pytest.mark.parametrize(("share", "most"), [(0.78, 0.01), (0.9, 1.0)])
def test_of_releases_that_are_worse_than_allowed_hardly_any_passes_and_of_better_ones_most_do(
    share: float, most: float
):
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(200):
        trial = Trial("0002", TERMS)
        trial.loaded()
        while trial.stage == "comparing":
            trial.compared(bool(rng.random() < share))
        passed += trial.stage == "waiting"
    assert passed / 200 <= most + 0.015
    assert share < 0.8 or passed > 190


def test_the_more_often_it_differs_the_longer_a_proof_takes():
    """As docs/releases.md tells."""
    rng = np.random.default_rng(3)

    def frames() -> int:
        trial, compared = Trial("0002", TERMS), 0
        trial.loaded()
        while trial.stage == "comparing":
            trial.compared(bool(rng.random() < 0.9))
            compared += 1
        return compared

    assert 140 < np.median([frames() for _ in range(300)]) < 200


def test_frames_that_end_badly_take_a_release_back_within_a_few_frames():
    trial = on_probation()
    frames = 0
    while trial.stage == "probation":
        trial.answered(bad=True)
        frames += 1
    assert (trial.stage, trial.switched, frames) == ("refused", True, 3)
    assert "3 of 3 frames ended badly" in trial.why


def test_the_less_is_known_of_before_the_more_frames_a_proof_takes():
    def needed(known: Before) -> int:
        trial, frames = on_probation(known=known), 0
        while trial.stage == "probation" and frames < 10_000:
            trial.answered(bad=True)
            frames += 1
        return frames

    assert needed(before(2000)) < needed(before(50)) < needed(before(5)) < 10_000
    assert needed(before(0)) == 10_000  # of nothing there is nothing to compare with


def test_a_release_that_is_as_good_as_before_is_hardly_ever_taken_back():
    rng = np.random.default_rng(1)
    taken_back = 0
    for _ in range(100):
        known = before(500, int(rng.binomial(500, 0.05)))
        trial = on_probation(Terms(worse=0.0), known)
        for _ in range(2000):
            trial.answered(bool(rng.random() < 0.05))
        taken_back += trial.stage == "refused"
    assert taken_back <= 1


def test_a_share_that_doubles_is_found_out_while_it_may_still_be_taken_back():
    rng = np.random.default_rng(2)
    trial, frames = on_probation(known=before(3000, 300)), 0
    while trial.stage == "probation":
        trial.answered(bool(rng.random() < 0.3))
        frames += 1
    assert frames < 200


def test_what_begins_late_in_a_probation_is_not_hidden_by_the_good_frames_before():
    trial = on_probation()
    for _ in range(5000):
        trial.answered(bad=False)
    frames = 0
    while trial.stage == "probation":
        trial.answered(bad=True)
        frames += 1
    assert frames < 50


def test_answers_that_grow_different_take_it_back_too():
    trial = on_probation()
    while trial.stage == "probation":
        trial.compared(False, "too late")
    assert trial.stage == "refused"


def test_in_a_probation_comparisons_come_to_an_end():
    trial = on_probation(Terms(frames=40, probation_s=60.0))
    compared = 0
    while trial.asks:
        trial.compared(True)
        compared += 1
    assert compared == 40
    assert trial.stage == "probation"


def test_it_is_kept_when_its_time_is_up_and_not_before():
    trial = on_probation()
    trial.tick(159.9)
    assert trial.stage == "probation"
    trial.tick(160.0)
    assert trial.stage == "kept"
    trial.answered(bad=True)
    trial.refuse("too late to say so")
    assert trial.stage == "kept"


def test_of_before_the_newest_frames_are_remembered():
    known = before(BLOCK, BLOCK)
    assert known.upper(0.01) > 0.99
    for _ in range(2 * BLOCK):
        known.add(False)
    assert known.upper(0.01) < 0.01


EVENTS = ("loaded", "good", "bad", "switch", "ok", "broken", "late", "refuse")


@given(st.lists(st.sampled_from(EVENTS), max_size=60))
def test_whatever_happens_the_stages_come_in_order_and_an_end_is_an_end(events: list[str]):
    order = ("loading", "comparing", "waiting", "probation", "kept", "refused")
    trial, now, stages = Trial("0002", Terms(frames=10, probation_s=1.0)), 0.0, ["loading"]
    for event in events:
        now += 0.5
        if event == "loaded" and trial.stage == "loading":
            trial.loaded()
        elif event == "switch" and trial.stage == "waiting":
            trial.switch(before(10), now)
        elif event in ("good", "bad"):
            trial.compared(event == "good")
        elif event in ("ok", "broken"):
            trial.answered(event == "broken")
        elif event == "refuse":
            trial.refuse("by hand")
        trial.tick(now)
        stages.append(trial.stage)
    places = [order.index(stage) for stage in stages]
    assert places == sorted(places)
    assert not {"kept", "refused"} <= set(stages)
    assert trial.switched == ("probation" in stages)
    assert (trial.stage == "refused") == bool(trial.why)
