from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from bandits.loss import best_fixed_arm_by_loss
from bandits.policy import Answer, Costs, Observation, Ship
from bandits.sequential.policy import SequentialPlan
from bandits.sequential.states import STATES, state_of
from split_core.errors import ConfigError, PolicyFileError
from split_core.readings import Reading
from split_core.traces import Traces
from tests.bandits.frames import context
from tests.bandits.readings import reading
from tests.bandits.sequential.worlds import context_of, frame, fresh, losses, model_of, network, rows_of, shuffles

GOOD = (1.5, 2.5, 3.5, 5.0)


def perfect(frames: int, labels: int = 4) -> Traces:
    """Exits that all know the answer and say so."""
    said = np.random.default_rng(0).integers(0, labels, (frames, 1)).repeat(3, axis=1)
    return Traces(np.full(said.shape, 0.97), said, said[:, 0])


def worthless(frames: int) -> Traces:
    """Two exits that guess, and are sure of it."""
    rng = np.random.default_rng(0)
    said = rng.integers(0, 10, (frames, 3))
    return Traces(rng.uniform(0.7, 1.0, said.shape), said, said[:, 2])


def ratio(traces: Traces, *, whole: float, offload: float, frames: int = 6000, seed: int = 0) -> float:
    """Mean loss in units of the best fixed arm's in hindsight."""
    model = model_of(traces.confidence.shape[1], whole=whole, offload=offload)
    lost = losses(
        fresh(model.exits), context_of(traces, model), rows_of(traces), shuffles(traces.samples, frames, seed)
    )
    return float(lost.mean()) / best_fixed_arm_by_loss(traces, model)[1]


@pytest.mark.parametrize("offload", [0.3, 0.8, 2.0])
@pytest.mark.parametrize(
    ("skill", "sharpness"),
    [(GOOD, 3.0), (GOOD, 12.0), ((2.0, 4.0, 1.0, 5.0), 3.0), ((2.0, 4.0), 3.0)],
    ids=["trained", "sure of everything", "a bad exit between", "two exits"],
)
def test_it_never_costs_much_more_than_the_best_fixed_arm(
    skill: tuple[float, ...], sharpness: float, offload: float
) -> None:
    assert ratio(network(skill, sharpness=sharpness), whole=0.3, offload=offload) <= 1.01


def test_where_offloading_is_dear_it_beats_every_fixed_arm() -> None:
    assert ratio(network(GOOD), whole=0.3, offload=1.5) <= 0.95


def test_exits_that_know_everything_answer_at_once() -> None:
    model = model_of(3, whole=0.3, offload=1.0)
    traces = perfect(3000)
    lost = losses(fresh(3), context_of(traces, model), rows_of(traces), range(3000))
    assert lost[1000:].mean() == pytest.approx(0.1, rel=0.03)


def test_exits_that_know_nothing_are_left_alone() -> None:
    model = model_of(3, whole=0.3, offload=0.8)
    traces = worthless(4000)
    lost = losses(fresh(3), context_of(traces, model), rows_of(traces), range(4000))
    assert lost[1000:].mean() == pytest.approx(0.24, rel=0.01)


def test_a_price_that_changes_is_followed_by_the_next_frame() -> None:
    traces = network(GOOD, frames=1500)
    rows, policy = rows_of(traces), fresh(4)
    cheap, dear = (context_of(traces, model_of(4, whole=0.4, offload=offload)) for offload in (0.05, 3.0))
    losses(policy, dear, rows, range(1500))
    unsure = [row for row in rows if row[0].confidence < 0.5][:40]
    shipped = [
        sum(isinstance(frame(policy, given, row).action, Ship) for row in unsure) for given in (dear, cheap, dear)
    ]
    assert shipped[1] == 40
    assert max(shipped[0], shipped[2]) <= 2


def test_feedback_that_never_comes_does_no_harm() -> None:
    """Looks are paid for when they are begun: without any answer there are no more of them."""
    model, traces = model_of(4, whole=0.3, offload=1.5), network(GOOD, frames=2000)
    policy, given, looks = fresh(4), context_of(traces, model), 0
    for row in rows_of(traces):
        plan = frame(policy, given, row).plan
        looks += isinstance(plan, SequentialPlan) and plan.look
    assert 8 <= looks <= 120


def test_late_feedback_teaches_the_same() -> None:
    model, traces = model_of(4, whole=0.3, offload=0.8), network(GOOD, frames=3000)
    given, rows, late = context_of(traces, model), rows_of(traces), fresh(4)
    waiting: list[Observation] = []
    for row in rows:
        waiting.append(frame(late, given, row))
        if len(waiting) > 30:
            late.learn(waiting.pop(0))
    prompt = losses(fresh(4), given, rows, range(3000))[1500:].mean()
    assert losses(late, given, rows, range(1500, 3000)).mean() == pytest.approx(prompt, rel=0.1)


def test_an_audit_of_an_answer_teaches() -> None:
    policy = fresh(3)
    given, sure = context(Costs.published(3, 0.01, 0.5)), reading(1, 2, 0.93)
    plan = replace(policy.begin(given), heads=(1, 2))
    place = (0, 0, state_of(sure, None))
    before = policy.model.estimates.wrong[place]
    for _ in range(20):
        policy.learn(Observation(plan, (sure,), Answer(1), reading(3, 1, 0.99), math.nan))
    policy.model.refresh()
    assert policy.model.estimates.wrong[place] > before + 0.3


