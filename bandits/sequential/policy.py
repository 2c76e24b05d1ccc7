"""The sequential policy: after every reading answer, go deeper or ship, by what was learned and what it costs now."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from bandits import params, saved
from bandits.indices.build import Choice
from bandits.policy import Action, Answer, Context, Costs, Deeper, Observation, Plan, Ship
from bandits.reasons import Reason
from bandits.sequential.drift import Drift, make_drift
from bandits.sequential.model import Model
from bandits.sequential.outlook import Outlook, outlook_of
from bandits.sequential.prices import Prices
from bandits.sequential.reasons import Kind, explained
from bandits.sequential.safeguard import Budget, Watch
from bandits.sequential.states import Groups, state_of
from bandits.sequential.values import DEEPER, RECALL, SHIP, Trust, Values, induce
from split_core.errors import ConfigError
from split_core.objective import Objective
from split_core.readings import Reading

NAME = "sequential"
# A check costs a trip and tells of one state, a look tells of all: it is taken where it costs less than so much.
CHEAP = 0.3
# What is left of all that was learned when frames have changed: where to begin from, and no more.
KEPT = 0.02
_DEEPER = Deeper()
_MOST_CLASSES = 1000


def make_sequential(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    error_cost: float | Sequence[float] = 1.0,
    by_class: int = 0,
    first: int = 8,
    look: float = 0.6,
    caution: float = 0.1,
    hope: float = 0.1,
    doubt: float = 1.0,
    deviations: float = 1.0,
    discount: float = 1.0,
    forget: Choice = "none",
) -> Sequential:
    """Optimal stopping with learned values: answer with a reading, go one exit deeper, or ship.

    Args:
        exits: K.
        rng: not used, the rule is deterministic.
        objective: gives mu.
        error_cost: loss of an answer that is not the full network's; or a list by the full network's label.
        by_class: labels 0..by_class-1 are kept apart, and lean on each other while little was seen; 0 for none.
            A list of error costs keeps labels of different costs apart by itself.
        first: frames that are run until the full network's answer is known, to begin with.
        look: share of all loss that may be spent on such frames later on.
        caution: widths that an answer is taken to be worse than estimated, when it is given.
        hope: widths that it is taken to be better, when going there is considered.
        doubt: widths that tell how well the loss of following them is known: looking around goes by it.
        deviations: standard errors by which playing must be worse than the known policies to be stopped.
        discount: weight of what is one frame older; 1 never forgets.
        forget: none, or change: all that was learned, when first confidences or the answers of checked frames have
            changed; or {"name": "change", "false_alarm": chance of doing so, ever, where nothing has}.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    errors = _error_costs(error_cost)
    model = Model(
        exits,
        _groups(errors, params.whole("by_class", by_class, 0, _MOST_CLASSES)),
        errors,
        discount=params.discount("discount", discount),
    )
    return Sequential(
        model,
        Budget(params.whole("first", first, 0, 1_000_000), params.number("look", look, 0.0, 1.0)),
        Watch(params.number("deviations", deviations, 0.0, 100.0)),
        exits=exits,
        mu=objective.mu,
        trust=Trust(
            params.number("caution", caution, 0.0, 100.0),
            params.number("hope", hope, 0.0, 100.0),
            params.number("doubt", doubt, 0.0, 100.0),
        ),
        drift=make_drift(exits, forget),
    )


@dataclass(frozen=True, slots=True)
class SequentialPlan(Plan):
    """A plan with the moves that it is played by.

    Attributes:
        values: the moves, and those that a frame that is looked at whole does not follow; None where there are none.
        prices: of the context of a frame that follows its moves.
        look: is the frame looked at whole?
        check: is it shipped where it would have been answered?
    """

    values: Values | None = None
    prices: Prices | None = None
    look: bool = False
    check: bool = False


