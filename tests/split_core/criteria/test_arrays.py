from __future__ import annotations

import numpy as np
import pytest

from split_core import policy as policies
from split_core.criteria.arrays import array, read_arrays, write_arrays
from split_core.criteria.patience import Patience
from split_core.criteria.similarity import Similarity
from split_core.errors import ConfigError, PolicyFileError, TraceError
from split_core.policy import ArraysSection, ExitSection, PolicyFile
from split_core.readings import ExitCalibration, Reader
from split_core.traces import Traces

GATES = {"weight": np.array([[2.0, 0.0, 0.0, 0.0]]), "bias": np.array([-1.0])}


def policy(**fields):
    return PolicyFile(bundle_id="ab" * 32, exits=(ExitSection(), ExitSection()), **fields)


def test_a_policy_with_arrays_reads_with_them(tmp_path):
    sha256 = write_arrays(GATES, tmp_path / "gates.npz")
    made = policy(criterion="gates", criterion_arrays=ArraysSection(file="gates.npz", sha256=sha256))
    policies.save(made, tmp_path / "policy.yaml")
    reader = policies.load(tmp_path / "policy.yaml").reader(tmp_path)
    # p_max = .75: sigmoid(2 * .75 - 1)
    reading = reader.read(1, np.log(np.array([3.0, 1.0])))
    assert reading.confidence == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_arrays_that_were_changed_are_refused(tmp_path):
    sha256 = write_arrays(GATES, tmp_path / "gates.npz")
    write_arrays({**GATES, "bias": np.array([5.0])}, tmp_path / "gates.npz")
    with pytest.raises(PolicyFileError, match="train it again"):
        read_arrays(tmp_path / "gates.npz", sha256)
    with pytest.raises(PolicyFileError, match="cannot be read"):
        read_arrays(tmp_path / "absent.npz", sha256)


def test_pickled_objects_and_other_files_are_refused(tmp_path):
    sha256 = write_arrays({"weight": np.array([{}], dtype=object)}, tmp_path / "pickled.npz")
    with pytest.raises(PolicyFileError, match=r"not an \.npz of plain arrays"):
        read_arrays(tmp_path / "pickled.npz", sha256)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "hold no 'w'"),
        ({"w": np.zeros(3)}, r"expected shape \(2, None\), got \(3,\)"),
        ({"w": np.array([["a"], ["b"]])}, "expected finite numbers"),
        ({"w": np.array([[np.nan], [0.0]])}, "expected finite numbers"),
    ],
)
def test_arrays_of_the_wrong_kind_are_refused_by_name(found, said):
    with pytest.raises(ConfigError, match=said):
        array(found, "w", 2, None)


def test_a_criterion_without_the_arrays_it_needs_is_refused():
    with pytest.raises(ConfigError, match="'gates' needs trained arrays"):
        policy(criterion="gates").reader()


@pytest.mark.parametrize("file", ["../gates.npz", "/etc/gates.npz", "gates.pkl"])
def test_arrays_lie_beside_their_policy(file):
    with pytest.raises(ValueError, match="file"):
        ArraysSection(file=file, sha256="0" * 64)


def test_parameters_of_the_criterion_come_from_the_policy():
    reader = policy(criterion="patience", criterion_params={"patience": 1}).reader()
    first = reader.read(1, np.array([2.0, 0.0]))
    assert first.confidence == 0.0
    assert reader.read(2, np.array([1.0, 0.0]), None, [first]).confidence == 1.0
    with pytest.raises(ConfigError, match="no parameter 'patiense'; did you mean 'patience'"):
        policy(criterion="patience", criterion_params={"patiense": 1}).reader()


def test_what_is_not_used_leaves_no_trace_in_the_file():
    document = policy().model_dump(mode="json")
    assert "criterion_params" not in document
    assert "criterion_arrays" not in document
    assert policy(criterion_params={"scale": 2.0}).id != policy().id


def traced(logits):
    unread = np.zeros(logits.shape[:2])
    return Traces(unread, unread.astype(np.int64), np.zeros(len(logits), np.int64), logits)


def test_a_trace_is_read_by_criteria_of_several_exits():
    # classes 0, 1, 1 and 1, 1, 1
    logits = np.array([[[2, 0], [0, 2], [0, 2]], [[0, 2], [0, 2], [0, 2]]], np.float32)
    made = PolicyFile(
        bundle_id="ab" * 32, exits=(ExitSection(),) * 3, criterion="patience", criterion_params={"patience": 2}
    )
    read = traced(logits).read_with(made.reader())
    np.testing.assert_array_equal(read.confidence, [[0.0, 0.0, 0.5], [0.0, 0.5, 1.0]])
    np.testing.assert_array_equal(read.prediction, [[0, 1, 1], [1, 1, 1]])


def test_a_trace_has_no_hidden_states_and_says_so():
    with pytest.raises(TraceError, match="needs hidden states, this trace kept none"):
        traced(np.zeros((1, 2, 3), np.float32)).read_with(Reader([ExitCalibration()] * 2, Similarity()))


def test_temperature_comes_before_the_criterion_and_the_map_after():
    # odds 9 become 3 at temperature 2; two equal exits give patience 1, which the map calls .7
    first = ExitCalibration(temperature=2.0)
    second = ExitCalibration(temperature=2.0, scores=(0.0, 1.0), accuracies=(0.2, 0.7))
    reader = Reader([first, second], Patience(patience=1))
    logits = np.array([np.log(9.0), 0.0])
    one = reader.read(1, logits)
    two = reader.read(2, logits, None, [one])
    assert one.probabilities[0] == pytest.approx(0.75)
    assert two.confidence == pytest.approx(0.7)
