"""CeeBERT (UBERT): exit thresholds for text of another domain, learned without labels (arXiv 2405.15039).

Formulas: the authors' code, Div290/CeeBERT, `UBERT one exit.ipynb` and `UBERT_for_2_layers_reduced.ipynb`; their
overheads are prices of the context here: (cost_s - cost_1) * mu.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from bandits import params
from bandits.indices.build import Choice, policy_bandit
from bandits.policy import Policy
from bandits.published.vectors import Settled, ThresholdVectors, Vector, below, early_exits, played_only
from split_core.objective import Objective

ONE = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
TWO = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def as_published(vectors: Sequence[Vector], played: int, stop: int) -> list[int]:
    """What the authors' code pays with two exits.  Censored: what a vector is paid for depends on the frame.

    A vector with a higher first threshold, say, is paid for frames that went on, never for those that it would
    have sent on among the frames that stopped.  Their own output misses the best arm in five runs of five.
    """
    first, second = vectors[played][0], vectors[played][-1]
    pays: list[bool] = []
    for one, other in ((vector[0], vector[-1]) for vector in vectors):
        if stop == 0:
            pays.append(one < first or (one == first and other != second))
        else:
            pays.append(one > first and (other < second if stop == 1 else other > second))
    return [arm for arm, paid in enumerate(pays) if paid and arm != played] + [played]


SIDES: dict[str, Settled] = {"below": below, "none": played_only, "censored": as_published}


def make_ceebert1(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    at: Any = "published",
    thresholds: Sequence[float] = ONE,
    c: float = 0.1,
    side: str = "below",
    index: Choice = "ucb1",
    forget: Choice = "none",
) -> Policy:
    """One early exit: answer there or run to the end; nothing is shipped.

    As published: `c: 2, side: none`, with mu = 1 and .1 for all layers behind the exit.

    Args:
        exits: K, at least 2.
        rng: for an index that draws.
        objective: gives mu.
        at: the early exit, in a list; "published" is layer 3 of 12.
        thresholds: the arms.
        c: exploration weight.  2, as published, is far too much for rewards that differ by thousandths.
        side: "below", a frame pays all thresholds up to the played one; "none", the played one only.
        index: which bandit of `bandits.indices`; see `bandits.ucbee.make_ucbee`.
        forget: none, as published; or discount, window, change.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    stops = early_exits("ceebert1", at, exits, (3,))
    vectors = [(alpha,) for alpha in params.thresholds("thresholds", thresholds)]
    settled = SIDES[params.one_of("side", side, ("none", "below"))]
    bandit = policy_bandit(len(vectors), index=index, forget=forget, c=c, rng=rng)
    return ThresholdVectors(
        "ceebert1", exits=exits, stops=stops, vectors=vectors, bandit=bandit, settled=settled, mu=objective.mu
    )


def make_ceebert2(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    at: Any = "published",
    thresholds: Sequence[float] = TWO,
    c: float = 0.1,
    side: str = "below",
    index: Choice = "ucb1",
    forget: Choice = "none",
) -> Policy:
    """Two early exits, every pair of thresholds; nothing is shipped.

    As published: `c: 2, side: censored`, with mu = 1 and overheads such as .06 and .04.  On a published log that
    ends at a bad pair and regrets more than a pair drawn for every frame
    (tests/bandits/published/test_threshold_vectors.py).

    Args:
        exits: K, at least 2; with 2 there is one early exit only.
        rng: for an index that draws.
        objective: gives mu.
        at: the early exits; "published" is layers 3 and 6 of 12.
        thresholds: for both exits.
        c: exploration weight.
        side: "below", a frame pays all pairs that are nowhere above the played one; "none", the played one only;
            "censored", see `as_published`.
        index: which bandit of `bandits.indices`; see `bandits.ucbee.make_ucbee`.
        forget: none, as published; or discount, window, change.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    stops = early_exits("ceebert2", at, exits, (3, 6))
    vectors = list(product(params.thresholds("thresholds", thresholds), repeat=len(stops)))
    settled = SIDES[params.one_of("side", side, tuple(SIDES))]
    bandit = policy_bandit(len(vectors), index=index, forget=forget, c=c, rng=rng)
    return ThresholdVectors(
        "ceebert2", exits=exits, stops=stops, vectors=vectors, bandit=bandit, settled=settled, mu=objective.mu
    )
