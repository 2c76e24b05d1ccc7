"""The leak of SplitEE-S: what it is told, and that nothing but a replay can ask for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandits import POLICIES
from bandits.build import make_policy
from bandits.policy import Answer, Costs
from bandits.published.leaky import Leaky
from split_core.objective import Objective
from split_core.tensors import FloatArray
from split_core.traces import Traces
from tests.bandits.frames import context, observed, readings_of

GIVEN = context(Costs.published(3, per_layer=0.1, offload=0.2))


def subject(confidence: FloatArray) -> Leaky:
    params = {"threshold": 0.7}
    inner = make_policy("splitee_s", exits=3, rng=np.random.default_rng(0), objective=Objective(mu=1.0), params=params)
    return Leaky(inner, Traces(confidence, np.zeros(confidence.shape, np.int64), np.zeros(len(confidence), np.int64)))


def test_a_frame_answered_here_pays_with_what_the_last_exit_would_have_said() -> None:
    """Exit 2 answers with .8: exit 1, at .4, would have shipped for .99 - .2 - .1; imputed it would be .8."""
    confidence = np.array([[0.9, 0.0, 0.0], [0.4, 0.8, 0.99]])
    leaky = subject(confidence)
    for row in confidence.tolist():
        seen = observed(leaky, GIVEN, readings_of(row))
        leaky.learn(seen)
    assert seen.action == Answer(2)
    assert leaky.state()["bandit"]["sums"][:2] == pytest.approx([0.9 - 0.1 + 0.99 - 0.3, 0.8 - 0.2])


def test_a_lost_reply_stays_lost_and_the_next_frame_is_told_its_own() -> None:
    confidence = np.array([[0.4, 0.0, 0.5], [0.9, 0.0, 0.99]])
    leaky = subject(confidence)
    seen = observed(leaky, GIVEN, readings_of(confidence[0].tolist()))
    leaky.learn(replace(seen, verdict=None))
    assert leaky.state()["bandit"]["pulls"] == [0, 0, 0]
    leaky.learn(observed(leaky, GIVEN, readings_of(confidence[1].tolist())))
    assert leaky.state()["bandit"]["sums"][0] == pytest.approx(0.9 - 0.1)


def test_no_policy_file_can_name_it() -> None:
    assert not any("leaky" in f"{name} {place}" for name, place in POLICIES.items())
