"""UEE-UCB by hand, and on its authors' own log, where every digit of their notebook comes out again."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from bandits.policy import Costs, Observation
from bandits.published.uee_ucb import UeeUcb
from split_core.readings import Reading
from split_core.tensors import FloatArray
from tests.bandits.frames import context, observed
from tests.bandits.published_traces import imdb, told
from tests.bandits.readings import reading

TRIALS = 20
LAYERS = {4: (1, 3, 7, 12), 6: (1, 3, 5, 7, 9, 12)}
ONE_DEAR_STEP = Costs(np.array([0.0, 0.1, 0.2, 0.6]), np.zeros(4), np.full(3, np.inf), (0, 1, 2))


def schedule(exits: int, which: str) -> FloatArray:
    """Cost of every exit: its share of 12 layers (CS-1), or half until layer 7 (CS-2)."""
    layers = np.array(LAYERS[exits])
    return layers / 12 if which == "CS-1" else np.where(layers <= 7, 0.5, 1.0)


def costs(prices: FloatArray) -> Costs:
    exits = len(prices)
    return Costs(np.array([0.0, *prices]), np.zeros(exits + 1), np.full(exits, np.inf), tuple(range(exits)))


def said(*labels: int) -> list[Reading]:
    return [reading(exit, label, 0.9) for exit, label in enumerate(labels, 1)]


def shown(subject: UeeUcb, *frames: list[Reading]) -> list[int]:
    """Exits that were played on `frames`, learned from in turn."""
    played = []
    for frame in frames:
        seen = observed(subject, context(ONE_DEAR_STEP), frame)
        subject.learn(seen)
        played.append(len(seen.readings))
    return played


def test_the_first_frame_plays_the_last_exit_and_reads_all() -> None:
    subject = UeeUcb(3, mu=1.0, alpha=1.0)
    assert shown(subject, said(0, 1, 1)) == [3]
    assert subject.state()["observed"] == [1.0, 1.0, 1.0]
    assert subject.state()["disagreed"] == [0.0, 1.0, 1.0]


def test_the_index_by_hand() -> None:
    subject = UeeUcb(3, mu=1.0, alpha=1.0)
    # After one frame, D/O + cost_1 - cost_k: 0, 1 - .1, 1 - .5, and sqrt(ln 2 / 1) for each: exit 2.
    # Then O = 2, 2, 1: 0 + sqrt(ln 3 / 2) = .741, .5 - .1 + .741 = 1.141, 1 - .5 + sqrt(ln 3) = 1.548: exit 3.
    # Then O = 3, 3, 2: exit 2 has 1/3 - .1 + sqrt(ln 4 / 3) = .913, exit 3 has .5 - .5 + sqrt(ln 4 / 2) = .833.
    assert shown(subject, said(0, 1, 1), said(0, 0, 0), said(0, 0, 0), said(0, 0, 0)) == [3, 2, 3, 2]
    assert subject.state()["disagreed"] == [0.0, 1.0, 1.0]
    assert subject.state()["observed"] == [4.0, 4.0, 2.0]


def test_without_exploration_it_settles_where_disagreement_pays_for_the_cost() -> None:
    subject = UeeUcb(3, mu=1.0, alpha=0.0)
    # Exit 2 differs on every frame and costs .1 more; exit 3 costs .5 more and says no more than exit 2.
    assert shown(subject, *[said(0, 1, 1)] * 4) == [3, 2, 2, 2]


def test_other_prices_count_from_the_next_frame_on() -> None:
    subject = UeeUcb(3, mu=1.0, alpha=0.0)
    shown(subject, *[said(0, 1, 1)] * 4)
    dear = Costs(np.array([0.0, 0.1, 2.0, 2.6]), np.zeros(4), np.full(3, np.inf), (0, 1, 2))
    assert subject.begin(context(dear)).arm_index == 0


def test_heads_on_the_way_are_paid_for() -> None:
    """Exit 3 disagreed on its only frame: worth .5 more than it costs, but not the two heads at .6 on the way."""
    heads = Costs(ONE_DEAR_STEP.device, np.array([0.0, 0.6, 0.6, 0.6]), ONE_DEAR_STEP.ship, ONE_DEAR_STEP.payload)
    subject = UeeUcb(3, mu=1.0, alpha=0.0)
    shown(subject, said(0, 1, 1), said(0, 0, 0))
    assert subject.begin(context(ONE_DEAR_STEP)).arm_index == 2
    assert subject.begin(context(heads)).arm_index == 0


def test_an_outage_changes_nothing_for_it() -> None:
    here, there = UeeUcb(3, mu=1.0, alpha=1.0), UeeUcb(3, mu=1.0, alpha=1.0)
    for labels in np.random.default_rng(0).integers(0, 2, (50, 3)).tolist():
        for subject, cloud in ((here, True), (there, False)):
            subject.learn(observed(subject, context(ONE_DEAR_STEP, cloud=cloud), said(*labels)))
    assert here.state() == there.state()


@cache
def actions(exits: int, which: str, seed: int) -> tuple[int, ...]:
    """Exits (from 0) played on one of the authors' permutations, through the runtime's protocol."""
    predictions, _ = imdb(exits)
    table = [[reading(exit, label, 1.0) for label in (0, 1)] for exit in range(1, exits + 1)]
    subject, given = UeeUcb(exits, mu=1.0, alpha=1.0), context(costs(schedule(exits, which)))
    played = []
    for row in predictions[order(seed, len(predictions))].tolist():
        plan = subject.begin(given)
        readings = tuple(table[exit][row[exit]] for exit in range(plan.arm_index + 1))
        action = subject.next(plan, readings)
        subject.learn(Observation(plan, readings, action, None, math.nan))  # type: ignore[arg-type]
        played.append(plan.arm_index)
    return tuple(played)


def order(seed: int, frames: int) -> np.ndarray:
    """What DataFrame.sample(frac=1, random_state=seed) gives; the notebook's figures hang on it."""
    return np.random.RandomState(seed).permutation(frames)


