"""Whatever `CRITERIA` holds must do this."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from split_core.criteria import CRITERIA
from split_core.readings import Criterion, ExitCalibration, Reader, softmax
from split_core.tensors import Array

EVERY = pytest.mark.parametrize("name", list(CRITERIA))
any_logits = arrays.arrays(np.float32, st.integers(2, 20), elements=st.floats(-50, 50, width=32))


def criterion(name: str) -> Criterion:
    loaded: Criterion = CRITERIA.load(name)
    return loaded


@EVERY
@given(logits=any_logits)
def test_confidence_lies_between_0_and_1(name: str, logits: Array) -> None:
    value = criterion(name)(softmax(logits))
    assert type(value) is float
    assert 0.0 <= value <= 1.0


@EVERY
def test_certainty_gives_1_and_the_uniform_answer_the_least(name: str) -> None:
    certain, uniform = np.eye(5)[2], np.full(5, 0.2)
    others = np.random.default_rng(0).dirichlet(np.ones(5), 50)
    assert criterion(name)(certain) == pytest.approx(1.0)
    assert criterion(name)(uniform) <= min(criterion(name)(row) for row in others) + 1e-12


@EVERY
@given(logits=any_logits, sharper=st.floats(1.01, 8.0))
def test_sharper_logits_are_never_less_sure(name: str, logits: Array, sharper: float) -> None:
    assert criterion(name)(softmax(logits, 1.0 / sharper)) >= criterion(name)(softmax(logits)) - 1e-9


@EVERY
@given(logits=any_logits, data=st.data())
def test_the_order_of_the_classes_does_not_matter(name: str, logits: Array, data: st.DataObject) -> None:
    shuffled = logits[data.draw(st.permutations(range(logits.size)))]
    assert criterion(name)(softmax(shuffled)) == pytest.approx(criterion(name)(softmax(logits)), abs=1e-9)


@EVERY
def test_a_single_class_is_certain(name: str) -> None:
    assert criterion(name)(np.array([1.0])) == pytest.approx(1.0)


@EVERY
def test_a_reader_makes_readings_of_it(name: str) -> None:
    reading = Reader([ExitCalibration(temperature=2.0)], criterion(name)).read(1, np.array([0.0, 3.0, 1.0], np.float32))
    assert (reading.exit, reading.label) == (1, 1)
    assert 0.0 < reading.confidence < 1.0


@EVERY
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_broken_exit_is_never_sure(name: str, broken: float) -> None:
    reading = Reader([ExitCalibration()], criterion(name)).read(1, np.array([broken, 1.0], np.float32))
    assert reading.confidence == 0.0
