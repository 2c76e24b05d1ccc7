"""Backward induction: from probabilities and prices to a move for every state.

A state stops by a pessimistic estimate of its answer, and hands an optimistic one to the state before: the frames that
might profit from going on do so, and what they find is learned.  Costs are times mu, so a unit is the price of an
error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandits.sequential.estimates import Estimates
from bandits.sequential.prices import Prices
from bandits.sequential.states import BARRED, BINS, FIRST, TARGETS
from split_core.tensors import FloatArray

# What to do in a state: answer with this reading, ship, run on, or answer with the reading before.
STOP, SHIP, DEEPER, RECALL = range(4)

Moves = tuple[list[list[int]], ...]  # per exit and group, of every state


@dataclass(frozen=True, slots=True)
class Trust:
    """By how many widths answers are taken to be worse or better than estimated.

    Attributes:
        caution: worse, when one is given.
        hope: better, when going there is considered.
        doubt: worse, to see how well all of it is known.
    """

    caution: float
    hope: float
    doubt: float


@dataclass(frozen=True, slots=True)
class Values:
    """What to do, and what is expected of it.

    Attributes:
        moves: per exit 1..K-1 and group, the move of every state; empty lists for exits beyond the deepest.
        begin: expected loss of shipping at once (0), or of reading exit 1, 2, .. K first; infinite where that
            cannot be.
        sober: the same of following the moves, with doubt.
    """

    moves: Moves
    begin: tuple[float, ...]
    sober: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Answers:
    """Loss of answering, (K-1, G, STATES) each, and (K-1, G, BINS) where the exit before answers better."""

    careful: FloatArray
    hopeful: FloatArray
    sober: FloatArray
    recall: NDArray[np.bool_]


def induce(estimates: Estimates, prices: Prices, trust: Trust) -> Values:
    """Solve all states from the deepest exit up.

    Args:
        estimates: of the states.
        prices: of the context.
        trust: in the estimates.
    """
    answers = _answers(estimates, trust)
    moves: list[list[list[int]]] = [[] for _ in range(prices.exits - 1)]
    begin = np.full((2, prices.exits + 1), np.inf)
    begin[:, 0], begin[:, -1] = prices.ship[0], prices.whole
    value: FloatArray | None = None
    for exit in range(prices.last, 0, -1):
        chosen, value = _solve(exit, answers, prices, _deeper(estimates, prices, exit, value))
        value[np.isinf(value)] = estimates.error.max()  # barred, and nowhere else to go: it will be answered anyhow
        moves[exit - 1] = chosen.tolist()
        first = estimates.firsts @ value[:, :, FIRST * BINS :] @ estimates.starts[exit - 1]
        begin[:, exit] = prices.device[exit] + prices.head[exit] + first
    return Values(tuple(moves), tuple(begin[0].tolist()), tuple(begin[1].tolist()))


def weigh(estimates: Estimates, prices: Prices, trust: Trust, exit: int, group: int, state: int) -> dict[str, float]:
    """What the moves in one state are expected to lose, as `induce` compares them; infinite where not allowed.

    Returns:
        "answer" (with this reading, or the one before where that is better), "deeper" and "ship".
    """
    answers, value = _answers(estimates, trust), None
    for beyond in range(prices.last, exit, -1):
        _, value = _solve(beyond, answers, prices, _deeper(estimates, prices, beyond, value))
        value[np.isinf(value)] = estimates.error.max()
    deeper = _deeper(estimates, prices, exit, value)[0, group, state]
    answer = answers.careful[exit - 1, group, state] if exit in prices.stops else np.inf
    return {"answer": float(answer), "deeper": float(deeper), "ship": prices.ship[exit]}


def _solve(exit: int, answers: _Answers, prices: Prices, deeper: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    """(G, STATES) moves at `exit`, and (2, G, STATES) their loss: hopeful and sober."""
    ship = prices.ship[exit]
    on = np.minimum(deeper[0], ship)
    sober = np.where(deeper[0] < ship, deeper[1], ship)
    moves = np.where(deeper[0] < ship, DEEPER, SHIP)
    if exit not in prices.stops:
        return moves, np.stack((on, sober))
    stops = answers.careful[exit - 1] <= on
    moves[stops] = STOP
    moves[:, :BINS][stops[:, :BINS] & answers.recall[exit - 1]] = RECALL
    return moves, np.stack((np.minimum(answers.hopeful[exit - 1], on), np.where(stops, answers.sober[exit - 1], sober)))


def _deeper(estimates: Estimates, prices: Prices, exit: int, value: FloatArray | None) -> FloatArray:
    """(2, G, STATES) expected loss of running on from `exit`, hopeful and sober."""
    if value is None:
        end = prices.step(prices.exits) if prices.deepest == prices.exits else np.inf
        return np.full((2, *estimates.wrong.shape[1:]), end)
    after = np.concatenate((estimates.turns @ value[:, :, :BINS], value[:, :, BINS:TARGETS]), axis=2)
    result: FloatArray = prices.step(exit + 1) + after @ estimates.steps[exit - 1].T
    return result


def _answers(estimates: Estimates, trust: Trust) -> _Answers:
    error = estimates.error[:, None]
    own = [
        error * np.clip(estimates.wrong + widths * estimates.width, 0.0, 1.0)
        for widths in (trust.caution, -trust.hope, trust.doubt)
    ]
    # What a mistake of the exit before costs: its label is of another group, as labels turn.
    before = (estimates.turns @ estimates.error)[:, None]
    earlier = [
        before * np.clip(estimates.earlier_wrong + widths * estimates.earlier_width, 0.0, 1.0)[:, None]
        for widths in (trust.caution, -trust.hope, trust.doubt)
    ]
    recall = earlier[0] < own[0][:, :, :BINS]
    own[1][:, :, :BINS] = np.minimum(own[1][:, :, :BINS], earlier[1])
    for mine, theirs in ((own[0], earlier[0]), (own[2], earlier[2])):
        mine[:, :, :BINS] = np.where(recall, theirs, mine[:, :, :BINS])
    own[0][:, :, BARRED::BINS] = own[1][:, :, BARRED::BINS] = np.inf
    return _Answers(own[0], own[1], own[2], recall)
