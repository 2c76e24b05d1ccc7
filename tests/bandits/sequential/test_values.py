from __future__ import annotations

import math

import numpy as np
import pytest

from bandits.policy import Context, Costs
from bandits.sequential.estimates import Estimates
from bandits.sequential.prices import Prices
from bandits.sequential.states import AGREES, BARRED, BINS, DIFFERS, FIRST, STATES, TARGETS
from bandits.sequential.values import DEEPER, RECALL, SHIP, STOP, Trust, induce

BELIEVED = Trust(0.0, 0.0, 0.0)


def prices(device: list[float], ship: list[float], *, splits: tuple[int, ...] | None = None) -> Prices:
    exits = len(ship)
    costs = Costs(np.array(device), np.zeros(exits + 1), np.array(ship), tuple(range(exits)))
    return Prices.of(Context(splits or tuple(range(exits + 1)), True, math.inf, costs), 1.0)


def estimates(exits: int, wrong: float = 0.5, width: float = 0.0) -> Estimates:
    """All answers equally wrong, no step known, one group."""
    readable = exits - 1
    return Estimates(
        np.full((readable, 1, STATES), wrong),
        np.full((readable, 1, STATES), width),
        np.full((readable, BINS), 1.0),
        np.zeros((readable, BINS)),
        np.zeros((max(0, exits - 2), STATES, TARGETS)),
        np.zeros((readable, BINS)),
        np.ones((1, 1)),
        np.ones(1),
        np.ones(1),
    )


def test_two_exits_by_hand() -> None:
    """Exit 1 at .1, the whole at .3, shipping .15: of wrong .05, .14, .9 the first two are answered, the last shipped."""
    known = estimates(2)
    known.wrong[0, 0, FIRST * BINS + 1 : FIRST * BINS + 4] = 0.9, 0.14, 0.05
    known.starts[0, 1:4] = 0.2, 0.3, 0.5
    values = induce(known, prices([0.0, 0.1, 0.3], [0.4, 0.15]), BELIEVED)
    assert values.moves[0][0][FIRST * BINS + 1 : FIRST * BINS + 4] == [SHIP, STOP, STOP]
    # .1 + .2 * .15 + .3 * .14 + .5 * .05
    assert values.begin == pytest.approx((0.4, 0.197, 0.3))


def test_where_the_rest_is_cheaper_than_shipping_the_device_goes_on() -> None:
    values = induce(estimates(2, wrong=0.5), prices([0.0, 0.1, 0.3], [0.4, 0.25]), BELIEVED)
    assert values.moves[0][0][FIRST * BINS + 1] == DEEPER


def test_three_exits_by_hand() -> None:
    """From exit 1's bin 5 exit 2 is sure in .75 of the frames: .1 + .75 * .02 + .25 * .1 = .14 beats an answer at .2."""
    known = estimates(3)
    here, sure, unsure = FIRST * BINS + 5, AGREES * BINS + 12, DIFFERS * BINS + 5
    known.wrong[0, 0, here] = 0.2
    known.wrong[1, 0, sure] = 0.02
    known.steps[0, here, [sure, unsure]] = 0.75, 0.25
    known.starts[0, 5] = 1.0
    values = induce(known, prices([0.0, 0.1, 0.2, 0.3], [9.0, 9.0, 9.0]), BELIEVED)
    assert values.moves[0][0][here] == DEEPER
    assert (values.moves[1][0][sure], values.moves[1][0][unsure]) == (STOP, DEEPER)
    assert values.begin[1] == pytest.approx(0.1 + 0.14)


def test_where_the_exit_before_is_right_more_often_it_answers() -> None:
    known = estimates(3)
    state = DIFFERS * BINS + 4
    known.wrong[1, 0, state] = 0.6
    known.earlier_wrong[1, 4] = 0.05
    values = induce(known, prices([0.0, 0.1, 0.2, 0.4], [9.0, 9.0, 9.0]), BELIEVED)
    assert values.moves[1][0][state] == RECALL
    assert values.moves[1][0][AGREES * BINS + 4] == DEEPER


def test_caution_goes_on_where_an_answer_would_barely_do() -> None:
    known = estimates(2, wrong=0.1, width=0.05)
    given = prices([0.0, 0.1, 0.3], [0.4, 0.12])
    assert induce(known, given, BELIEVED).moves[0][0][FIRST * BINS + 3] == STOP
    assert induce(known, given, Trust(1.0, 0.0, 0.0)).moves[0][0][FIRST * BINS + 3] == SHIP


def test_a_barred_reading_never_answers_where_anything_else_can_be_done() -> None:
    values = induce(estimates(2, wrong=0.0), prices([0.0, 0.1, 0.3], [0.4, 0.15]), BELIEVED)
    assert values.moves[0][0][FIRST * BINS + BARRED] == SHIP
    assert values.moves[0][0][FIRST * BINS + 1] == STOP


def test_nothing_stops_where_no_split_is() -> None:
    values = induce(estimates(3, wrong=0.0), prices([0.0, 0.1, 0.2, 0.3], [9.0] * 3, splits=(0, 2)), BELIEVED)
    assert set(values.moves[0][0]) == {DEEPER}
    assert values.begin[3] == math.inf


def test_a_missed_alarm_that_costs_more_is_not_risked() -> None:
    """Both groups are wrong in .1 of the frames; a mistake of group 1 costs 5, so .5 is dearer than shipping at .2."""
    one = estimates(2, wrong=0.1)
    both = Estimates(
        np.repeat(one.wrong, 2, axis=1),
        np.repeat(one.width, 2, axis=1),
        one.earlier_wrong,
        one.earlier_width,
        one.steps,
        one.starts,
        np.full((2, 2), 0.5),
        np.full(2, 0.5),
        np.array([1.0, 5.0]),
    )
    values = induce(both, prices([0.0, 0.1, 0.5], [0.4, 0.2]), BELIEVED)
    assert [values.moves[0][group][FIRST * BINS + 3] for group in (0, 1)] == [STOP, SHIP]
