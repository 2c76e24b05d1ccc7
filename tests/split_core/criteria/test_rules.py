"""Every exit rule, worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from split_core.criteria.base import Seen, pooled
from split_core.criteria.build import make_criterion
from split_core.criteria.entropy import score_of_nats
from split_core.criteria.exit_share import shares, thresholds_for
from split_core.criteria.gates import activations, features
from split_core.errors import ConfigError
from split_core.readings import ExitCalibration, Reader


def seen(exit, probabilities, hidden=None):
    p = np.asarray(probabilities, np.float64)
    return Seen(exit, np.log(p), p, None if hidden is None else np.asarray(hidden, np.float64))


def frame(*rows, hidden=None):
    return [seen(k, row, hidden[k - 1] if hidden else None) for k, row in enumerate(rows, 1)]


def labels(*said, classes=3):
    """A frame whose exits say these classes, each with probability .8 (of three)."""
    return frame(
        *(np.full(classes, 0.2 / (classes - 1)) + np.eye(classes)[k] * (0.8 - 0.2 / (classes - 1)) for k in said)
    )


def scores(criterion, shown):
    """Score at every exit, as they are read."""
    return [criterion(shown[: k + 1]).score for k in range(len(shown))]


def make(name, exits=4, arrays=None, **params):
    return make_criterion(name, exits=exits, params=params, arrays=arrays)


def test_max_prob_entropy_and_margin():
    assert make("max_prob")(frame([0.6, 0.3, 0.1])).score == pytest.approx(0.6)
    assert make("margin")(frame([0.6, 0.3, 0.1])).score == pytest.approx(0.3)
    certainty = make("entropy")([Seen(1, np.zeros(4), np.array([0.5, 0.5, 0.0, 0.0]))])
    assert certainty.score == pytest.approx(0.5)  # H = ln 2 of ln 4


def test_branchynets_threshold_in_nats_is_a_score():
    assert score_of_nats(0.025, 10) == pytest.approx(1 - 0.025 / 2.302585, abs=1e-6)  # its LeNet's T
    assert score_of_nats(5.0, 10) == 0.0  # above ln 10 everything exits


def test_energy_of_odds_three_to_one():
    # sum exp = 4, mean logit = ln 3 / 2, uniform: ln 2; F = ln(4 / (2 sqrt 3)) = .143841
    logits = np.array([math.log(3.0), 0.0])
    shown = [Seen(1, logits, np.array([0.75, 0.25]))]
    assert make("energy")(shown).score == pytest.approx(0.143841 / 1.143841, abs=1e-6)
    assert make("energy", scale=0.143841)(shown).score == pytest.approx(0.5, abs=1e-5)
    lifted = [Seen(1, logits + 1000.0, np.array([0.75, 0.25]))]
    assert make("energy")(lifted).score == pytest.approx(make("energy")(shown).score)


def test_patience_exits_after_t_plus_1_equal_answers_and_starts_again_at_a_change():
    assert scores(make("patience", patience=2), labels(1, 1, 1)) == [0.0, 0.5, 1.0]
    assert scores(make("patience", patience=2), labels(0, 1, 1, 1)) == [0.0, 0.0, 0.5, 1.0]
    assert scores(make("patience", patience=2), labels(1, 1, 0, 0)) == [0.0, 0.5, 0.0, 0.5]


@pytest.mark.parametrize("patience", [1, 2, 3, 4, 5])
def test_an_unanimous_network_of_six_exits_saves_1_minus_average_over_all(patience):
    found = scores(make("patience", exits=6, patience=patience), labels(2, 2, 2, 2, 2, 2))
    layers = found.index(1.0) + 1
    assert 1 - layers / 6 == pytest.approx(1 - (patience + 1) / 6)  # what PABEE's code calls its speed-up


def test_patience_of_a_regression_compares_values():
    shown = [Seen(k, np.array([y]), np.ones(1)) for k, y in enumerate([1.0, 1.5, 1.6, 1.65], 1)]
    assert scores(make("patience", patience=2, tolerance=0.2), shown) == [0.0, 0.0, 0.5, 1.0]


def test_patience_over_entropy_counts_sure_exits_in_a_row():
    sure, unsure = [0.99, 0.01], [0.9, 0.1]  # H / ln 2: .081 and .469
    assert scores(make("patience_entropy"), frame(sure, unsure, sure, sure)) == [0.5, 0.0, 0.5, 1.0]
    assert scores(make("patience_entropy", entropy=0.08), frame(sure, sure)) == [0.0, 0.0]


def test_votes_need_not_be_in_a_row_and_the_winner_answers():
    shown = labels(0, 1, 2, 1)
    criterion = make("vote", votes=2)
    assert scores(criterion, shown) == [0.5, 0.5, 0.5, 1.0]
    np.testing.assert_allclose(criterion(shown).probabilities, [0.1, 0.8, 0.1])
    tied = frame([0.9, 0.1], [0.4, 0.6])
    assert criterion(tied).probabilities.argmax() == 0  # 1.3 against .7


def test_the_vote_overrules_the_exit_that_is_judged():
    judged = make("vote", votes=2)(labels(2, 2, 0))
    assert judged.probabilities.argmax() == 2
    assert judged.score == 1.0


def test_a_frame_without_enough_votes_at_the_last_exit_is_unknown():
    criterion = make("vote_or_unknown", exits=3, votes=2)
    assert not criterion(labels(0, 1, 2)).known
    assert criterion(labels(0, 1)).known  # a deeper exit may still agree
    assert criterion(labels(0, 1, 0)).known
    reader, readings = Reader([ExitCalibration()] * 3, criterion), []
    for one in labels(0, 1, 2):
        readings.append(reader.read(one.exit, one.logits, None, readings))
    assert [reading.label for reading in readings][-1] == -1
    assert readings[-1].confidence == 0.5


def test_similarity_is_high_where_hidden_states_no_longer_change():
    shown = frame([0.6, 0.4], [0.6, 0.4], [0.6, 0.4], hidden=[(1, 0), (1, 1), (2, 2)])
    assert scores(make("similarity"), shown) == pytest.approx([0.0, math.sqrt(0.5), 1.0])
    turned = frame([0.6, 0.4], [0.6, 0.4], hidden=[(1, 0), (-1, 0)])
    assert make("similarity")(turned).score == 0.0
    assert make("similarity")(frame([0.6, 0.4])).score == pytest.approx(0.6)  # no hidden state there


def test_similarity_with_patience_asks_for_it_repeatedly():
    states = [(1, 0), (1, 0.1), (1, 0.1), (0, 1)]  # cosines .995, 1, .0995
    shown = frame(*[[0.6, 0.4]] * 4, hidden=states)
    assert scores(make("similarity_patience", patience=2, similarity=0.99), shown) == [0.0, 0.5, 1.0, 0.0]
    assert scores(make("similarity_patience", patience=2, similarity=0.999), shown) == [0.0, 0.0, 0.5, 0.0]


def test_hidden_states_of_different_widths_are_not_similar():
    shown = frame([0.6, 0.4], [0.6, 0.4], [0.6, 0.4], hidden=[(1, 0), (1, 0, 0), (2, 0, 0)])
    assert scores(make("similarity"), shown) == [0.0, 0.0, 1.0]


def test_the_geometric_ensemble_multiplies_odds():
    shown = frame([0.5, 0.5], [0.9, 0.1])  # odds 1 and 9: geometric mean 3
    plain = make("geometric_ensemble", exits=2)(shown)
    assert plain.score == pytest.approx(0.75)
    weights = {"log_weights": np.array([[0.0, 0.0], [0.0, math.log(2.0)]]), "bias": np.zeros((2, 2))}
    assert make("geometric_ensemble", 2, weights)(shown).score == pytest.approx(0.9)  # odds 9 ** (2 / 2)
    weights["bias"] = np.array([[0.0, 0.0], [0.0, math.log(3.0)]])
    assert make("geometric_ensemble", 2, weights)(shown).score == pytest.approx(0.75)  # odds 9 / 3


def test_the_most_confident_exit_answers_when_the_last_one_does_not_pass():
    shown = frame([0.7, 0.3], [0.2, 0.8], [0.6, 0.4])
    criterion = make("most_confident", exits=3)
    assert scores(criterion, shown) == pytest.approx([0.7, 0.8, 0.8])
    assert criterion(shown).probabilities.argmax() == 1
    assert criterion(shown[:1]).probabilities.argmax() == 0


def test_an_exits_own_threshold_is_a_half():
    criterion = make("exit_share", exits=2, thresholds=[0.8, 0.0])
    assert criterion(frame([0.8, 0.2])).score == pytest.approx(0.5)
    assert criterion(frame([0.6, 0.4])).score == pytest.approx(0.375)
    assert criterion(frame([0.9, 0.1])).score == pytest.approx(0.75)
    assert criterion(frame([0.9, 0.1], [0.5, 0.5])).score == pytest.approx(0.75)  # the last exit takes all
    trained = make("exit_share", 2, {"thresholds": np.array([0.8, 0.0])})
    assert trained(frame([0.6, 0.4])).score == pytest.approx(0.375)


def test_shares_and_the_thresholds_that_reach_them():
    np.testing.assert_allclose(shares(0.5, 3), [4 / 7, 2 / 7, 1 / 7])
    surest = np.array([[0.9, 0.5, 1], [0.8, 0.9, 1], [0.7, 0.6, 1], [0.6, 0.8, 1]])
    # half leave at exit 1: .9 and .8; of the others a quarter of all, the one with .8, leaves at exit 2
    assert thresholds_for(surest, np.array([0.5, 0.25, 0.25])) == [0.8, 0.8, 0.0]
    assert thresholds_for(surest, np.array([0.0, 0.0, 1.0])) == [1.0, 1.0, 0.0]


def test_learning_to_exit_turns_uncertainty():
    criterion = make("learned", arrays={"weight": np.array([1.0, 2.0]), "bias": np.array(-1.0)})
    judged = criterion(frame([0.6, 0.4], hidden=[(1, 1)]))  # u = sigmoid(2) = .880797
    assert judged.score == pytest.approx(0.119203, abs=1e-6)
    with pytest.raises(ConfigError, match="is 3 wide, the arrays are for 2"):
        criterion(frame([0.6, 0.4], hidden=[(1, 1, 1)]))


def test_exits_of_several_widths_may_have_weights_of_their_own():
    arrays = {
        "weight": np.array([[1.0, 0.0], [0.0, 1.0]]),
        "bias": np.array([0.0, math.log(3.0)]),
        "widths": np.array([1, 2]),
    }
    shown = frame([0.6, 0.4], [0.6, 0.4], hidden=[(math.log(4.0),), (9, 0)])
    # u = sigmoid(ln 4) = 4/5, sigmoid(ln 3) = 3/4
    assert scores(make("learned", 3, arrays), shown) == pytest.approx([0.2, 0.25])
    with pytest.raises(ConfigError, match="exit 1 is 2 wide, the arrays are for 1"):
        make("learned", 3, arrays)(frame([0.6, 0.4], hidden=[(1, 1)]))
    with pytest.raises(ConfigError, match="'widths': expected numbers from 1 to 2"):
        make("learned", 3, {**arrays, "widths": np.array([1, 3])})


def test_a_text_leaves_where_its_last_ordinary_token_does():
    # token 0 is special; 1, 2, 3, 4 leave at exits 1, 1, 2, 3; whatever comes behind them at the last, 4
    criterion = make("hash", 4, {"exits": np.array([0, 1, 1, 2, 3])})

    def said(*tokens):
        return scores(criterion, [replace(one, tokens=np.array(tokens)) for one in frame(*[[0.6, 0.4]] * 4)])

    assert said(0, 1, 2, 3, 0, -1, -1) == pytest.approx([2 / 3, 1.0, 1.0, 0.6])  # at the end its probability
    assert said(1, 4, 3, 2) == pytest.approx([0.5, 0.75, 1.0, 0.6])
    assert said(1, 77) == pytest.approx([0.5, 0.5, 0.5, 0.6])  # never seen: as published, last
    assert said(0, 0) == pytest.approx([0.0, 0.0, 0.0, 0.6])  # nothing but special ones
    assert criterion(frame([0.7, 0.3])).score == pytest.approx(0.7)  # no text
    with pytest.raises(ConfigError, match="whole numbers from 0 to 2"):
        make("hash", 2, {"exits": np.array([0, 3])})


def test_gates_spend_what_is_left():
    # p = .2, .5, min(.9, 1 - .7); a = .2, .5 / .8, .3 / (.8 * .375)
    assert activations([0.2, 0.5, 0.9]) == pytest.approx([0.2, 0.625, 1.0])
    assert activations([0.9, 0.9]) == pytest.approx([0.9, 1.0])
    np.testing.assert_allclose(features(np.array([0.5, 0.5])), [0.5, math.log(2), 0.0, math.log(2)])
    np.testing.assert_allclose(features(np.array([0.8, 0.2])), [0.8, 0.500402, 0.6, 0.223719], atol=1e-6)


def test_a_gate_reads_its_own_exit():
    arrays = {"weight": np.array([[2.0, 0, 0, 0], [0, 0, 4.0, 0]]), "bias": np.array([-1.2, -1.0])}
    criterion = make("gates", 3, arrays)
    shown = frame([0.6, 0.4], [0.8, 0.2], [0.7, 0.3])
    first = 0.5  # sigmoid(2 * .6 - 1.2)
    second = 1.0  # gate sigmoid(4 * .6 - 1) = .802, of which .5 is left, of .5 that stays
    assert scores(criterion, shown) == pytest.approx([first, second, 0.7])


def test_q_exit_leaves_at_the_quantile():
    # both inner layers saturate to +1 at exit 1 and -1 at exit 2: l = sigmoid(b + w), sigmoid(b - w) = .3, .5
    half = math.log(0.3 / 0.7) / 2
    arrays = {
        "embedding": np.array([[30.0, 0.0], [-30.0, 0.0]]),
        "weight_1": np.array([[1.0], [0.0]]),
        "bias_1": np.zeros(1),
        "weight_2": np.array([[30.0]]),
        "bias_2": np.zeros(1),
        "weight_3": np.array([half]),
        "bias_3": np.array(half),
    }
    shown = frame([0.6, 0.4], [0.6, 0.4], [0.6, 0.4], hidden=[(0,), (0,), None])
    # .3, then .3 + .7 * .5: above q = .5 at exit 2; the last exit by its probability
    assert scores(make("q_exit", 3, arrays), shown) == pytest.approx([0.3, 0.65, 0.6])


def test_past_and_future_are_judged_by_their_own_head():
    arrays = {
        "imitation": np.array([[[2.0]]]),
        "imitation_bias": np.zeros((1, 1)),
        "head": np.array([[[0.0, 0.0], [0.0, math.log(3.0) / 2]]]),
        "head_bias": np.zeros((1, 2)),
    }
    judged = make("past_future", 2, arrays)(frame([0.9, 0.1], hidden=[(1,)]))  # future 2, logits (0, ln 3)
    np.testing.assert_allclose(judged.probabilities, [0.25, 0.75])
    assert judged.score == pytest.approx(1 - 0.562335 / math.log(2), abs=1e-6)


def test_hidden_states_are_pooled_over_positions():
    np.testing.assert_array_equal(pooled(np.arange(8.0).reshape(1, 2, 2, 2)), [1.5, 5.5])  # maps
    np.testing.assert_array_equal(pooled(np.array([[[1.0, 2.0], [3.0, 4.0]]])), [2.0, 3.0])  # tokens
    np.testing.assert_array_equal(pooled(np.array([[1.0, 2.0]])), [1.0, 2.0])


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("patience", {"patience": 0}, "patience: expected a whole number from 1"),
        ("patience", {"patient": 2}, "did you mean 'patience'"),
        ("vote", {"votes": 5}, "votes: expected a whole number from 1 to 4"),
        ("patience_entropy", {"entropy": 2}, "entropy: expected a number from 0 to 1"),
        ("exit_share", {}, "needs the parameter 'thresholds', or trained arrays"),
        ("exit_share", {"thresholds": [0.5]}, "expected a list of 4 numbers"),
        ("energy", {"scale": 0}, "scale: expected a number"),
    ],
)
def test_parameters_out_of_their_range_are_refused_in_one_line(name, params, said):
    with pytest.raises(ConfigError, match=said) as caught:
        make(name, **params)
    assert "\n" not in str(caught.value)
