"""Traces to a policy file: temperatures, reliability maps, thresholds, and the evidence for them.

Temperatures and maps are fitted on one half of the samples.  Calibration errors are measured and
thresholds chosen on the other; what thresholds do is printed from a half of that half that took no part,
what is shipped is then chosen on all of it, by the same recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandits.build import parameter_names
from partitioner.calibrate.codecs import CodecTable
from partitioner.calibrate.criterion import CriterionArrays
from partitioner.calibrate.exit_rule import shared_thresholds
from partitioner.calibrate.forms import calibrate
from partitioner.calibrate.guarding import GuardWishes, Metadata, guarded
from partitioner.calibrate.keep import Apart, Kept, cascade, keep
from partitioner.calibrate.reliability import calibration_error
from partitioner.calibrate.slices import of_rows
from partitioner.calibrate.targets import Target
from partitioner.calibrate.thresholds import certified_threshold, threshold_grid
from split_core.criteria.base import Criterion
from split_core.criteria.build import make_criterion
from split_core.drift.histogram import histograms, reached, reached_histograms
from split_core.errors import ConfigError, DataError, TraceError
from split_core.evidence import ConfidenceHistogram, Evidence
from split_core.objective import Objective
from split_core.policy import (
    DEFAULT_BANDIT,
    BanditSection,
    CodecSection,
    ExitSection,
    ObjectiveSection,
    PolicyFile,
)
from split_core.policy_guard import GuardSection
from split_core.readings import ExitCalibration, Reader
from split_core.tensors import FloatArray
from split_core.traces import Traces

FEWEST = 40  # samples: below, a half has too few for 15 bins to mean anything


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator asks for.

    Attributes:
        criterion: name in `split_core.criteria.CRITERIA`.
        criterion_params: its parameters.
        criterion_arrays: its trained arrays, and where they lie; None when it has none.
        objective: what costs what.
        ship: "any" or "hidden".
        bandit: name in `bandits.POLICIES`; empty takes the default one, or "cascade" when anything is asked.
        asked: of the thresholds, see `targets`.
        guard: what may not be answered early.
        segment: metadata column whose values get thresholds of their own; empty for one set of them.
        target: agreement with the full network that a certified threshold promises.
        risk: chance, per exit, that the promise is false.
    """

    criterion: str = "max_prob"
    objective: Objective = Objective()  # noqa: RUF009  (frozen)
    ship: str = "any"
    bandit: str = ""
    target: float = 0.98
    risk: float = 0.1
    criterion_params: Mapping[str, Any] = field(default_factory=dict)
    criterion_arrays: CriterionArrays | None = None
    asked: Target = Target()  # noqa: RUF009  (frozen)
    guard: GuardWishes = field(default_factory=GuardWishes)
    segment: str = ""

    def build(self, exits: int) -> Criterion:
        """The criterion, for a network with this many exits.

        Raises:
            ConfigError: no such criterion or parameter, or arrays that it does not take or that do not fit.
        """
        arrays = self.criterion_arrays.arrays if self.criterion_arrays else None
        return make_criterion(self.criterion, exits=exits, params=self.criterion_params, arrays=arrays)

    def __post_init__(self) -> None:
        if self.asked.asks and self.bandit not in ("", "cascade"):
            raise ConfigError(f"--bandit {self.bandit}: what is asked of thresholds is kept by 'cascade' only")
        if self.segment and not self.asked.asks:
            raise ConfigError("--segment gives thresholds per segment; ask for something, for example --risk 0.02")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a fit does on samples that took no part in it, for one exit.

    Attributes:
        ece_before, ece_after: expected calibration error of the raw and of the calibrated confidence.
        certified: threshold that a half of these samples promises; None when it promises none.
        agreement: share of answers above it, on the other half, that agree with the full network; None
            when there are none.
        answered: share of the other half that is above it.
    """

    ece_before: float
    ece_after: float
    certified: float | None
    agreement: float | None
    answered: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A policy file, and what its recipe did on held-out samples, per exit.

    Attributes:
        apart: the samples that maps were not fitted on.
        kept: thresholds for what was asked; None when nothing was.
    """

    policy: PolicyFile
    held_out: tuple[HeldOut, ...]
    apart: Apart = field(compare=False, repr=False)
    kept: Kept | None = field(compare=False, repr=False)


def fit(
    traces: Traces,
    wishes: Wishes,
    *,
    codecs: CodecSection,
    table: CodecTable,
    seed: int,
    metadata: Metadata = MappingProxyType({}),
) -> Fit:
    """Calibrate every exit and write down what it stands on.

    Args:
        traces: with logits and labels.
        wishes: what the operator asks for.
        codecs: chosen from `table`.
        table: measured codecs.
        seed: of the split into halves.
        metadata: one value per sample in every column.

    Raises:
        TraceError: no logits.
        DataError: too few samples to fit on one half and test on the other.
        ConfigError: no such criterion or bandit, see also `Wishes.build`.
    """
    _check(traces)
    fitted, rest = _halves(traces.samples, seed)
    reader, calibrations = _fitted_reader(traces.rows(fitted), wishes)
    read = traces.read_with(reader)
    raw = traces.rows(rest).read_with(Reader([ExitCalibration()] * traces.exits, wishes.build(traces.exits)))
    columns = of_rows(metadata, rest)
    told = np.asarray(columns[wishes.segment]) if wishes.segment else None
    apart, guard = guarded(Apart(rest, raw, read.rows(rest), told=told), wishes.guard, reader, columns)
    grid = shared_thresholds(read.rows(fitted).confidence)
    kept = keep(wishes.asked, grid, apart) if wishes.asked.asks else None
    held_out = tuple(_held_out(apart, k, wishes) for k in range(traces.exits))
    accuracy = read.correct.mean(axis=0)
    seen = _seen_at_calibration(read.rows(fitted), kept, apart, guard)
    evidence = _evidence(traces, wishes, table, kept).model_copy(update=seen)
    sections = tuple(
        _section(calibration, float(accuracy[k]), held_out[k], _promise(apart.read, k, wishes))
        for k, calibration in enumerate(calibrations)
    )
    bandit = cascade(kept.rule.common, traces.exits, wishes.asked) if kept else _bandit(wishes.bandit, read.confidence)
    policy = _asked_for(traces, wishes, sections, codecs).model_copy(
        update={
            "bandit": bandit,
            "guard": guard,
            "segments": kept.rule.section(wishes.segment) if kept and wishes.segment else None,
            "evidence": evidence,
        }
    )
    return Fit(policy, held_out, apart, kept)


