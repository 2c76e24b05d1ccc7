"""The contextual bandit: its regression by hand and beside numpy, and what it learns on worlds made for it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bandits.policy import Action, Answer, Context, Costs, Deeper, Ship
from bandits.published.lin_ucb import LinUcb, Ridge
from split_core.readings import Reading
from tests.bandits.frames import context, observed, play, readings_of

COSTS = Costs(np.array([0.0, 0.1, 0.3, 0.6]), np.array([0.0, 0.02, 0.02, 0.02]), np.array([0.9, 0.5, 0.4]), (0, 0, 1))


def test_one_sample_moves_the_regression_as_by_hand() -> None:
    """A = I + x x^T with x = (1, .5, 0, 0): x . A^-1 x = 1.25 / 2.25, and x . theta = r * 1.25 / 2.25."""
    ridge, x = Ridge(), (1.0, 0.5, 0.0, 0.0)
    assert ridge.bound(x, 2.0) == pytest.approx(2.0 * math.sqrt(1.25))
    ridge.learn(x, 0.9)
    share = 1.25 / 2.25
    assert ridge.bound(x, 2.0) == pytest.approx(0.9 * share + 2.0 * math.sqrt(share))


def test_many_samples_give_what_solving_gives() -> None:
    rng, ridge = np.random.default_rng(0), Ridge()
    xs, rewards = rng.random((500, 4)), rng.random(500)
    for x, reward in zip(xs, rewards, strict=True):
        ridge.learn(tuple(x), float(reward))
    theta = np.linalg.solve(np.eye(4) + xs.T @ xs, xs.T @ rewards)
    assert ridge.bound(tuple(xs[0]), 0.0) == pytest.approx(float(xs[0] @ theta))


def test_going_deeper_is_taught_the_answer_less_what_was_still_spent() -> None:
    """Answered at exit 2 with .9: exit 1 gained .4, for nothing was spent behind exit 2; its step is known."""
    subject = LinUcb(3, mu=1.0, c=1.0)
    subject.learn(play_to(subject, readings_of([0.5, 0.9, 0.9]), [Deeper(), Deeper(), Answer(2)]))
    assert learned(subject, "deeper 1") == pytest.approx([0.4, 0.4 * 0.5, 0.4 * 0.12, 0.4 * 0.5])
    assert learned(subject, "deeper 2") == [0.0] * 4
    assert learned(subject, "ship 2") == [0.0] * 4


def test_shipping_is_taught_the_verdict_and_the_way_there_its_price() -> None:
    """Shipped from exit 2 for .4, verdict .8: exit 2 gained .2, exit 1 .3 less those .4."""
    subject = LinUcb(3, mu=1.0, c=1.0)
    subject.learn(play_to(subject, readings_of([0.5, 0.6, 0.8]), [Deeper(), Deeper(), Ship(1)]))
    assert learned(subject, "deeper 1")[0] == pytest.approx(0.3 - 0.4)
    assert learned(subject, "ship 2") == pytest.approx([0.2, 0.2 * 0.6, 0.2 * 0.34, 0.2 * 0.4])


class Scripted(LinUcb):
    """Acts as it is told, learns as it would."""

    def __init__(self, script: list[Action]) -> None:
        super().__init__(3, mu=1.0, c=1.0)
        self._script = iter(script)

    def next(self, plan: object, readings: object) -> Action:
        return next(self._script)


def play_to(subject: LinUcb, every: list[Reading], script: list[Action]):  # type: ignore[no-untyped-def]
    return observed(Scripted(script), context(COSTS), every)


def learned(subject: LinUcb, what: str) -> list[float]:
    sums: list[float] = subject.state()["learned"][what]["sums"]
    return sums


def worth_the_cloud(rng: np.random.Generator, frames: int) -> list[list[Reading]]:
    """Half of the frames are sure at exit 1, and right; the others only the cloud knows."""
    easy = rng.random(frames) < 0.5
    return [readings_of([0.95, 0.95, 0.95] if sure else [0.4, 0.45, 0.95]) for sure in easy]


def actions(subject: LinUcb, given: Context, frames: list[list[Reading]]) -> list[Action]:
    played = []
    for every in frames:
        seen = observed(subject, given, every)
        subject.learn(seen)
        played.append(seen.action)
    return played


def test_it_learns_which_frames_are_worth_shipping() -> None:
    """For .1 a verdict is worth .4 at exit 1; two more segments and heads cost .22 more than that."""
    cheap = Costs(COSTS.device, COSTS.head, np.array([0.9, 0.1, 0.1]), COSTS.payload)
    frames = worth_the_cloud(np.random.default_rng(0), 2_000)
    played = actions(LinUcb(3, mu=1.0, c=1.0), context(cheap), frames)[-200:]
    best = [Answer(1) if every[0].confidence > 0.9 else Ship(0) for every in frames[-200:]]
    assert np.mean([one == other for one, other in zip(played, best, strict=True)]) > 0.97


def test_a_dearer_link_counts_from_the_next_frame_on() -> None:
    cheap = Costs(COSTS.device, COSTS.head, np.array([0.9, 0.1, 0.1]), COSTS.payload)
    dear = Costs(COSTS.device, COSTS.head, np.array([0.9, 3.0, 3.0]), COSTS.payload)
    subject, frames = LinUcb(3, mu=1.0, c=1.0), worth_the_cloud(np.random.default_rng(0), 1_000)
    actions(subject, context(cheap), frames)
    hard = readings_of([0.4, 0.45, 0.95])
    assert isinstance(play(subject, context(cheap), hard)[2], Ship)
    assert isinstance(play(subject, context(dear), hard)[2], Answer)


def test_an_outage_teaches_nothing() -> None:
    subject = LinUcb(3, mu=1.0, c=1.0)
    before = subject.state()
    actions(subject, context(COSTS, cloud=False), worth_the_cloud(np.random.default_rng(0), 50))
    assert subject.state() == before
