"""What trains criteria: rules worked out by hand, and lessons whose answer is known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from partitioner.train.criteria import TRAINERS
from partitioner.train.criteria.base import Lesson, Taught
from partitioner.train.criteria.exit_share import ExitShareTrainer
from partitioner.train.criteria.hash import HashTrainer, buckets, mutual_information
from partitioner.train.criteria.training import auroc, judged
from partitioner.train.schedule import Schedule
from split_core import bundle as bundles
from split_core.cli import main
from split_core.errors import ConfigError, DataError
from split_core.params import call_with
from split_core.tensors import Array
from split_core.traces import Traces
from tests.text_world import lines, text_bundle, write_tsv
from tests.tiny import tiny_samples

EXITS, CLASSES, SAMPLES = 3, 3, 1200
SCHEDULE = Schedule(epochs=60, patience=8, batch=64, learning_rate=2e-2, validation=0.3)


def lesson(widths: tuple[int, ...] = (4, 4), seed: int = 0, tokens: Array | None = None) -> Lesson:
    """Exits that are right or not by chance, and whose hidden state says in its first number which.

    The later numbers tell the class.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, SAMPLES)
    right = rng.random((SAMPLES, EXITS)) < np.array([0.6, 0.75, 0.95])
    said = np.where(right, labels[:, None], (labels[:, None] + 1) % CLASSES)
    logits = 2.0 * np.eye(CLASSES)[said] + rng.normal(0.0, 0.3, (SAMPLES, EXITS, CLASSES))
    hidden = []
    for place, width in enumerate(widths):
        states = rng.normal(0.0, 0.5, (SAMPLES, width))
        states[:, 0] += np.where(right[:, place], 5.0, 3.0) * (1 - 2 * place)
        states[:, 1:3] += 2.0 * np.eye(CLASSES)[labels][:, :2]
        hidden.append(states.astype(np.float32))
    traces = Traces(
        np.zeros((SAMPLES, EXITS)),
        np.zeros((SAMPLES, EXITS), np.int64),
        labels,
        logits.astype(np.float32),
        hidden=tuple(hidden),
        **({} if tokens is None else {"tokens": tokens}),
    )
    return Lesson(traces, *SCHEDULE.split(SAMPLES), SCHEDULE)


def taught(name: str, given: Lesson, **params: object) -> Taught:
    pytest.importorskip("torch")
    found: Taught = call_with(name, TRAINERS.load(name), params, {}).fit(given)
    return found


@pytest.mark.parametrize("widths", [(4, 4), (3, 5)])
@pytest.mark.parametrize("name", ["learned", "past_future", "q_exit"])
def test_a_state_that_tells_right_from_wrong_is_understood(name: str, widths: tuple[int, ...]) -> None:
    given = lesson(widths)
    if name == "learned" and widths == (4, 4):
        # One weight for both exits: only what tells the same at both can be learned.
        given.traces.hidden[1][:, 0] *= -1.0
    found = taught(name, given)
    assert ("widths" in found.arrays) == (widths != (4, 4))
    rows = judged(name, found.arrays, given.traces.rows(given.measure))
    first, second, last = rows
    if name == "learned":
        assert first.auroc_after is not None
        assert first.auroc_before is not None
        assert first.auroc_after > 0.95 > first.auroc_before
        assert second.auroc_after is not None
        assert second.auroc_after > 0.95
        assert found.arrays["weight"].shape == ((4,) if widths == (4, 4) else (2, 5))
    if name == "past_future":  # its own head, which sees the label in the states
        assert first.accuracy_after > 0.9 > first.accuracy_before
    if name == "q_exit":
        assert first.auroc_after is not None
        assert first.auroc_after > 0.6
    assert last.accuracy_after == last.accuracy_before


def test_arrays_are_for_states_as_they_are() -> None:
    """Shifting and stretching what is learned from changes the arrays, and not the scores."""
    given = lesson()
    for name in ("learned", "q_exit", "past_future"):
        plain = judged(name, taught(name, given).arrays, given.traces)
        moved = lesson()
        for states in moved.traces.hidden:
            states *= 8.0
            states += 64.0
        other = judged(name, taught(name, moved).arrays, moved.traces)
        for one, two in zip(plain, other, strict=True):
            assert two.auroc_after == pytest.approx(one.auroc_after, abs=0.02)


