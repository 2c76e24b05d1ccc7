"""Whatever `POLICIES` holds must do this."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits import POLICIES
from bandits.build import make_policy, parameter_names
from bandits.envelope import Envelope, Pledge
from bandits.guard import Guard, Limits
from bandits.policy import Action, Answer, Context, Costs, Observation, Plan, Policy, Ship
from split_core.errors import ConfigError, PolicyFileError
from split_core.objective import Objective
from split_core.readings import Reading
from tests.bandits.frames import observed, play, readings_of

GUARDED = [f"guarded {name}" for name in POLICIES]
ENVELOPED = ["enveloped grid", "enveloped cascade", "enveloped sequential"]
EVERY = pytest.mark.parametrize("name", [*POLICIES, *GUARDED, *ENVELOPED])
UNGUARDED = pytest.mark.parametrize("name", list(POLICIES))
EXITS = 4
OBJECTIVE = Objective(mu=0.01)
OTHERS = [(name, other) for name in POLICIES for other in POLICIES if name != other]


def policy(name: str, *, exits: int = EXITS, seed: int = 0) -> Policy:
    """`guarded X` is X within a guard that lets no early answer below a confidence of 0.7 pass; `enveloped X` audits, too."""
    inner = make_policy(name.split()[-1], exits=exits, rng=np.random.default_rng(seed), objective=OBJECTIVE)
    if name in POLICIES:
        return inner
    if name in ENVELOPED:
        pledge = Pledge(target=0.9, false_alarm=0.1, share=0.5, floors=(0.7,) * (exits - 1))
        return Envelope(inner, Limits(), exits=exits, pledge=pledge)
    return Guard(inner, Limits(predicate=lambda reading: reading.confidence >= 0.7), exits=exits)


@st.composite
def costs(draw: st.DrawFn, exits: int) -> Costs:
    """Any prices; the input, or anything at all, may be forbidden to ship."""
    price = st.floats(0.0, 100.0)
    device = np.cumsum([0.0, *(draw(price) for _ in range(exits))])
    head = np.array([0.0, *(draw(price) for _ in range(exits))])
    ship = np.array([draw(st.one_of(price, st.just(math.inf))) for _ in range(exits)])
    return Costs(device, head, ship, tuple(draw(st.integers(0, depth)) for depth in range(exits)))


@st.composite
def contexts(draw: st.DrawFn, exits: int = EXITS) -> Context:
    splits = draw(st.sets(st.integers(0, exits), min_size=1))
    return Context(tuple(sorted(splits)), draw(st.booleans()), draw(st.floats(0.0, 1e6)), draw(costs(exits)))


def confidences(exits: int = EXITS) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(0.0, 1.0), min_size=exits, max_size=exits)


@dataclass(frozen=True)
class Sent:
    """One frame of a schedule: what it meets, and what becomes of its observation."""

    context: Context
    readings: list[Reading]
    fate: str
    delay: int


@st.composite
def schedules(draw: st.DrawFn, fates: tuple[str, ...] = ("now", "late", "twice", "never", "lost")) -> list[Sent]:
    frame = st.builds(Sent, contexts(), confidences().map(readings_of), st.sampled_from(fates), st.integers(1, 6))
    return draw(st.lists(frame, min_size=1, max_size=12))


def run(subject: Policy, schedule: list[Sent]) -> list[tuple[Plan, Action]]:
    """Play `schedule`; observations arrive as their fates say, so late ones overtake each other."""
    choices: list[tuple[Plan, Action]] = []
    due: list[tuple[int, Observation]] = []
    for number, sent in enumerate(schedule):
        observation = observed(subject, sent.context, sent.readings)
        choices.append((observation.plan, observation.action))
        when = number + (sent.delay if sent.fate == "late" else 0)
        due += [(when, learned) for learned in fated(sent.fate, observation)]
        for _, learned in [item for item in due if item[0] <= number]:
            subject.learn(learned)
        due = [item for item in due if item[0] > number]
    return choices


def fated(fate: str, observation: Observation) -> Iterator[Observation]:
    if fate == "lost":
        yield replace(observation, verdict=None)
    elif fate != "never":
        yield from [observation] * (2 if fate == "twice" else 1)


def same_plans(first: list[tuple[Plan, Action]], second: list[tuple[Plan, Action]]) -> bool:
    """Plans compare by what was decided; contexts hold arrays."""
    return [brief(*choice) for choice in first] == [brief(*choice) for choice in second]


def brief(plan: Plan, action: Action) -> tuple[Any, ...]:
    return plan.heads, plan.arm, plan.arm_index, plan.propensity, plan.learns, action


def frozen(state: dict[str, Any]) -> str:
    return json.dumps(state, sort_keys=True, allow_nan=False)


def damaged(state: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Copies of `state` with one value, however deep, removed or replaced by something of another kind."""
    for path in _paths(state):
        for value in (None, "junk", [], {}, -1.5e308, math.nan):
            copied = copy.deepcopy(state)
            holder: Any = copied
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = value
            yield f"{path} = {value!r}", copied