def pulls(exits: int, which: str) -> dict[int, int]:
    exit, count = np.unique(actions(exits, which, 0), return_counts=True)
    return dict(zip((exit + 1).tolist(), count.tolist(), strict=True))


def totals(exits: int, which: str) -> FloatArray:
    """(K,) error + cost of every exit."""
    predictions, labels = imdb(exits)
    result: FloatArray = (predictions != labels[:, None]).mean(axis=0) + schedule(exits, which)
    return result


def regret(exits: int, which: str) -> FloatArray:
    """(N,) cumulative, mean over the trials."""
    total = totals(exits, which)
    gaps = (total - total.min())[np.array([actions(exits, which, seed) for seed in range(TRIALS)])]
    result: FloatArray = gaps.mean(axis=0).cumsum()
    return result


def test_a1_errors_and_totals_are_the_authors() -> None:
    predictions, labels = imdb(4)
    assert (predictions != labels[:, None]).mean(axis=0) == pytest.approx([0.38766, 0.193, 0.1709, 0.15386])
    assert totals(4, "CS-1") == pytest.approx([0.470993, 0.443, 0.754233, 1.15386], abs=5e-7)


@pytest.mark.parametrize(
    ("exits", "disagreement"),
    [
        (4, [0, 0.3461, 0.36384, 0.35996]),
        (6, [0, 0.4355, 0.47942, 0.44766, 0.41828, 0.42972]),
    ],
)
def test_a1_exits_disagree_with_the_first_as_often_as_published(exits: int, disagreement: list[float]) -> None:
    predictions, _ = imdb(exits)
    assert (predictions != predictions[:, :1]).mean(axis=0) == pytest.approx(disagreement)


