"""The cascade of Zero Time Waste, worked out by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from split_core.criteria.base import Seen
from split_core.criteria.build import make_criterion
from split_core.criteria.cascade import normalised
from split_core.errors import ConfigError
from split_core.tensors import Array

CLASSES, EXITS = 2, 3


def seen(exit_: int, *logits: float) -> Seen:
    row = np.array(logits)
    return Seen(exit_, row, np.exp(row) / np.exp(row).sum())


def plain(**changed: Array) -> dict[str, Array]:
    """Arrays that leave every exit as it is, and an ensemble that only looks at the last."""
    arrays = {
        "own": np.stack([np.eye(CLASSES)] * (EXITS - 1)),
        "before": np.zeros((EXITS - 1, CLASSES, CLASSES)),
        "shift": np.zeros((EXITS - 1, CLASSES)),
        "log_weights": np.where(np.eye(EXITS) > 0, np.log(np.arange(1, EXITS + 1)), -50.0),  # the mean undone
        "bias": np.zeros((EXITS, CLASSES)),
    }
    return arrays | changed


def test_logits_are_normalised_over_classes() -> None:
    assert normalised(np.array([3.0, 1.0, 2.0])) == pytest.approx([1.5**0.5, -(1.5**0.5), 0.0], abs=1e-4)
    assert normalised(np.array([7.0, 7.0])) == pytest.approx([0.0, 0.0])


def test_an_exit_adds_what_the_one_before_made_of_its_own() -> None:
    # N(z_1) = (1, -1) whatever the odds; U turns it into (ln 2, 0), so odds 3 become 6.
    before = np.zeros((2, 2, 2))
    before[1, 0, 0] = log(2.0)
    judge = make_criterion("cascade", exits=EXITS, arrays=plain(before=before))
    first, second = seen(1, 5.0, 0.0), seen(2, log(3.0), 0.0)
    assert judge([first, second]).score == pytest.approx(6 / 7, rel=1e-4)
    assert judge([first, second]).probabilities == pytest.approx([6 / 7, 1 / 7], rel=1e-4)
    assert judge([seen(1, 0.0, 5.0), second]).score == pytest.approx(3 / 5, rel=1e-4)  # odds 3 / 2
    assert judge([second]).score == pytest.approx(0.9)  # exit 1 was not read: odds 3, squared as the mean is of one


def test_an_exits_own_logits_are_turned_and_shifted() -> None:
    own, shift = np.zeros((2, 2, 2)), np.zeros((2, 2))
    own[0], shift[0] = [[0.0, 2.0], [0.0, 0.0]], [0.0, log(3.0)]
    judge = make_criterion("cascade", exits=EXITS, arrays=plain(own=own, shift=shift))
    assert judge([seen(1, 9.0, log(3.0))]).probabilities == pytest.approx([9 / 12, 3 / 12])


def test_the_last_exit_is_the_networks_own_and_the_ensemble_follows() -> None:
    shift = np.array([[0.0, 0.0], [log(3.0), 0.0]])
    judge = make_criterion("cascade", exits=EXITS, arrays=plain(shift=shift))
    shown = [seen(1, 0.0, 0.0), seen(2, 0.0, 0.0), seen(3, log(4.0), 0.0)]
    assert judge(shown).score == pytest.approx(4 / 5)
    even = make_criterion("cascade", exits=EXITS, arrays=plain(shift=shift, log_weights=np.zeros((3, 3))))
    odds = (1 * 3 * 4) ** (1 / 3)
    assert even(shown).score == pytest.approx(odds / (1 + odds))


def test_arrays_of_another_network_are_refused() -> None:
    with pytest.raises(ConfigError, match="'own'"):
        make_criterion("cascade", exits=EXITS, arrays=plain(own=np.zeros((3, 2, 2))))
    with pytest.raises(ConfigError, match="train --criterion cascade"):
        make_criterion("cascade", exits=EXITS)