class Sequential:
    """A `Policy`; see `make_sequential`.

    Args:
        model: what was learned.
        budget: for looking around.
        watch: over what playing earned.
        exits: K.
        mu: errors that one unit of cost is worth.
        trust: in what was learned.
        drift: tells when to forget; None never does.
    """

    def __init__(
        self,
        model: Model,
        budget: Budget,
        watch: Watch,
        *,
        exits: int,
        mu: float,
        trust: Trust,
        drift: Drift | None = None,
    ) -> None:
        self.model, self._budget, self._watch, self._drift = model, budget, watch, drift
        self._exits, self._mu, self._trust = exits, mu, trust
        self._answers = [Answer(exit) for exit in range(exits + 1)]
        self._key: tuple[Costs, tuple[int, ...], bool] | None = None
        self._outlook: Outlook | None = None

    def begin(self, context: Context) -> Plan:
        """Decide where to read first, or to look at the frame whole."""
        outlook = self.outlook(context)
        prices, budget = outlook.prices, self._budget
        if outlook.best == np.inf:
            return self.follow(context)
        budget.paid += outlook.best
        if budget.free(outlook.excess, outlook.best):
            budget.look(outlook.excess)
            return self._looked(context, prices, None)
        if outlook.check < CHEAP * outlook.excess:
            if budget.allows(outlook.check, outlook.unsettled):
                budget.spend(outlook.check)
                return SequentialPlan(context, outlook.heads, values=outlook.values, check=True)
        elif budget.allows(outlook.excess, outlook.unsettled):
            budget.look(outlook.excess)
            return self._looked(context, prices, outlook.values)
        if outlook.sure and prices.known < np.inf and self._watch.harmful():
            if not budget.allows(outlook.excess, 2.0):
                return self._known(context, prices)
            budget.spend(self._watch.mean)
        return self.follow(context)

    def follow(self, context: Context) -> Plan:
        """Play by the moves, unless what needs no learning is better."""
        outlook = self.outlook(context)
        if outlook.best == np.inf:
            return Plan(context, tuple(range(1, max(1, outlook.prices.deepest) + 1)), learns=False)
        if not outlook.sure and outlook.prices.known < np.inf:
            return self._known(context, outlook.prices)
        return SequentialPlan(context, outlook.heads, values=outlook.values, prices=outlook.prices)

    def outlook(self, context: Context) -> Outlook:
        """What `context` offers, by its prices and all that is known."""
        if self.model.due():
            self.model.refresh()
            self._outlook = None
        key, outlook = self._key, self._outlook
        if key is None or key[0] is not context.costs or key[1:] != (context.splits, context.cloud):
            self._key = context.costs, context.splits, context.cloud
            prices = Prices.of(context, self._mu)
            if outlook is not None and prices != outlook.prices:
                outlook = None
        else:
            prices = outlook.prices if outlook is not None else Prices.of(context, self._mu)
        if outlook is None:
            self._outlook = outlook = outlook_of(prices, induce(self.model.estimates, prices, self._trust))
        return outlook

    def _looked(self, context: Context, prices: Prices, values: Values | None) -> Plan:
        end = (self._exits,) if prices.ship[prices.last] > prices.after_look else ()
        return SequentialPlan(context, (*range(1, prices.last + 1), *end), values=values, look=True)

    def _known(self, context: Context, prices: Prices) -> Plan:
        return SequentialPlan(context, (prices.known_depth,) if prices.known_depth else ())

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """Look the move up."""
        if not readings:
            return _DEEPER if plan.heads else Ship(plan.context.costs.payload[0])
        last = readings[-1]
        exit = last.exit
        if exit == self._exits:
            return self._answers[exit]
        if not isinstance(plan, SequentialPlan) or plan.look or plan.values is None:
            return self._to_the_end(plan, readings)
        before = readings[-2] if len(readings) > 1 else None
        move = plan.values.moves[exit - 1][self.model.groups(last.label)][state_of(last, before)]
        if move == DEEPER:
            return _DEEPER
        if move == SHIP or (plan.check and plan.context.may_ship(exit)):
            return Ship(plan.context.costs.payload[exit])
        if move == RECALL and before is not None and before.confidence >= 0.0:
            return self._answers[before.exit]
        return self._answers[exit]

    def _to_the_end(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        if len(readings) < len(plan.heads):
            return _DEEPER
        exit = readings[-1].exit
        return Ship(plan.context.costs.payload[exit]) if plan.context.may_ship(exit) else Answer(exit)

    def explain(self, plan: Plan, readings: tuple[Reading, ...]) -> Reason:
        """What each move was expected to lose; see `bandits.reasons`."""
        own = plan if isinstance(plan, SequentialPlan) else None
        kind: Kind = "known" if own is None else "look" if own.look else "check" if own.check else "moves"
        return explained(kind, Prices.of(plan.context, self._mu), self.model, self._trust, readings)

    def learn(self, observation: Observation) -> None:
        """Take in what the frame showed; a lost reply shows nothing but confidences."""
        readings, plan = observation.readings, observation.plan
        own = plan if isinstance(plan, SequentialPlan) else None
        if self._drift and self._drift.take(observation, checked=own is not None and (own.look or own.check)):
            self.forget(KEPT)
        if observation.lost or not plan.learns or not readings:
            return
        final = observation.verdict
        if readings[-1].exit == self._exits:
            readings, final = readings[:-1], readings[-1]
            if not readings:
                return
        if own and own.look and final is not None:
            self.model.look(readings, final, own.values.moves if own.values else None)
            return
        action = observation.action
        error = self.model.observe(readings, final, action.exit if isinstance(action, Answer) else 0)
        if own and own.prices is not None and own.prices.known < np.inf:
            self._watch.take(error + own.prices.path(observation), own.prices.known)

    def forget(self, kept: float) -> None:
        """Let what was learned weigh only `kept` of what it did, and look around again as in the beginning.

        For whoever detects that frames are no longer what they were; with `forget: change` the policy does.
        """
        self.model.forget(kept)
        self._watch.forget()
        self._budget.reopen()
        self._outlook = None

    def state(self) -> dict[str, Any]:
        """All that was learned, as JSON types."""
        learned = self.model.state()
        self._outlook = None
        return {
            **self._identity(),
            "model": learned,
            "budget": self._budget.state(),
            "watch": self._watch.state(),
            **({"drift": self._drift.state()} if self._drift else {}),
        }

    def _identity(self) -> dict[str, Any]:
        return {"policy": NAME, "exits": self._exits, **self.model.identity()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`.

        Raises:
            PolicyFileError: the state belongs to another policy, network, or to other classes or error costs.
        """
        for key, expected in self._identity().items():
            saved.check_same(state, key, expected, NAME)
        budget, watch = (saved.section(state, key, NAME) for key in ("budget", "watch"))
        tried_budget, tried_watch = copy(self._budget), copy(self._watch)
        tried_budget.restore(budget, NAME)
        tried_watch.restore(watch, NAME)
        drift = self._drift and self._drift.restored(state, NAME)
        self.model.restore(saved.section(state, "model", NAME), NAME)
        self._budget, self._watch, self._outlook, self._drift = tried_budget, tried_watch, None, drift


def _error_costs(value: Any) -> tuple[float, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return (params.number("error_cost", value, 0.0, 1e6),)
    if not 2 <= len(value) <= _MOST_CLASSES:
        raise ConfigError(f"error_cost: expected a number, or one per class, got {value!r}")
    return tuple(params.number(f"error_cost[{label}]", each, 0.0, 1e6) for label, each in enumerate(value))


def _groups(errors: tuple[float, ...], by_class: int) -> Groups:
    if by_class:
        return Groups(range(by_class))
    kinds = sorted(set(errors))
    return Groups([kinds.index(cost) for cost in errors])