@pytest.mark.parametrize(("exits", "published"), [(4, 0.1443), (6, 0.226)])
def test_a1_dominance_is_violated_as_often_as_published(exits: int, published: float) -> None:
    """Right at some exit, wrong at a later one."""
    predictions, labels = imdb(exits)
    right = predictions == labels[:, None]
    violated = float((np.diff(right.astype(int), axis=1) < 0).any(axis=1).mean())
    told(f"A1 dominance violated, {exits} exits", f"{100 * published:.2f} %", f"{100 * violated:.2f} %")
    assert violated == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize(
    ("exits", "which", "published"),
    [
        (4, "CS-1", {2: 49900, 3: 83, 4: 17}),
        (4, "CS-2", {2: 23, 3: 49939, 4: 38}),
        (6, "CS-1", {2: 49510, 3: 382, 4: 79, 5: 11, 6: 18}),
        (6, "CS-2", {2: 1, 3: 45279, 4: 4681, 5: 3, 6: 36}),
    ],
)
def test_a1_the_first_trial_plays_every_exit_as_often_as_the_authors_code(
    exits: int, which: str, published: dict[int, int]
) -> None:
    found = pulls(exits, which)
    told(f"A1 pulls of trial 0, {exits}/{which}", _brief(published), _brief(found))
    assert found == published


def _brief(counts: dict[int, int]) -> str:
    return " ".join(f"{exit}:{count}" for exit, count in counts.items())


def test_a3_without_dominance_it_settles_on_the_exit_that_disagrees_most() -> None:
    """Exits 3 and 4 cost the same and 4 errs less; but exit 3 disagrees with exit 1 more often."""
    predictions, _ = imdb(6)
    disagreement = (predictions != predictions[:, :1]).mean(axis=0)
    assert totals(6, "CS-2").argmin() + 1 == 4
    assert disagreement.argmax() + 1 == 3
    assert max(pulls(6, "CS-2"), key=pulls(6, "CS-2").__getitem__) == 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a1_accuracy_and_cost_are_those_of_the_notebook_to_the_last_digit() -> None:
    predictions, labels = imdb(4)
    right = predictions == labels[:, None]
    played = [np.array(actions(4, "CS-1", seed)) for seed in range(TRIALS)]
    accuracy = [right[order(seed, len(right)), exit].mean() for seed, exit in enumerate(played)]
    cost = np.mean([schedule(4, "CS-1")[exit].mean() for exit in played])
    told("A1 accuracy, cost of 20 trials", ".807058, .25084675", f"{np.mean(accuracy):.6f}, {cost:.8f}")
    assert np.mean(accuracy) == pytest.approx(0.8070579999999999, abs=1e-12)
    assert cost == pytest.approx(0.25084675, abs=1e-12)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("exits", "which", "at_10k", "at_50k"), [(4, "CS-1", 30.0, 40.1), (4, "CS-2", 17.4, 20.8), (6, "CS-1", 81.9, 117.5)]
)
def test_a2_with_weak_dominance_its_regret_is_logarithmic(exits: int, which: str, at_10k: float, at_50k: float) -> None:
    found = regret(exits, which)
    ratio, logarithmic, straight = found[-1] / found[9_999], fit(found, np.log), fit(found, np.asarray)
    told(
        f"A2 regret 50k/10k, {exits}/{which}",
        f"{at_50k / at_10k:.2f} < 2, R2 log > R2 linear",
        f"{ratio:.2f}, {logarithmic:.3f} > {straight:.3f}",
    )
    assert found[[9_999, 49_999]].tolist() == pytest.approx([at_10k, at_50k], rel=0.01)
    assert ratio < 2.0
    assert logarithmic > straight


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a3_without_dominance_its_regret_is_linear() -> None:
    found = regret(6, "CS-2")
    ratio, straight = found[-1] / found[9_999], fit(found, np.asarray)
    told("A3 regret 50k/10k, 6/CS-2 fails", "5.4 > 3, R2 linear .9997", f"{ratio:.2f}, {straight:.4f}")
    assert ratio > 3.0
    assert straight > 0.999 > fit(found, np.log)


def fit(regret: FloatArray, shape: object) -> float:
    """R squared of regret = a + b * shape(t), from frame 500 on."""
    frames = np.arange(500, len(regret) + 1)
    return float(np.corrcoef(shape(frames), regret[499:])[0, 1] ** 2)  # type: ignore[operator]