def test_a_verdict_says_nothing_of_exits_that_were_passed() -> None:
    """Only frames that stayed unsure come back, and they are the hard ones."""
    policy = fresh(4)
    plan = policy.begin(context(Costs.published(4, 0.01, 0.5)))
    path = (reading(1, 2, 0.6), reading(2, 2, 0.6))
    policy.learn(Observation(replace(plan, look=False), path, Ship(0), reading(4, 1, 0.99), math.nan))
    place = STATES + state_of(path[1], path[0])
    counted = policy.state()["model"]["counts"]["seen"]
    assert counted == [[place], [1]]


def test_what_goes_deeper_tells_by_where_it_comes() -> None:
    """Exit 1 is never checked; exit 2, which agrees, is, and always was right."""
    policy = fresh(3)
    plan = replace(policy.begin(context(Costs.published(3, 0.01, 0.5))), look=False)
    unsure, sure = reading(1, 2, 0.55), reading(2, 2, 0.9991)
    place = (0, 0, state_of(unsure, None))
    before = policy.model.estimates.wrong[place]
    for _ in range(60):
        policy.learn(Observation(plan, (unsure, sure), Ship(0), reading(3, 2, 0.99), math.nan))
    policy.model.refresh()
    assert policy.model.estimates.wrong[place] < 0.4 * before


def test_a_mistake_that_costs_more_is_made_less_often() -> None:
    """Label 1 is the alarm: missing it costs ten times as much."""
    traces, model = network(GOOD, classes=2), model_of(4, whole=0.3, offload=1.0)
    given, rows, order = context_of(traces, model), rows_of(traces), shuffles(traces.samples, 8000, 0)
    missed = {}
    for name, cost in (("equal", 1.0), ("alarm", [1.0, 10.0])):
        policy = fresh(4, error_cost=cost)
        losses(policy, given, rows, order)
        ends = [(frame(policy, given, row), row[-1].label) for row in rows[:2000]]
        missed[name] = sum(
            isinstance(seen.action, Answer) and label == 1 and seen.readings[-1].label == 0 for seen, label in ends
        )
    assert missed["alarm"] < 0.5 * missed["equal"]


def test_classes_are_kept_apart_and_lean_on_each_other() -> None:
    policy = fresh(3, by_class=3)
    plan = replace(policy.begin(context(Costs.published(3, 0.01, 0.5))), look=False)
    for number in range(200):
        said = reading(1, number % 2, 0.92)
        policy.learn(Observation(plan, (said,), Ship(0), reading(3, 0, 0.9), math.nan))
    policy.model.refresh()
    right, wrong, never = policy.model.estimates.wrong[0, :, state_of(said, None)]
    assert right < 0.15
    assert wrong > 0.85
    assert 0.3 < never < 0.7


def test_a_state_is_a_few_kilobytes() -> None:
    traces, model = network((1.5, 2.2, 2.9, 3.6, 4.3, 5.0)), model_of(6, whole=0.3, offload=0.8)
    policy = fresh(6)
    losses(policy, context_of(traces, model), rows_of(traces), shuffles(traces.samples, 8000, 0))
    assert len(json.dumps(policy.state())) < 14_000


def test_asking_for_the_state_does_not_change_what_it_is() -> None:
    policy = fresh(4)
    losses(
        policy,
        context_of(traces := network(GOOD, frames=300), model_of(4, whole=0.3, offload=0.8)),
        rows_of(traces),
        range(300),
    )
    assert policy.state() == policy.state()


def test_other_error_costs_are_other_values_and_refuse_the_state() -> None:
    with pytest.raises(PolicyFileError, match="error_costs"):
        fresh(3, error_cost=2.0).restore(fresh(3).state())


def test_error_costs_of_one_class_are_refused() -> None:
    with pytest.raises(ConfigError, match="one per class"):
        fresh(3, error_cost=[1.0])


def test_what_is_forgotten_is_believed_no_more() -> None:
    policy, model, traces = fresh(4), model_of(4, whole=0.3, offload=0.8), network(GOOD, sharpness=12.0, frames=2000)
    losses(policy, context_of(traces, model), rows_of(traces), range(2000))
    learned = policy.model.estimates.width.mean()
    policy.forget(0.05)
    assert policy.model.estimates.width.mean() > 1.2 * learned


def test_after_a_change_that_is_told_it_learns_anew() -> None:
    """Exit 1 knew everything, then nothing; told of the change it stops answering sooner than without."""
    good, bad = rows_of(perfect(2000)), rows_of(worthless(2000))
    given = context(Costs.published(3, 0.1, 0.4))
    lost = []
    for told in (False, True):
        policy = fresh(3)
        losses(policy, given, good, range(2000))
        if told:
            policy.forget(0.02)
        lost.append(losses(policy, given, bad, range(2000)).mean())
    assert lost[1] < lost[0]


def test_one_exit_ships_or_runs_to_the_end() -> None:
    policy, row = fresh(1), (Reading(1, 3, 0.9),)
    for offload, end in ((0.1, Ship(0)), (0.5, Answer(1))):
        seen = frame(policy, context(Costs.published(1, 0.3, offload)), row)
        policy.learn(seen)
        assert seen.action == end
