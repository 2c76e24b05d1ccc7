"""Where river is installed (extra `bench`), it says what ours must play."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bandits.indices.build import make_bandit
from bandits.indices.exp3 import Exp3

peers = pytest.importorskip("river.bandit", exc_type=ImportError)
MEANS = (0.2, 0.5, 0.55, 0.4)


@pytest.mark.parametrize("delta", [1.0, 0.2])
def test_ucb1_plays_what_river_plays(delta: float) -> None:
    ours, theirs = (
        make_bandit("ucb1", 4, rng=np.random.default_rng(0), c=delta * math.sqrt(2.0)),
        peers.UCB(delta, seed=0),
    )
    rewards = np.random.default_rng(1).normal(MEANS, 0.3, (2000, 4)).tolist()
    for arm in range(4):
        ours.choose([arm])
        ours.update(arm, rewards[0][arm])
        theirs.update(arm, rewards[0][arm])
    for row in rewards[1:]:
        arm = ours.choose(range(4))
        assert arm == theirs.pull([0, 1, 2, 3])
        ours.update(arm, row[arm])
        theirs.update(arm, row[arm])


def test_exp3_has_the_probabilities_of_river() -> None:
    ours, theirs = Exp3(arms=4, rng=np.random.default_rng(0), gamma=0.3, range=(0.0, 1.0)), peers.Exp3(0.3, seed=0)
    for reward in np.random.default_rng(1).random(300).tolist():
        arm = ours.choose(range(4))
        theirs.pull([0, 1, 2, 3])
        assert ours.probabilities(range(4)) == pytest.approx([theirs._probabilities[arm] for arm in range(4)])
        ours.update(arm, reward)
        theirs.update(arm, reward)