def _paths(value: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = (
        list(value) if isinstance(value, dict) else list(range(min(2, len(value)))) if isinstance(value, list) else []
    )
    for key in keys:
        yield (*prefix, key)
        yield from _paths(value[key], (*prefix, key))


@EVERY
@settings(max_examples=40, deadline=None)
@given(data=st.data(), exits=st.integers(2, 12))
def test_every_choice_is_legal(name: str, data: st.DataObject, exits: int) -> None:
    subject = policy(name, exits=exits)
    for _ in range(data.draw(st.integers(1, 8))):
        context = data.draw(contexts(exits))
        every = readings_of(data.draw(confidences(exits)))
        plan, readings, action = play(subject, context, every)
        depth = readings[-1].exit if readings else 0
        assert plan.context is context
        assert 0.0 < plan.propensity <= 1.0
        assert list(plan.heads) == sorted(set(plan.heads))
        assert all(1 <= head <= max(1, *context.splits) for head in plan.heads)
        # Where only the input may be shipped and it may not, exit 1 is all that is left.
        assert depth in context.splits or (depth == 1 and context.splits == (0,) and isinstance(action, Answer))
        if isinstance(action, Answer):
            assert action.exit in [r.exit for r in readings]
        else:
            assert isinstance(action, Ship)
            assert context.cloud
            assert action.cut == context.costs.payload[depth]
            assert math.isfinite(context.costs.ship[depth])
        subject.learn(Observation(plan, readings, action, None if isinstance(action, Answer) else every[-1], 1.0))


@EVERY
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_network_of_one_exit_is_played_or_refused_in_one_line(name: str, data: st.DataObject) -> None:
    try:
        subject = policy(name, exits=1)
    except ConfigError:
        with pytest.raises(ConfigError, match=r"\Apolicy .*\Z"):
            policy(name, exits=1)
        return
    for _ in range(4):
        context = data.draw(contexts(1))
        every = readings_of(data.draw(confidences(1)))
        plan, readings, action = play(subject, context, every)
        assert list(plan.heads) in ([], [1])
        assert (action == Answer(1)) is bool(readings)
        assert readings or context.may_ship(0)
        subject.learn(Observation(plan, readings, action, None if readings else every[-1], 1.0))
    policy(name, exits=1).restore(json.loads(frozen(subject.state())))


@EVERY
@settings(max_examples=40, deadline=None)
@given(context=contexts(), values=confidences())
def test_without_a_cloud_the_device_answers(name: str, context: Context, values: list[float]) -> None:
    _, readings, action = play(policy(name), replace(context, cloud=False), readings_of(values))
    assert isinstance(action, Answer)
    assert action.exit in [r.exit for r in readings]


@EVERY
@settings(max_examples=25, deadline=None)
@given(schedule=schedules())
def test_learning_may_come_late_twice_never_or_in_another_order(name: str, schedule: list[Sent]) -> None:
    subject = policy(name)
    assert len(run(subject, schedule)) == len(schedule)
    frozen(subject.state())


@EVERY
@settings(max_examples=25, deadline=None)
@given(schedule=schedules(), context=contexts(), values=confidences())
def test_a_lost_reply_changes_nothing(name: str, schedule: list[Sent], context: Context, values: list[float]) -> None:
    subject = policy(name)
    run(subject, schedule)
    plan, readings, action = play(subject, context, readings_of(values))
    if isinstance(action, Answer):
        action = Ship(0)  # whatever was planned, a frame that was shipped and never answered
    before = frozen(subject.state())
    subject.learn(Observation(plan, readings, action, None, 12.5))
    assert frozen(subject.state()) == before


@EVERY
@settings(max_examples=25, deadline=None)
@given(schedule=schedules(), context=contexts(), values=confidences())
def test_a_forced_choice_teaches_nothing(
    name: str, schedule: list[Sent], context: Context, values: list[float]
) -> None:
    subject = policy(name)
    run(subject, schedule)
    seen = observed(subject, context, readings_of(values))
    before = frozen(subject.state())
    subject.learn(replace(seen, plan=replace(seen.plan, learns=False)))
    assert frozen(subject.state()) == before


@EVERY
@settings(max_examples=25, deadline=None)
@given(schedule=schedules(), context=contexts(), values=confidences(), share=st.floats(0.001, 1.0))
def test_an_audited_frame_may_be_told_and_is_no_lost_one(
    name: str, schedule: list[Sent], context: Context, values: list[float], share: float
) -> None:
    subject = policy(name)
    run(subject, schedule)
    seen = observed(subject, context, readings_of(values))
    audited = replace(seen, verdict=readings_of(values)[-1], audited=share)
    assert not audited.lost
    subject.learn(audited)
    policy(name).restore(json.loads(frozen(subject.state())))


@EVERY
@settings(max_examples=20, deadline=None)
@given(schedule=schedules(), seed=st.integers(0, 2**32 - 1))
def test_the_same_seed_makes_the_same_choices(name: str, schedule: list[Sent], seed: int) -> None:
    first, second = policy(name, seed=seed), policy(name, seed=seed)
    assert same_plans(run(first, schedule), run(second, schedule))
    assert frozen(first.state()) == frozen(second.state())


@EVERY
@settings(max_examples=25, deadline=None)
@given(before=schedules(), after=schedules())
def test_a_restored_policy_goes_on_bit_identically(name: str, before: list[Sent], after: list[Sent]) -> None:
    kept, restored = policy(name, seed=1), policy(name, seed=2)
    run(kept, before)
    restored.restore(json.loads(frozen(kept.state())))
    assert frozen(restored.state()) == frozen(kept.state())
    assert same_plans(run(kept, after), run(restored, after))
    assert frozen(restored.state()) == frozen(kept.state())


@EVERY
def test_a_restored_policy_goes_on_bit_identically_after_many_frames(name: str) -> None:
    rng, kept, restored = np.random.default_rng(3), policy(name), policy(name, seed=9)
    given_costs = Costs.published(EXITS, per_layer=3.0, offload=9.0)
    context = Context((0, 1, 2, 3, 4), True, 100.0, given_costs)
    frames = [readings_of(rng.random(EXITS).tolist()) for _ in range(600)]
    for every in frames[:400]:
        kept.learn(observed(kept, context, every))
    restored.restore(json.loads(frozen(kept.state())))
    for every in frames[400:]:
        one, other = observed(kept, context, every), observed(restored, context, every)
        assert brief(one.plan, one.action) == brief(other.plan, other.action)
        kept.learn(one)
        restored.learn(other)
    assert frozen(restored.state()) == frozen(kept.state())


@EVERY
def test_a_state_does_not_change_behind_the_callers_back(name: str) -> None:
    subject = policy(name)
    context = Context((0, 1, 2, 3, 4), True, 100.0, Costs.published(EXITS, per_layer=3.0, offload=9.0))
    state = subject.state()
    before = frozen(state)
    for value in (0.2, 0.9, 0.6):
        subject.learn(observed(subject, context, readings_of([value] * EXITS)))
    assert frozen(state) == before


@EVERY
def test_a_state_of_another_network_is_refused(name: str) -> None:
    assert refuses(policy(name), policy(name, exits=EXITS + 1).state())


@EVERY
def test_a_changed_arm_list_is_refused(name: str) -> None:
    state = policy(name).state()
    if "arms" not in state:
        pytest.skip(f"{name} has no arms")
    for changed in (state["arms"][:-1], [*state["arms"], [1, 0.123]], [[0, 0.5], *state["arms"][1:]]):
        assert refuses(policy(name), {**state, "arms": changed})


@pytest.mark.parametrize(("name", "other"), OTHERS)
def test_a_state_of_another_policy_is_refused(name: str, other: str) -> None:
    assert refuses(policy(name), policy(other).state())


@EVERY
def test_a_damaged_state_is_refused_whole_or_taken_whole(name: str) -> None:
    learned, subject = policy(name), policy(name)
    context = Context((0, 1, 2, 3, 4), True, 100.0, Costs.published(EXITS, per_layer=3.0, offload=9.0))
    for value in np.random.default_rng(0).random(60):
        learned.learn(observed(learned, context, readings_of([float(value)] * EXITS)))
    fresh = frozen(subject.state())
    for what, state in damaged(json.loads(frozen(learned.state()))):
        if accepts(subject, state):
            observed(subject, context, readings_of([0.5] * EXITS))
            subject = policy(name)
        else:
            assert frozen(subject.state()) == fresh, f"half restored after {what}"


def accepts(subject: Policy, state: dict[str, Any]) -> bool:
    """Restored, or refused in the one way that is allowed."""
    try:
        subject.restore(state)
    except PolicyFileError:
        return False
    return True


def refuses(subject: Policy, state: dict[str, Any]) -> bool:
    """In one line, and nothing is changed by it."""
    before = frozen(subject.state())
    with pytest.raises(PolicyFileError) as caught:
        subject.restore(state)
    return "\n" not in str(caught.value) and frozen(subject.state()) == before


@UNGUARDED
def test_an_unknown_parameter_names_the_nearest(name: str) -> None:
    for known in parameter_names(name):
        with pytest.raises(ConfigError, match=f"did you mean '{known}'"):
            make_policy(name, exits=EXITS, rng=np.random.default_rng(0), objective=OBJECTIVE, params={f"{known}x": 1})


@UNGUARDED
@pytest.mark.parametrize("wrong", ["junk", -1, math.nan, math.inf, None, [], [2.0], {"a": 1}, True, "1"])
def test_a_parameter_out_of_its_range_is_one_line(name: str, wrong: Any) -> None:
    for known in parameter_names(name):
        if known == "splits" and wrong is None:
            continue  # all of them
        with pytest.raises(ConfigError, match=f"^policy '{name}': .*{known}") as caught:
            make_policy(name, exits=EXITS, rng=np.random.default_rng(0), objective=OBJECTIVE, params={known: wrong})
        assert "\n" not in str(caught.value)
