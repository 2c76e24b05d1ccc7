"""Whatever `CRITERIA` holds must do this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from split_core.criteria import CRITERIA
from split_core.criteria.base import EARLIER, HIDDEN, LOGITS, TOKENS, WEIGHTS, Criterion, Plain, Seen
from split_core.criteria.build import make_criterion
from split_core.errors import ConfigError, SplitError
from split_core.readings import ExitCalibration, Reader, Reading, softmax
from split_core.shown import Shown
from split_core.tensors import Array

EXITS, WIDTH = 4, 6  # of the frames that are shown; every hidden state is (WIDTH,)
WORDS = 30  # tokens that are known; some of those shown are not
EVERY = pytest.mark.parametrize("name", list(CRITERIA))
PROBABILITIES = {"max_prob", "entropy", "margin", "energy", "most_confident", "geometric_ensemble", "exit_share"}
# Scores that only grow when all the logits that were seen are sharpened; gates, tables and heads may learn anything.
SHARPER = [name for name in CRITERIA if name in PROBABILITIES]
PARAMS: Mapping[str, Callable[[int], dict[str, Any]]] = {  # what it cannot be made without, for K exits
    # Random hidden states are hardly similar.
    "similarity_patience": lambda exits: {"similarity": 0.2, "patience": 1},
    "exit_share": lambda exits: {"thresholds": [0.8] * (exits - 1) + [0.0]},
}


def trained(name: str, classes: int, exits: int) -> dict[str, Array] | None:
    """Arrays of a criterion that needs some."""
    rng = np.random.default_rng(3)
    shapes = {
        "learned": {"weight": (WIDTH,), "bias": ()},
        "q_exit": {
            "embedding": (exits - 1, 2 * WIDTH),
            "weight_1": (2 * WIDTH, 5),
            "bias_1": (5,),
            "weight_2": (5, 4),
            "bias_2": (4,),
            "weight_3": (4,),
            "bias_3": (),
        },
        "past_future": {
            "imitation": (exits - 1, WIDTH, WIDTH),
            "imitation_bias": (exits - 1, WIDTH),
            "head": (exits - 1, classes, 2 * WIDTH),
            "head_bias": (exits - 1, classes),
        },
        "gates": {"weight": (exits - 1, 4), "bias": (exits - 1,)},
        "cascade": {
            "own": (exits - 1, classes, classes),
            "before": (exits - 1, classes, classes),
            "shift": (exits - 1, classes),
            "log_weights": (exits, exits),
            "bias": (exits, classes),
        },
    }
    if name == "hash":
        return {"exits": rng.integers(0, exits + 1, WORDS)}
    return {key: rng.normal(0.0, 0.4, shape) for key, shape in shapes[name].items()} if name in shapes else None


def params(name: str, exits: int = EXITS) -> dict[str, Any]:
    return PARAMS[name](exits) if name in PARAMS else {}


any_logits = arrays.arrays(np.float32, st.integers(1, 12), elements=st.floats(-50, 50, width=32))


def made(name: str, classes: int = 3, exits: int = EXITS) -> Criterion:
    return make_criterion(name, exits=exits, params=params(name, exits), arrays=trained(name, classes, exits))


def frame(logits: list[Array], seed: int = 0, *, hidden: bool = True, text: bool = True) -> list[Seen]:
    """What is seen of a frame with these logits at exits 1, 2, ..; the last of K has no hidden state."""
    rng = np.random.default_rng(seed)
    states = rng.normal(0.0, 1.0, (EXITS, WIDTH))
    tokens = rng.integers(-1, WORDS + 3, 8) if text else None
    return [
        Seen(
            exit,
            np.asarray(row, np.float64),
            softmax(row),
            states[exit - 1] if hidden and exit < EXITS else None,
            tokens,
        )
        for exit, row in enumerate(logits, 1)
    ]


def random_frame(exits: int, classes: int, seed: int, *, hidden: bool = True, text: bool = True) -> list[Seen]:
    rng = np.random.default_rng([seed, 1])
    return frame(list(rng.normal(0.0, 3.0, (exits, classes))), seed, hidden=hidden, text=text)


@EVERY
@pytest.mark.parametrize("classes", [1, 2, 3, 10])
@pytest.mark.parametrize("exits", range(1, EXITS + 1))
def test_score_and_probabilities_are_what_they_should_be(name: str, classes: int, exits: int) -> None:
    criterion = made(name, classes)
    for seed in range(20):
        judgement = criterion(random_frame(exits, classes, seed))
        assert type(judgement.score) is float
        assert 0.0 <= judgement.score <= 1.0
        assert judgement.probabilities.shape == (classes,)
        assert judgement.probabilities.sum() == pytest.approx(1.0)


@EVERY
@given(logits=any_logits)
def test_any_logits_of_a_first_exit_give_a_score(name: str, logits: Array) -> None:
    assert 0.0 <= made(name, logits.size)(frame([logits])).score <= 1.0


@EVERY
def test_a_network_of_one_exit_is_judged_too(name: str) -> None:
    only = [Seen(1, np.array([2.0, 0.0, 1.0]), softmax(np.array([2.0, 0.0, 1.0])))]
    assert 0.0 <= made(name, exits=1)(only).score <= 1.0


@EVERY
def test_the_same_frame_twice_gives_the_same_whatever_came_between(name: str) -> None:
    criterion = made(name)
    first = [criterion(random_frame(exits, 3, 5)) for exits in range(1, EXITS + 1)]
    for seed in range(10):
        criterion(random_frame(1 + seed % EXITS, 3, seed))
    again = [criterion(random_frame(exits, 3, 5)) for exits in range(1, EXITS + 1)]
    for one, other in zip(first, again, strict=True):
        assert (one.score, one.known) == (other.score, other.known)
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


@EVERY
def test_what_it_is_shown_stays_as_it_is(name: str) -> None:
    shown = random_frame(EXITS, 3, 2)
    before = [(seen.logits.copy(), seen.probabilities.copy()) for seen in shown]
    made(name)(shown)
    for seen, (logits, probabilities) in zip(shown, before, strict=True):
        np.testing.assert_array_equal(seen.logits, logits)
        np.testing.assert_array_equal(seen.probabilities, probabilities)


@EVERY
def test_needs_are_honest(name: str) -> None:
    criterion = made(name)
    assert LOGITS in criterion.needs <= {LOGITS, HIDDEN, TOKENS, EARLIER, WEIGHTS}
    assert criterion.published
    for seed in range(20):
        whole, bare = random_frame(EXITS - 1, 3, seed), random_frame(EXITS - 1, 3, seed, hidden=False)
        if HIDDEN not in criterion.needs:
            assert criterion(bare).score == criterion(whole).score
        if TOKENS not in criterion.needs:
            picture = random_frame(EXITS - 1, 3, seed, text=False)
            assert criterion(picture).score == criterion(whole).score
        if EARLIER not in criterion.needs:
            assert criterion(whole[-1:]).score == criterion(whole).score


@EVERY
def test_what_it_needs_makes_a_difference(name: str) -> None:
    criterion = made(name)
    frames = [random_frame(EXITS - 1, 3, seed) for seed in range(40)]
    if EARLIER in criterion.needs:
        frames += [random_frame(EXITS, 3, seed) for seed in range(40)]
        alone = [criterion(seen[-1:]) for seen in frames]
        together = [criterion(seen) for seen in frames]
        assert any(
            a.score != b.score or not np.array_equal(a.probabilities, b.probabilities)
            for a, b in zip(alone, together, strict=True)
        )
    if HIDDEN in criterion.needs:
        bare = [criterion(random_frame(EXITS - 1, 3, seed, hidden=False)).score for seed in range(40)]
        assert bare != [criterion(seen).score for seen in frames[:40]]
    if TOKENS in criterion.needs:
        pictures = [criterion(random_frame(EXITS - 1, 3, seed, text=False)).score for seed in range(40)]
        assert pictures != [criterion(seen).score for seen in frames[:40]]


@EVERY
def test_arrays_are_asked_for_by_those_that_need_them_only(name: str) -> None:
    if WEIGHTS in made(name).needs:
        with pytest.raises(ConfigError, match="needs trained arrays"):
            make_criterion(name, exits=EXITS, params=params(name))
    else:
        assert trained(name, 3, EXITS) is None


@pytest.mark.parametrize("name", SHARPER)
@given(logits=any_logits, sharper=st.floats(1.01, 8.0))
def test_sharper_logits_are_never_less_sure(name: str, logits: Array, sharper: float) -> None:
    soft, sharp = frame([logits]), frame([np.asarray(logits, np.float64) * sharper])
    assert made(name, logits.size)(sharp).score >= made(name, logits.size)(soft).score - 1e-9


@pytest.mark.parametrize("name", SHARPER)
def test_certainty_gives_the_most_and_the_uniform_answer_the_least(name: str) -> None:
    rows = [np.zeros(5), *np.random.default_rng(0).normal(0.0, 2.0, (50, 5)), np.eye(5)[2] * 500.0]
    scores = [made(name, 5)(frame([row])).score for row in rows]
    assert scores[0] == min(scores)
    assert scores[-1] == max(scores)
    assert scores[-1] > 0.99


@EVERY
@given(data=st.data(), seed=st.integers(0, 100))
def test_the_order_of_the_classes_does_not_matter(name: str, data: st.DataObject, seed: int) -> None:
    criterion = made(name, 4)
    if WEIGHTS in criterion.needs and name not in {"gates", "learned", "q_exit", "hash"}:
        return  # its arrays know the classes by place
    order = list(data.draw(st.permutations(range(4))))
    shown = random_frame(3, 4, seed)
    turned = [Seen(s.exit, s.logits[order], s.probabilities[order], s.hidden, s.tokens) for s in shown]
    one, other = criterion(shown), criterion(turned)
    assert other.score == pytest.approx(one.score, abs=1e-9)
    np.testing.assert_allclose(other.probabilities, one.probabilities[order], atol=1e-9)


@EVERY
def test_an_unknown_parameter_is_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(ConfigError, match="has no parameter 'nonsense'"):
        make_criterion(name, exits=EXITS, params={"nonsense": 1})


@EVERY
def test_a_reader_makes_readings_of_it(name: str) -> None:
    reader = Reader([ExitCalibration(temperature=2.0)] * EXITS, made(name))
    readings: list[Reading] = []
    for seen in random_frame(EXITS, 3, 1):
        readings.append(reader.read(seen.exit, seen.logits, seen.hidden, readings, seen.tokens))
    assert [reading.exit for reading in readings] == [1, 2, 3, 4]
    assert all(-1 <= reading.label < 3 and 0.0 <= reading.confidence <= 1.0 for reading in readings)


@EVERY
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_broken_exit_is_never_sure_and_those_behind_it_go_on(name: str, broken: float) -> None:
    reader = Reader([ExitCalibration()] * EXITS, made(name))
    first = reader.read(1, np.array([broken, 1.0, 0.0], np.float32), np.ones(WIDTH))
    assert first.confidence == 0.0
    second = reader.read(2, np.array([0.0, 3.0, 1.0], np.float32), np.ones(WIDTH), [first])
    assert 0.0 <= second.confidence <= 1.0


def test_every_error_of_a_criterion_is_one_of_ours() -> None:
    with pytest.raises(SplitError, match=r"no exit criterion named 'max_prop'; did you mean 'max_prob'\?"):
        make_criterion("max_prop", exits=2)
    with pytest.raises(ConfigError, match="takes no trained arrays"):
        make_criterion("max_prob", exits=2, arrays={})


def test_plain_criteria_score_probabilities_directly() -> None:
    assert [name for name in CRITERIA if isinstance(made(name), Plain)] == ["max_prob", "entropy", "margin"]


@EVERY
def test_the_last_exit_alone_is_read_as_it_is_behind_the_others(name: str) -> None:
    frames = [random_frame(EXITS, 3, seed) for seed in range(10)]
    logits = np.array([[one.logits for one in shown] for shown in frames], np.float32)
    logits[3, 1] = np.nan  # a broken exit on the way
    hidden = tuple(np.array([shown[place].hidden for shown in frames]) for place in range(EXITS - 1))
    shown = Shown(logits, hidden, np.array([one[0].tokens for one in frames], np.int32))
    reader = Reader([ExitCalibration(1.3, (0.0, 0.4, 1.0), (0.1, 0.5, 0.9))] * EXITS, made(name))
    for exits in range(1, EXITS + 1):
        whole = [readings[-1] for readings in shown.upto(exits).read(reader)]
        assert list(shown.upto(exits).read_last(reader)) == whole
