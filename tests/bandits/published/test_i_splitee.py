"""I-SplitEE by hand at its published costs."""

from __future__ import annotations

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.published.i_splitee import PAPER
from split_core.objective import Objective
from tests.bandits.frames import context, observed, readings_of

EXITS = PAPER.exits


def test_two_frames_by_hand() -> None:
    """Exit 1 ships for .95 - .5 - .3; exit 2 answers for .6 - .6, and exit 1 would have shipped for .6 - .5 - .3."""
    subject = make_policy("i_splitee", exits=EXITS, rng=np.random.default_rng(0), objective=Objective(mu=1.0))
    for _ in range(2):
        subject.learn(observed(subject, context(PAPER), readings_of([0.4, 0.6, 0.9, 0.3, 0.8, 0.9, 0.95])))
    learned = subject.state()["bandit"]
    assert learned["pulls"] == [2, 1, 0, 0, 0, 0, 0]
    assert learned["sums"][:2] == pytest.approx([0.15 - 0.2, 0.0])
