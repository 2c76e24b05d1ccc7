from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from bandits import POLICIES
from bandits.build import make_policy
from bandits.path_model import PathModel
from bandits.policy import Action, Answer, Arm, Context, Deeper, Observation, Plan, Policy, Ship
from bandits.regret import arm_means, default_arms
from bandits.replay import replay
from bandits.runs import Run, summarise
from split_core.errors import ProfileError
from split_core.objective import Objective
from split_core.readings import Reading
from split_core.traces import Traces
from tests.bandits.frames import path_model, random_traces

TRACES = random_traces(120, 3)


class Obedient:
    """Plans and acts as told; keeps what it is taught."""

    def __init__(self, heads: tuple[int, ...], *actions: Action) -> None:
        self.heads, self.actions = heads, actions
        self.contexts: list[Context] = []
        self.learned: list[Observation] = []

    def begin(self, context: Context) -> Plan:
        self.contexts.append(context)
        return Plan(context, self.heads)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        return self.actions[len(readings)]

    def learn(self, observation: Observation) -> None:
        self.learned.append(observation)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


def play(policy: Policy, traces: Traces, model: PathModel, seed: int = 0) -> Run:
    return replay(policy, traces, model, np.random.default_rng(seed))


def named(name: str, model: PathModel, **params: Any) -> Policy:
    return make_policy(name, exits=3, rng=np.random.default_rng(0), objective=model.objective, params=params)


def fixed(arm: Arm, model: PathModel) -> Policy:
    return named("fixed", model, split=arm.split, threshold=arm.threshold)


@pytest.mark.parametrize("deadline_ms", [None, 45.0, 55.0])
@pytest.mark.parametrize("arm", [Arm(0, 1.0), Arm(1, 0.6), Arm(2, 0.7), Arm(2, 1.0), Arm(3, 0.0)])
def test_a_fixed_arm_earns_what_the_table_says(arm: Arm, deadline_ms: float | None) -> None:
    model = path_model(deadline_ms=deadline_ms, link_residual_ms=(0.5,))
    run = play(fixed(arm, model), TRACES, model)
    assert run.reward.mean() == pytest.approx(arm_means(TRACES, [arm], model)[0])


def test_over_a_link_that_varies_a_fixed_arm_earns_it_on_average() -> None:
    model = path_model(deadline_ms=55.0, link_residual_ms=(-3.0, 0.0, 2.0, 20.0))
    runs = [play(fixed(Arm(1, 0.7), model), TRACES, model, seed) for seed in range(60)]
    mean = arm_means(TRACES, [Arm(1, 0.7)], model)[0]
    assert np.mean([run.reward.mean() for run in runs]) == pytest.approx(mean, abs=0.002)
    assert len({float(run.reward.mean()) for run in runs}) > 1


def test_a_local_answer_costs_the_segments_and_the_head() -> None:
    run = play(Obedient((2,), Deeper(), Answer(2)), TRACES, path_model())
    assert set(run.latency_ms) == {0.5 + 20.0 + 1.0}
    assert set(run.cost) == {21.5}
    assert not run.cloud.any()
    assert not run.payload_bytes.any()
    assert (run.exit == 2).all()
    assert (run.shipped == -1).all()


def test_every_head_that_is_read_costs_time() -> None:
    run = play(Obedient((1, 2), Deeper(), Deeper(), Answer(1)), TRACES, path_model())
    assert set(run.latency_ms) == {0.5 + 20.0 + 2.0}
    assert (run.exit == 1).all()


def test_a_frame_that_ends_early_does_not_pay_for_the_heads_behind() -> None:
    run = play(Obedient((1, 2), Deeper(), Answer(1)), TRACES, path_model())
    assert set(run.latency_ms) == {0.5 + 10.0 + 1.0}


def test_a_shipped_frame_costs_what_the_path_costs() -> None:
    model = path_model(link_residual_ms=(2.0,))
    run = play(Obedient((), Ship(0)), TRACES, model)
    kb = TRACES.payload_bytes[:, 0] / 1000
    assert run.latency_ms == pytest.approx(0.5 + 3.0 + 20.0 + 5.0 * kb + 2.0 + 6.0 + 0.25)
    assert run.cost == pytest.approx(run.latency_ms + 0.5 * kb + 0.2 * 6.0)
    assert run.cloud.all()
    assert (run.exit == 3).all()
    np.testing.assert_array_equal(run.agrees, np.ones(120, bool))


def test_a_late_reply_is_answered_by_the_surest_reading_at_the_deadline() -> None:
    model = path_model(deadline_ms=40.0)
    ship = Ship(model.paths(TRACES).payload[2])
    run = play(Obedient((1, 2), Deeper(), Deeper(), ship), TRACES, model)
    assert run.degraded.all()
    assert not run.cloud.any()
    assert set(run.latency_ms) == {40.0}
    np.testing.assert_array_equal(run.exit, 1 + TRACES.confidence[:, :2].argmax(axis=1))
    # The bytes have gone all the same.
    assert (run.payload_bytes > 0).all()


def test_a_reply_at_the_deadline_itself_is_in_time() -> None:
    """.5 of ours, 3 to pack, 20 of the link, 6 of the worker, .25 to take it in."""
    traces = random_traces(20, 3, payloads=False)
    model = path_model(deadline_ms=29.75, link_residual_ms=(0.0,))
    run = play(Obedient((), Ship(0)), traces, model)
    assert set(run.latency_ms) == {29.75}
    assert run.cloud.all()
    assert not run.degraded.any()
    assert summarise(run)["deadline_misses"] == 0
    assert arm_means(traces, [Arm(0, 1.0)], model)[0] == pytest.approx(run.reward.mean())


