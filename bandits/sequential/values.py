"""Backward induction: from probabilities and prices to a move for every state.

A state stops by a pessimistic estimate of its answer, and hands an optimistic one to the state before: the frames that
might profit from going on do so, and what they find is learned.  Costs are times mu, so a unit is the price of an
error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandits.sequential.estimates import Estimates
from bandits.sequential.prices import Prices
from bandits.sequential.states import BARRED, BINS, FIRST, STATES, TARGETS
from split_core.tensors import FloatArray

# What to do in a state: answer with this reading, ship, run on, or answer with the reading before.
STOP, SHIP, DEEPER, RECALL = range(4)


@dataclass(frozen=True, slots=True)
class Values:
    """What to do, and what is expected of it.

    Attributes:
        moves: per exit 1..K-1 and group, the move of every state; empty lists for exits beyond the deepest.
        begin: expected loss of shipping at once (0), or of reading exit 1, 2, .. K first; infinite where that
            cannot be.
    """

    moves: tuple[list[list[int]], ...]
    begin: tuple[float, ...]


def induce(estimates: Estimates, prices: Prices, *, caution: float, hope: float) -> Values:
    """Solve all states from the deepest exit up.

    Args:
        estimates: of the states.
        prices: of the context.
        caution: how many widths an answer is taken to be worse than estimated, when it is given.
        hope: how many widths better, when going there is considered.
    """
    exits, deepest = prices.exits, prices.deepest
    moves: list[list[list[int]]] = [[] for _ in range(exits - 1)]
    begin = [np.inf] * (exits + 1)
    begin[0] = prices.ship[0]
    if deepest == exits:
        begin[exits] = prices.device[exits] + prices.head[exits]
    value: FloatArray | None = None
    for exit in range(min(deepest, exits - 1), 0, -1):
        deeper = _deeper(estimates, prices, exit, value)
        careful, hopeful, recall = _stops(estimates, prices, exit, caution, hope)
        on = np.minimum(deeper, prices.ship[exit])
        moves[exit - 1] = _moves(careful, recall, deeper, on, prices.ship[exit])
        value = np.minimum(hopeful, on)
        value[np.isinf(value)] = estimates.error.max()  # barred, and nowhere else to go: it will be answered anyhow
        first = estimates.firsts @ value[:, FIRST * BINS :] @ estimates.starts[exit - 1]
        begin[exit] = prices.device[exit] + prices.head[exit] + float(first)
    return Values(tuple(moves), tuple(begin))


def _deeper(estimates: Estimates, prices: Prices, exit: int, value: FloatArray | None) -> FloatArray:
    """(G, STATES) expected loss of running on from `exit`."""
    if value is None:
        end = prices.step(prices.exits) if prices.deepest == prices.exits else np.inf
        return np.full(estimates.wrong.shape[1:], end)
    after = np.concatenate((estimates.turns @ value[:, :BINS], value[:, BINS:TARGETS]), axis=1)
    result: FloatArray = prices.step(exit + 1) + after @ estimates.steps[exit - 1].T
    return result


def _stops(
    estimates: Estimates, prices: Prices, exit: int, caution: float, hope: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(G, STATES) loss of answering, pessimistic and optimistic; (G, BINS) of answering as the exit before did."""
    error = estimates.error[:, None]
    groups = len(error)
    if exit not in prices.stops:
        never = np.full((groups, STATES), np.inf)
        return never, never, never[:, :BINS]
    wrong, width = estimates.wrong[exit - 1], estimates.width[exit - 1]
    careful = error * np.minimum(1.0, wrong + caution * width)
    hopeful = error * np.maximum(0.0, wrong - hope * width)
    careful[:, BARRED::BINS] = hopeful[:, BARRED::BINS] = np.inf
    earlier, earlier_width = estimates.earlier_wrong[exit - 1], estimates.earlier_width[exit - 1]
    recall = error * np.minimum(1.0, earlier + caution * earlier_width)
    recall[:, BARRED] = np.inf
    hopeful[:, :BINS] = np.minimum(hopeful[:, :BINS], error * np.maximum(0.0, earlier - hope * earlier_width))
    return careful, hopeful, recall


def _moves(careful: FloatArray, recall: FloatArray, deeper: FloatArray, on: FloatArray, ship: float) -> list[list[int]]:
    moves = np.where(deeper < ship, DEEPER, SHIP)
    best = on.copy()
    back = recall < np.minimum(best[:, :BINS], careful[:, :BINS])
    moves[careful <= best] = STOP
    moves[:, :BINS][back] = RECALL
    moves[np.isinf(on) & np.isinf(careful)] = STOP
    result: list[list[int]] = moves.tolist()
    return result
