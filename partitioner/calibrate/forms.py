"""How one exit is calibrated: as it is, by a temperature, or by a temperature and a reliability map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.reliability import calibration_error, fit_map
from partitioner.calibrate.temperature import fit_temperature
from split_core.criteria.base import Criterion, Plain
from split_core.readings import ExitCalibration, Reader, softmax
from split_core.shown import Shown
from split_core.tensors import FloatArray
from split_core.traces import Traces

WORTH = 0.001  # of calibration error: below, a better figure is noise


def calibrate(traces: Traces, criterion: Criterion) -> list[ExitCalibration]:
    """One calibration per exit, each fitted on all samples of `traces`, with those before it as they are fitted."""
    calibrations: list[ExitCalibration] = []
    for k in range(traces.exits):
        correct = traces.prediction[:, k] == traces.labels
        view = View(criterion, tuple(calibrations))
        calibrations.append(calibrate_exit(traces.shown.upto(k + 1), traces.labels, correct, view))
    return calibrations


@dataclass(frozen=True, slots=True)
class View:
    """How an exit is looked at: the criterion, and the calibrations of the exits before it."""

    criterion: Criterion
    before: tuple[ExitCalibration, ...] = ()

    def confidence(self, shown: Shown, calibration: ExitCalibration) -> FloatArray:
        """(N,) what a `Reader` with this calibration gives for the last exit shown, of finite logits."""
        if not isinstance(self.criterion, Plain):
            reader = Reader([*self.before, calibration], self.criterion)
            return np.array([one.confidence for one in shown.read_last(reader)], np.float64)
        probabilities = softmax(shown.logits[:, -1], calibration.temperature)
        scores = np.clip([self.criterion.score(row) for row in probabilities], 0.0, 1.0)
        if not calibration.scores:
            return scores
        mapped: FloatArray = np.interp(scores, calibration.scores, calibration.accuracies)
        return mapped


def calibrate_exit(shown: Shown, labels: NDArray[np.int64], correct: NDArray[np.bool_], view: View) -> ExitCalibration:
    """The best of: as it is, with a temperature, with temperature and reliability map.

    Each is fitted on every second sample and judged on the others, both ways round; a richer form must
    have a calibration error there that is smaller by `WORTH`, or it is not used.

    Args:
        shown: the exits up to this one; samples whose logits are not finite here are left out.
        labels: (N,).
        correct: (N,).
        view: criterion, and calibrations of the exits before.
    """
    finite = np.flatnonzero(np.isfinite(shown.logits[:, -1]).all(axis=1))
    shown, labels, correct = shown.rows(finite), labels[finite], correct[finite]
    if not len(labels):
        return ExitCalibration()
    halves = (np.arange(0, len(labels), 2), np.arange(1, len(labels), 2))
    errors = np.zeros(len(_FORMS))
    for here, there in (halves, halves[::-1]):
        for place, form in enumerate(_FORMS):
            fitted = form(shown.rows(here), labels[here], correct[here], view)
            errors[place] += calibration_error(view.confidence(shown.rows(there), fitted), correct[there]) / 2
    return _FORMS[int((errors + WORTH * np.arange(len(_FORMS))).argmin())](shown, labels, correct, view)


def _as_it_is(shown: Shown, labels: NDArray[np.int64], correct: NDArray[np.bool_], view: View) -> ExitCalibration:
    return ExitCalibration()


def _with_temperature(
    shown: Shown, labels: NDArray[np.int64], correct: NDArray[np.bool_], view: View
) -> ExitCalibration:
    return ExitCalibration(round(fit_temperature(shown.logits[:, -1], labels), 4))


def _with_map(shown: Shown, labels: NDArray[np.int64], correct: NDArray[np.bool_], view: View) -> ExitCalibration:
    cooled = _with_temperature(shown, labels, correct, view)
    scores, accuracies = fit_map(view.confidence(shown, cooled), correct)
    return ExitCalibration(cooled.temperature, scores, accuracies)


_FORMS = (_as_it_is, _with_temperature, _with_map)