def test_gates_open_at_the_cheapest_exit_that_is_good_enough() -> None:
    pytest.importorskip("torch")
    from partitioner.train.criteria.gates import targets

    # CE of the label at exits 1..3: ln 2, ln 1.25, ln 1.25, plus .3 * k / 3: .793, .423, .523
    probabilities = np.array([[[0.5, 0.5], [0.8, 0.2], [0.8, 0.2]]])
    assert targets(probabilities, np.array([0]), 0.3).tolist() == [[0.0, 1.0]]
    # three nats for the whole way: 1.693, 2.223, 3.223
    assert targets(probabilities, np.array([0]), 3.0).tolist() == [[1.0, 1.0]]
    # nothing is good before the end
    assert targets(np.array([[[0.1, 0.9], [0.1, 0.9], [0.9, 0.1]]]), np.array([0]), 0.3).tolist() == [[0.0, 0.0]]


def test_trained_gates_tell_right_from_wrong_better_than_nothing() -> None:
    given = lesson()
    # Wrong answers are given with less certainty.
    doubt = np.where(given.correct, 1.0, 0.3)[:, :, None].astype(np.float32)
    np.multiply(given.traces.logits, doubt, out=given.traces.logits)
    first = judged("gates", taught("gates", given).arrays, given.traces.rows(given.measure))[0]
    assert first.auroc_after is not None
    assert first.auroc_after > 0.9


def test_the_ensemble_learns_to_trust_the_later_exit() -> None:
    given = lesson()
    found = taught("geometric_ensemble", given)
    weights = np.exp(found.arrays["log_weights"])
    assert weights[2, 2] > 2 * weights[2, 0]
    plain, trained = (
        judged("geometric_ensemble", arrays, given.traces.rows(given.measure))
        for arrays in ({"log_weights": np.zeros((3, 3)), "bias": np.zeros((3, 3))}, found.arrays)
    )
    assert trained[2].accuracy_after > plain[2].accuracy_after


def test_the_same_seed_teaches_the_same() -> None:
    one, two = (taught("q_exit", lesson()).arrays for _ in range(2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])


def test_the_geometric_prior_is_cut_off_at_the_last_exit() -> None:
    pytest.importorskip("torch")
    from partitioner.train.criteria.q_exit import geometric

    np.testing.assert_allclose(geometric(0.1, 4), [0.1, 0.09, 0.081, 0.729])


def test_shares_of_the_samples_leave_where_they_were_counted() -> None:
    given = lesson()
    found = ExitShareTrainer(ratio=1.0).fit(given).arrays["thresholds"]
    surest = np.exp(given.traces.logits[given.learn])
    first = (surest / surest.sum(2, keepdims=True)).max(2)[:, 0] >= found[0] - 1e-9
    assert first.mean() == pytest.approx(1 / 3, abs=0.01)
    assert found[-1] == 0.0


def test_auroc_counts_pairs() -> None:
    # right: .9, .4; wrong: .4, .1; pairs won: 2 and 1.5 of 4
    score, right = np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False])
    assert auroc(score, right) == pytest.approx(3.5 / 4)
    assert auroc(score, np.ones(4, bool)) is None


def test_buckets_are_equal_parts_and_the_rest_is_last() -> None:
    assert buckets(7, 3).tolist() == [1, 1, 2, 2, 3, 3, 3]
    assert buckets(2, 3).tolist() == [1, 2]


def test_mutual_information_is_of_the_token_with_the_label() -> None:
    # joint: token 0 (.5, 0), token 1 (.25, .25); p(y) = 3/4, 1/4 of the texts
    found = mutual_information(np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([0.75, 0.25]))
    assert found[0] == pytest.approx(0.5 * math.log(0.5 / (0.5 * 0.75)))
    assert found[1] == pytest.approx(0.25 * math.log(0.25 / (0.5 * 0.75)) + 0.25 * math.log(0.25 / (0.5 * 0.25)))


def words(rows: list[list[int]]) -> Lesson:
    """Texts of two labels in turn; all of them are learned from."""
    tokens = np.array(rows, np.int32)
    count = len(tokens)
    labels = np.arange(count) % 2
    logits = np.zeros((count, 3, 2), np.float32)
    traces = Traces(np.zeros((count, 3)), np.zeros((count, 3), np.int64), labels, logits, tokens=tokens)
    return Lesson(traces, np.arange(count), np.arange(count), SCHEDULE, special=(9,))


