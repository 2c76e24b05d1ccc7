from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.guard import GUARDRAIL, NEVER_EARLY, UNSURE, Guard, Limits
from bandits.policy import Observation
from edge_runtime.frames.guardrail import Guardrail, guardrail_at
from split_core.conformal import ConformalSets
from split_core.errors import ConfigError, MissingExtra
from split_core.readings import Reading
from tests.bandits.test_guard import limits
from tests.edge_runtime.world import DEADLINE_S, SEGMENT_MS, Fate, World

ANSWER = Reading(2, 1, 0.75, np.array([0.25, 0.75]))
EVERY_CLASS = frozenset(range(4))


def world_of(bundle: Path, limits: Limits, policy: str = "fixed", **settings: Any) -> World:
    """One where every early exit would answer, if it might."""
    params = settings.pop("params", {"split": 1, "threshold": 0.0} if policy == "fixed" else {})
    made = World(bundle, policy=policy, params=params, **settings)
    made.stream.rules = replace(made.stream.rules, policy=Guard(made.made, limits, exits=made.exits))
    return made


def played(world: World, frames: int = 20) -> World:
    world.camera([0.2 + 0.15 * k for k in range(frames)])
    world.play(0.2 + 0.15 * frames + 1.0)
    assert sorted(outcome.seq for outcome in world.outcomes) == list(range(frames))
    assert not any(outcome.late for outcome in world.outcomes)
    return world


def test_the_rule_is_asked_by_name_and_its_word_counts() -> None:
    asked: list[dict[str, Any]] = []

    def rule(**given: Any) -> bool:
        asked.append(given)
        return bool(given["confidence"] > 0.5)

    guardrail = Guardrail(rule, pytest.fail)
    assert guardrail(ANSWER)
    assert not guardrail(Reading(1, 0, 0.4))
    assert set(asked[0]) == {"label", "confidence", "probabilities", "exit"}
    assert (asked[0]["label"], asked[0]["exit"], asked[1]["probabilities"]) == (1, 2, None)


def test_a_rule_cannot_change_the_answer() -> None:
    def rule(*, probabilities: np.ndarray, **_: Any) -> bool:
        probabilities[:] = 0.0
        return True

    assert Guardrail(rule, pytest.fail)(ANSWER)
    assert ANSWER.probabilities is not None
    assert ANSWER.probabilities.tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda **_: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda **_: None, "it said None; expected True or False"),
        (lambda label: True, "TypeError: "),
    ],
)
def test_what_fails_counts_as_go_deeper_and_is_told_ever_less_often(rule: Any, said: str) -> None:
    told: list[str] = []
    guardrail = Guardrail(rule, told.append)
    assert [guardrail(ANSWER) for _ in range(9)] == [False] * 9
    assert guardrail.errors == 9
    assert [line.split()[3] for line in told] == ["1", "2", "4", "8"]
    assert said in told[0]
    assert "\n" not in told[0]


def test_a_rule_is_found_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "door_rules.py").write_text(
        "def small(label, confidence, probabilities, exit):\n    return label < 1\n"
    )
    monkeypatch.chdir(tmp_path)
    guardrail = guardrail_at("door_rules:small", pytest.fail)
    assert [guardrail(Reading(1, label, 0.9)) for label in (0, 1)] == [True, False]


@pytest.mark.parametrize(
    ("location", "said"), [("nothing", "package.module:function"), ("math:tua", "has no 'tua'"), ("math:pi", "no func")]
)
def test_what_is_no_rule_is_refused_in_one_line(location: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        guardrail_at(location, pytest.fail)
    assert "\n" not in str(caught.value)


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingExtra, match="guardrail needs the module 'no_such_module'"):
        guardrail_at("no_such_module:rule", pytest.fail)


def test_without_limits_exit_one_answers(tiny_bundle: Path) -> None:
    world = played(world_of(tiny_bundle, Limits()))
    assert {(one.exit, one.where, one.marked) for one in world.outcomes} == {(1, "edge", "")}


def test_forbidden_answers_are_shipped_and_unmarked(tiny_bundle: Path) -> None:
    world = played(world_of(tiny_bundle, Limits(never_early=EVERY_CLASS)))
    assert {(one.exit, one.where, one.marked) for one in world.outcomes} == {(world.exits, "cloud", "")}