def _halves(samples: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that fit maps, and rows that do not."""
    order = np.random.default_rng(seed).permutation(samples)
    return order[: samples // 2], order[samples // 2 :]


def _fitted_reader(traces: Traces, wishes: Wishes) -> tuple[Reader, list[ExitCalibration]]:
    criterion = wishes.build(traces.exits)
    calibrations = [_as_written(one) for one in calibrate(traces, criterion)]
    return Reader(calibrations, criterion), calibrations


def _asked_for(traces: Traces, wishes: Wishes, sections: tuple[ExitSection, ...], codecs: CodecSection) -> PolicyFile:
    """What is written as it was asked for; nothing of it depends on thresholds."""
    return PolicyFile(
        bundle_id=traces.bundle_id,
        criterion=wishes.criterion,
        criterion_params=dict(wishes.criterion_params),
        criterion_arrays=wishes.criterion_arrays.section if wishes.criterion_arrays else None,
        exits=sections,
        objective=ObjectiveSection(**asdict(wishes.objective)),
        ship="hidden" if wishes.ship == "hidden" else "any",
        codecs=codecs,
    )


def _seen_at_calibration(
    placing: Traces, kept: Kept | None, apart: Apart, guard: GuardSection | None
) -> dict[str, tuple[ConfidenceHistogram, ...]]:
    """What drift is measured against: bins by the samples of the maps, counts by those that were kept apart."""
    behind: tuple[ConfidenceHistogram, ...] = ()
    # With segments other samples get there in one stream than in another.
    if kept and not kept.rule.own and not (guard and guard.never_early_segments):
        exits = kept.rule.common.exits(apart.read) if apart.left is None else kept.rule.exits(apart.left)
        behind = reached_histograms(
            reached(placing, kept.rule.common.exits(placing)),  # a guard may send more on: edges need not be quantiles
            reached(apart.read, exits),
        )
    return {"confidence_histograms": histograms(placing, apart.read), "reached_histograms": behind}


def _evidence(traces: Traces, wishes: Wishes, table: CodecTable, kept: Kept | None) -> Evidence:
    return Evidence(
        samples=traces.samples,
        data_sha256=traces.digest(),
        target=wishes.target,
        risk=wishes.risk,
        made_with="offramp calibrate: maps fitted on one half of the samples, ece and thresholds from the other",
        codec_samples=table.samples,
        codecs=table.rows,
        promises=kept.promises if kept else (),
    )


def _check(traces: Traces) -> None:
    if not traces.logits.size:
        raise TraceError("this trace kept no logits; record it again with 'offramp trace'")
    if traces.samples < FEWEST:
        raise DataError(f"{traces.samples} samples are too few to calibrate on; give at least {FEWEST}, better 1000")


def _held_out(apart: Apart, k: int, wishes: Wishes) -> HeldOut:
    here, there = apart.read.rows(slice(0, apart.half)), apart.read.rows(slice(apart.half, None))
    threshold = _promise(here, k, wishes)
    answered = there.confidence[:, k] >= (2.0 if threshold is None else threshold)
    return HeldOut(
        ece_before=calibration_error(apart.raw.confidence[:, k], apart.raw.correct[:, k]),
        ece_after=calibration_error(apart.read.confidence[:, k], apart.read.correct[:, k]),
        certified=threshold,
        agreement=float(there.agrees[answered, k].mean()) if answered.any() else None,
        answered=float(answered.mean()),
    )


def _promise(read: Traces, k: int, wishes: Wishes) -> float | None:
    """The certified threshold of one exit, from samples that the maps were not fitted on."""
    return certified_threshold(read.confidence[:, k], read.agrees[:, k], target=wishes.target, risk=wishes.risk)


def _as_written(calibration: ExitCalibration) -> ExitCalibration:
    """Rounded as the file holds it, so that thresholds are chosen on what the device will read."""
    return ExitCalibration(calibration.temperature, _rounded(calibration.scores), _rounded(calibration.accuracies))


def _section(calibration: ExitCalibration, accuracy: float, held_out: HeldOut, certified: float | None) -> ExitSection:
    return ExitSection(
        temperature=calibration.temperature,
        scores=calibration.scores,
        accuracies=calibration.accuracies,
        accuracy=round(accuracy, 6),
        ece_before=round(held_out.ece_before, 6),
        ece_after=round(held_out.ece_after, 6),
        certified=certified,
    )


def _rounded(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(value, 6) for value in values)


def _bandit(name: str, confidence: FloatArray) -> BanditSection:
    """The bandit, with thresholds from the data when it takes a list of them."""
    name = name or DEFAULT_BANDIT
    params = {"thresholds": list(threshold_grid(confidence))} if "thresholds" in parameter_names(name) else {}
    return BanditSection(name=name, params=params)
