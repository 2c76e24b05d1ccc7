"""Why the sequential policy does what it does: what each move was expected to lose; see `bandits.reasons`."""

from __future__ import annotations

from typing import Literal

from bandits.reasons import Reason
from bandits.sequential.model import Model
from bandits.sequential.prices import Prices
from bandits.sequential.states import state_of
from bandits.sequential.values import Trust, induce, weigh
from split_core.readings import Reading

# How a frame is played: by the moves, by what needs no learning, to learn all of it, or to check its answer.
Kind = Literal["moves", "known", "look", "check"]

_TOLD: dict[Kind, str] = {
    "moves": "the least expected loss",
    "known": "what was learned promises no gain yet, so what needs no learning is done",
    "look": "this frame is looked at whole, to learn from it",
    "check": "this frame is shipped where it would be answered, to check what was learned",
}


def explained(kind: Kind, prices: Prices, model: Model, trust: Trust, readings: tuple[Reading, ...]) -> Reason:
    """Why the policy does what it does after these readings.

    Args:
        kind: how the frame is played.
        prices: of its context.
        model: what was learned, unchanged since the frame began.
        trust: in it.
        readings: so far.
    """
    if not readings:
        return Reason(_TOLD[kind], losses=_beginning(prices, model, trust))
    last, before = readings[-1], readings[-2] if len(readings) > 1 else None
    if last.exit == prices.exits:
        return Reason("the whole network has answered")
    if last.exit > prices.last:
        return Reason(_TOLD[kind])
    place = last.exit, model.groups(last.label), state_of(last, before)
    return Reason(_TOLD[kind], losses=weigh(model.estimates, prices, trust, *place))


def _beginning(prices: Prices, model: Model, trust: Trust) -> dict[str, float]:
    ship, *deeper = induce(model.estimates, prices, trust).begin
    return {"deeper": min(deeper), "ship": ship}