def test_a_rule_that_always_fails_crashes_nothing_and_marks_every_frame(tiny_bundle: Path) -> None:
    guardrail = Guardrail(lambda **_: 1 / 0, lambda _: None)
    world = played(world_of(tiny_bundle, Limits(predicate=guardrail)))
    assert {(one.exit, one.where, one.marked) for one in world.outcomes} == {(world.exits, "cloud", GUARDRAIL)}
    assert guardrail.errors == 40  # once about exit 1, once about the cloud's answer
    assert {record.marked for record in world.records} == {GUARDRAIL}


def test_the_time_of_a_rule_is_part_of_the_frame(tiny_bundle: Path) -> None:
    world = world_of(tiny_bundle, Limits())

    def slow(**_: Any) -> bool:
        world.clock.advance(0.01)
        return True

    policy = world.stream.rules.policy
    assert isinstance(policy, Guard)
    policy.limits = Limits(predicate=Guardrail(slow, pytest.fail))
    played(world)
    assert all(one.latency_ms >= SEGMENT_MS + 10.0 for one in world.outcomes)


def test_without_a_worker_the_last_exit_answers(tiny_bundle: Path) -> None:
    world = world_of(tiny_bundle, Limits(never=True), answer=lambda _: None)
    played(world)
    assert {(one.exit, one.where) for one in world.outcomes} == {(world.exits, "edge")}
    assert {one.marked for one in world.outcomes} == {""}


def test_no_exit_beyond_the_depth_is_computed_whatever_the_link_does(tiny_bundle: Path) -> None:
    world = played(world_of(tiny_bundle, Limits(never=True, deepest=2), answer=lambda _: None))
    assert max(record.exits[-1] for record in world.records) == 2
    assert {(one.exit, one.where, one.marked) for one in world.outcomes} <= {
        (exit, "edge", NEVER_EARLY) for exit in (1, 2)
    }
    cloud = played(world_of(tiny_bundle, Limits(deepest=2), policy="edge_only"))
    assert all(record.exits[-1] <= 2 for record in cloud.records if record.exits)


def test_what_is_unsure_to_the_end_is_marked_and_keeps_its_label(tiny_bundle: Path) -> None:
    world = played(world_of(tiny_bundle, Limits(sets=ConformalSets([[-1.0]] * 3))))  # every set is empty
    assert {(one.where, one.marked, one.label) for one in world.outcomes} == {("cloud", UNSURE, 3)}


def test_the_learner_is_told_what_happened(tiny_bundle: Path) -> None:
    world = world_of(tiny_bundle, Limits(never_early=EVERY_CLASS), params={"split": 1, "threshold": 0.5})
    taught: list[Observation] = []
    world.made.learn = taught.append  # type: ignore[method-assign]
    played(world)
    assert len(taught) == 0  # one arm is no choice: its plans teach nothing, and the guard keeps that
    world = world_of(tiny_bundle, Limits(never_early=EVERY_CLASS), policy="random")
    world.made.learn = taught.append  # type: ignore[method-assign]
    played(world)
    shipped = [one for one in taught if one.verdict is not None]
    assert shipped
    assert all(reading.confidence == -1.0 for one in taught for reading in one.readings if reading.exit < world.exits)
    assert all(one.cost < DEADLINE_S * 1e3 for one in shipped)


@settings(max_examples=30, deadline=None)
@given(
    kept=limits(),
    policy=st.sampled_from(["random", "fixed", "cascade", "grid", "cloud_only"]),
    fates=st.lists(st.builds(Fate, st.floats(0.0, 0.2), st.integers(0, 2)), max_size=30),
    down_s=st.floats(0.0, 2.0),
)
def test_whatever_the_link_does_every_frame_has_one_answer_and_no_forbidden_one_is_unmarked(
    tiny_bundle: Path, kept: Limits, policy: str, fates: list[Fate], down_s: float
) -> None:
    world = world_of(tiny_bundle, kept, policy=policy, fates=fates)
    world.restart_worker(down_s, down_s + 0.5)
    played(world, frames=16)
    for outcome, record in zip(world.outcomes, world.records, strict=True):
        early = outcome.exit < world.exits
        forbidden = early and (kept.never or outcome.label in kept.never_early)
        assert (outcome.marked == NEVER_EARLY) is forbidden
        if kept.predicate is not None and not outcome.marked:
            assert kept.predicate(Reading(outcome.exit, outcome.label, outcome.confidence))
        assert max(record.exits, default=0) <= (kept.deepest or world.exits)