def test_without_a_reading_a_late_reply_is_answered_by_exit_1() -> None:
    run = play(Obedient((), Ship(0)), TRACES, path_model(deadline_ms=20.0))
    assert run.degraded.all()
    assert (run.exit == 1).all()


def test_a_device_slower_than_the_deadline_answers_when_it_is_done() -> None:
    model = path_model(deadline_ms=5.0)
    run = play(Obedient((2,), Deeper(), Ship(model.paths(TRACES).payload[2])), TRACES, model)
    assert set(run.latency_ms) == {21.5}


def test_a_lost_reply_brings_no_verdict() -> None:
    subject = Obedient((), Ship(0))
    play(subject, TRACES, path_model(deadline_ms=20.0))
    assert len(subject.learned) == 120
    assert all(seen.verdict is None and seen.lost for seen in subject.learned)


class Watched:
    """Another policy, and whether its state moved when a reply was lost or came."""

    def __init__(self, policy: Policy) -> None:
        self.begin, self.next, self.state, self.restore = policy.begin, policy.next, policy.state, policy.restore
        self._learn = policy.learn
        self.moved: dict[bool, list[bool]] = {True: [], False: []}

    def learn(self, observation: Observation) -> None:
        before = json.dumps(self.state())
        self._learn(observation)
        self.moved[observation.lost].append(json.dumps(self.state()) != before)


@pytest.mark.parametrize("name", ["grid", "splitee", "splitee_s", "ucbee"])
def test_lost_replies_teach_nothing_and_others_do(name: str) -> None:
    # Shipping is nearly free and the last segment is out of the question, so that every policy ships.
    model = path_model(
        device_ms=(0.0, 1.0, 2.0, 5000.0),
        deadline_ms=45.0,
        link_residual_ms=(-10.0, 30.0),
        objective=Objective(mu=0.001),
    )
    watched = Watched(named(name, model))
    run = play(watched, random_traces(400, 3), model)
    assert len(watched.moved[True]) == run.degraded.sum() > 0
    assert not any(watched.moved[True])
    assert all(watched.moved[False])


def test_a_verdict_is_the_final_exits_reading() -> None:
    subject = Obedient((), Ship(0))
    play(subject, TRACES, path_model())
    verdicts = [seen.verdict for seen in subject.learned]
    assert [v.confidence for v in verdicts if v] == TRACES.confidence[:, -1].tolist()
    assert [v.label for v in verdicts if v] == TRACES.prediction[:, -1].tolist()


def test_an_observation_says_what_the_frame_cost() -> None:
    subject = Obedient((2,), Deeper(), Answer(2))
    run = play(subject, TRACES, path_model())
    assert [seen.cost for seen in subject.learned] == run.cost.tolist()


def test_every_frame_offers_the_splits_and_prices_of_the_model() -> None:
    subject = Obedient((2,), Deeper(), Answer(2))
    model = path_model(ship="hidden", deadline_ms=80.0)
    play(subject, TRACES, model)
    assert {(c.splits, c.cloud, c.deadline_left_ms) for c in subject.contexts} == {((1, 2, 3), True, 80.0)}
    np.testing.assert_array_equal(subject.contexts[0].costs.ship, model.costs(TRACES).ship)


@pytest.mark.parametrize(
    ("heads", "actions", "complaint"),
    [
        ((1,), (Deeper(), Deeper()), "deeper than the last exit"),
        ((), (Deeper(),), "deeper than the last exit"),
        ((2,), (Deeper(), Answer(1)), "exit 1, which was not read"),
        ((2,), (Answer(2),), "exit 2, which was not read"),
        ((2,), (Deeper(), Ship(1)), "ships cut 1 from depth 2"),
        ((), (Ship(1),), "ships cut 1 from depth 0"),
        ((3,), (Deeper(), Ship(2)), "ships cut 2 from depth 3"),
    ],
)
def test_a_policy_that_breaks_the_protocol_is_our_bug(
    heads: tuple[int, ...], actions: tuple[Action, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        play(Obedient(heads, *actions), TRACES, path_model())


def test_pixels_may_not_be_shipped_where_that_is_forbidden() -> None:
    with pytest.raises(ValueError, match="ships cut 0 from depth 0"):
        play(Obedient((), Ship(0)), TRACES, path_model(ship="hidden"))


def test_a_trace_of_another_network_is_refused() -> None:
    with pytest.raises(ProfileError, match="for 3 exits, the trace has 4"):
        play(Obedient((), Ship(0)), random_traces(5, 4), path_model())


@pytest.mark.parametrize("name", list(POLICIES))
def test_the_same_seed_gives_the_same_run(name: str) -> None:
    model = path_model(deadline_ms=60.0, link_residual_ms=(0.0, 5.0, 30.0))
    first, second = play(named(name, model), TRACES, model), play(named(name, model), TRACES, model)
    np.testing.assert_array_equal(first.arm, second.arm)
    np.testing.assert_array_equal(first.reward, second.reward)


@pytest.mark.parametrize("ship", ["any", "hidden"])
def test_the_best_arm_of_the_grid_earns_most_by_replay(ship: str) -> None:
    model = path_model(ship=ship, link_residual_ms=(0.0,))
    arms = default_arms(model)
    earned = [play(fixed(arm, model), TRACES, model).reward.mean() for arm in arms]
    assert earned == pytest.approx(arm_means(TRACES, arms, model).tolist())