def test_frequent_tokens_leave_first_and_special_ones_are_marked() -> None:
    # 0 is in every text, 9 pads; 5 occurs four times, 6 and 7 twice, 4 and 8 once, 1..3 never
    given = words([[0, 5, 5, 6, 9], [0, 5, 7, 4, -1], [0, 6, 8, 7, 5], [0, 9, 9, 9, 9]])
    table = HashTrainer().fit(given).arrays["exits"]
    #                       0  1  2  3  4  5  6  7  8  9
    assert table.tolist() == [0, 3, 3, 3, 3, 1, 2, 3, 3, 0]
    assert HashTrainer(special=[5]).fit(given).arrays["exits"][5] == 0


def test_informative_tokens_leave_first() -> None:
    # 1 is said of label 0 only, 2 of label 1 only, 3 of both
    given = words([[1, 3, 0], [2, 3, 0], [1, 3, 0], [2, 0, 0]])
    table = HashTrainer(by="mutual_information").fit(given).arrays["exits"]
    assert table.tolist() == [0, 1, 2, 3]
    drawn = HashTrainer(by="random").fit(given).arrays["exits"]
    assert sorted(drawn[1:].tolist()) == [1, 2, 3]
    assert drawn.tolist() == HashTrainer(by="random").fit(given).arrays["exits"].tolist()


def test_what_is_no_order_and_what_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'frequency'"):
        HashTrainer(by="frequence")
    with pytest.raises(ConfigError, match="special: expected a list"):
        HashTrainer(special=5)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="are no texts"):
        HashTrainer().fit(lesson())


def samples(tmp_path: Path) -> Path:
    images, labels = tiny_samples(200, seed=3)
    np.savez(tmp_path / "samples.npz", images=images, labels=labels)
    np.savez(tmp_path / "plain.npz", images=images)
    return tmp_path / "samples.npz"


@pytest.mark.parametrize(
    ("given", "code", "expected"),
    [
        (["--criterion", "hashed", "--arrays", "a.npz"], 2, "did you mean 'hash'"),
        (["--criterion", "max_prob", "--arrays", "a.npz"], 2, "no criterion that is trained named 'max_prob'"),
        (["--criterion", "hash"], 2, "--criterion needs --arrays FILE.npz"),
        (["--criterion", "hash", "--arrays", "a.npz", "--criterion-param", "bye=random"], 2, "did you mean 'by'"),
        (["--criterion", "exit_share", "--arrays", "a.npz", "--criterion-param", "ratio=0"], 2, "from 0.01 to 10"),
        (["--criterion", "hash", "--arrays", "a.npz"], 3, "are no texts"),
        (["--criterion", "exit_share", "--arrays", "plain.npz/a.npz"], 3, "cannot be written"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    given: list[str],
    code: int,
    expected: str,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(tiny_bundle), "--data", str(data), *given, "--threads", "1", "--json"]) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert expected in said


def test_without_labels_the_last_exit_is_the_truth(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = samples(tmp_path).with_name("plain.npz")
    words = ["--criterion", "exit_share", "--arrays", str(tmp_path / "a.npz"), "--data", str(data), "--threads", "1"]
    assert main(["train", str(tiny_bundle), *words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["labelled"] is False
    assert facts["rows"][-1]["accuracy_before"] == 1.0
    assert main(["train", str(tiny_bundle), *words]) == 0
    assert "the final exit's answers are the truth" in " ".join(capsys.readouterr().out.split())


def test_a_table_of_tokens_comes_from_a_tsv_and_is_calibrated_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tokenizers")
    bundle, data = text_bundle(tmp_path), write_tsv(tmp_path / "x.tsv", lines(300))
    words = ["--criterion", "hash", "--arrays", str(tmp_path / "a.npz"), "--take", "0:150", "--json"]
    assert main(["train", str(bundle), "--data", str(data), *words]) == 0
    with np.load(tmp_path / "a.npz") as file:
        table = file["exits"]
    ids = {text: bundles.load(bundle).intake().canonical(text) for text, _ in lines(150)}
    everywhere = set.intersection(*(set(row[0].tolist()) for row in ids.values()))
    assert {place for place, exit in enumerate(table) if exit == 0} == everywhere | {0}  # 0 pads
    assert set(table.tolist()) == {0, 1, 2, 3}
    given = ["--criterion", "hash", "--criterion-arrays", str(tmp_path / "a.npz"), "--out", str(tmp_path / "p.yaml")]
    capsys.readouterr()
    assert main(["calibrate", str(bundle), "--data", str(data), "--take", "150:300", *given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"]["criterion"] == "hash"
