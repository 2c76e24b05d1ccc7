"""The cascade is trained as it is used, and helps where an exit knows what the next one does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from partitioner.train.criteria.base import Lesson
from partitioner.train.criteria.cascade import CascadeTrainer, cascaded
from partitioner.train.criteria.training import judged
from partitioner.train.schedule import Schedule
from split_core.criteria.base import Seen
from split_core.criteria.build import make_criterion
from split_core.traces import Traces

EXITS, CLASSES = 3, 4


def lesson(count: int = 900) -> Lesson:
    """Exit 1 sees whether the label is above 1, exit 2 whether it is odd, exit 3 both; all of it with noise."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, CLASSES, count)
    classes = np.arange(CLASSES)
    high, odd = (classes // 2 == labels[:, None] // 2), (classes % 2 == labels[:, None] % 2)
    logits = np.stack([3.0 * high, 3.0 * odd, 3.0 * (high & odd)], 1) + rng.normal(0.0, 0.5, (count, EXITS, CLASSES))
    nothing = np.zeros((count, EXITS))
    traces = Traces(nothing, nothing.astype(np.int64), labels, logits.astype(np.float32))
    schedule = Schedule(epochs=30, batch=64, learning_rate=3e-2)
    learn, measure = schedule.split(count)
    return Lesson(traces, learn, measure, schedule)


def test_an_exit_learns_what_the_one_before_knew() -> None:
    taught = CascadeTrainer().fit(given := lesson())
    rows = judged("cascade", taught.arrays, given.traces.rows(given.measure))
    assert rows[1].accuracy_before < 0.7
    assert rows[1].accuracy_after > 0.9
    assert not taught.arrays["before"][0].any()


def test_the_criterion_computes_what_was_trained() -> None:
    given = lesson()
    rng = np.random.default_rng(1)
    arrays = {"own": rng.normal(size=(2, 4, 4)), "before": rng.normal(size=(2, 4, 4)), "shift": rng.normal(size=(2, 4))}
    logits = given.traces.logits[:5]
    tensors = {name: torch.from_numpy(value.astype(np.float32)) for name, value in arrays.items()}
    expected = cascaded(tensors, torch.from_numpy(logits)).softmax(2).numpy()
    last = np.where(np.eye(EXITS) > 0, np.log(np.arange(1, EXITS + 1)), -50.0)
    judge = make_criterion("cascade", exits=EXITS, arrays={**arrays, "log_weights": last, "bias": np.zeros((3, 4))})
    for sample, row in enumerate(logits.astype(np.float64)):
        seen = [Seen(k + 1, one, np.exp(one) / np.exp(one).sum()) for k, one in enumerate(row)]
        for k in range(EXITS):
            np.testing.assert_allclose(judge(seen[: k + 1]).probabilities, expected[sample, k], atol=1e-5)


def test_the_same_seed_gives_the_same_arrays_and_no_gradient_reaches_the_exit_before() -> None:
    given = replace(lesson(300), schedule=Schedule(epochs=3, batch=64))
    first, second = (CascadeTrainer().fit(given).arrays for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    tensors = {
        "own": torch.eye(CLASSES).repeat(2, 1, 1).requires_grad_(),
        "before": torch.ones(2, CLASSES, CLASSES, requires_grad=True),
        "shift": torch.zeros(2, CLASSES, requires_grad=True),
    }
    cascaded(tensors, torch.from_numpy(given.traces.logits[:8]))[:, 1].square().sum().backward()
    assert not tensors["own"].grad[0].any()
    assert tensors["own"].grad[1].any()
