"""Training of a criterion: every sample goes through the bundle once, its arrays are fitted, and judged on others."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.record import Recorder
from partitioner.chain import Chain
from partitioner.examples import Examples
from partitioner.train.criteria.base import Lesson, Taught
from partitioner.train.criteria.plan import CriterionPlan
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.criteria import CRITERIA
from split_core.criteria.arrays import BUNDLE, CRITERION, write_arrays
from split_core.criteria.base import HIDDEN
from split_core.criteria.build import make_criterion
from split_core.errors import DataError
from split_core.readings import ExitCalibration, Reader
from split_core.tensors import Array, FloatArray
from split_core.tokeniser import Tokeniser
from split_core.traces import Traces

IMAGES = 32  # that go through the network together; texts one by one

Steps = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]  # title and total; told what is done


@dataclass(frozen=True, slots=True)
class ExitRow:
    """One exit on samples that nothing was learned from.

    Attributes:
        exit: its number.
        accuracy_before, accuracy_after: share that is right by its own logits, and as the criterion answers.
        auroc_before: of the largest probability against being right.
        auroc_after: of the trained score against what it answers being right.  None where all are right, or none.
    """

    exit: int
    accuracy_before: float
    accuracy_after: float
    auroc_before: float | None
    auroc_after: float | None


@dataclass(frozen=True)
class Trained:
    """Arrays, and what they are worth.

    Attributes:
        sha256: of the file.
        rows: an exit each.
        samples: learned from, and measured on.
        epochs: the best, and all; zeros where nothing descends.
        labelled: False where the final exit's answers stood for the truth.
    """

    sha256: str
    rows: list[ExitRow]
    samples: tuple[int, int]
    epochs: tuple[int, int]
    labelled: bool


def train_criterion(bundle: Bundle, examples: Examples, plan: CriterionPlan, out: Path, steps: Steps) -> Trained:
    """Fit a criterion's arrays and write them.

    Args:
        bundle: whose heads answer.
        examples: without labels the final exit's answers are the truth.
        plan: what and how.
        out: the `.npz` to write.
        steps: shows progress.

    Raises:
        ConfigError: no such criterion, or parameters that it does not take.
        DataError: nothing can be learned from these samples, or the disk refuses.
        MissingExtra: torch is not installed and the criterion needs it.
        BackendError: onnxruntime cannot run a piece.
    """
    trainer = plan.trainer()
    if bundle.manifest.exits < 2:
        raise DataError(f"{bundle.manifest.name}: has one exit, so nothing can leave early")
    learn, measure = plan.schedule.split(len(examples))
    traces = seen(bundle, examples, plan, steps)
    lesson = Lesson(traces, learn, measure, plan.schedule, special_tokens(bundle))
    with steps(f"training {plan.criterion}", 1):
        taught = trainer.fit(lesson)
    marks = {CRITERION: np.array(plan.criterion), BUNDLE: np.array(bundle.id)}
    try:
        sha256 = write_arrays({**compact(taught), **marks}, out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror})") from error
    rows = judged(plan.criterion, compact(taught), traces.rows(measure))
    return Trained(sha256, rows, (len(learn), len(measure)), taught.epochs, examples.labels is not None)


def seen(bundle: Bundle, examples: Examples, plan: CriterionPlan, steps: Steps) -> Traces:
    """Logits of all exits, tokens, and hidden states where the criterion reads them."""
    chain = Chain(bundle, OnnxRuntimeBackend(), threads=plan.threads or os.cpu_count() or 1)
    # Pooled states of each shall be those of each alone, as a device sees them.
    together = IMAGES if examples.preprocess is None else min(IMAGES, examples.preprocess.together)
    examples = replace(examples, rows=together) if examples.rows > 1 else examples
    recorder = Recorder(chain, len(examples), states=HIDDEN in CRITERIA.load(plan.criterion).needs)
    with steps("hidden states", len(examples)) as done:
        for batch in examples.batches():
            passage = chain.run(batch)
            recorder.add(passage)
            done(len(passage.outputs[0]))
    nothing = np.empty((0, 0), np.int64)
    traces = recorder.traces(np.zeros(len(examples), np.int64), nothing, bundle.id)
    if not all(np.isfinite(one).all() for one in (traces.logits, *traces.hidden)):
        raise DataError("logits or hidden states are not finite for some samples; the network does not suit them")
    final: NDArray[np.int64] = traces.logits[:, -1].argmax(axis=1)
    return replace(traces, labels=final if examples.labels is None else examples.labels)


def judged(criterion: str, arrays: Mapping[str, Array], traces: Traces) -> list[ExitRow]:
    """What the trained score is worth beside the largest probability, exit by exit."""
    exits = traces.exits
    readers = [
        Reader([ExitCalibration()] * exits, make_criterion(name, exits=exits, arrays=given))
        for name, given in (("max_prob", None), (criterion, arrays))
    ]
    before, after = (traces.read_with(reader) for reader in readers)
    return [
        ExitRow(
            k + 1,
            float(before.correct[:, k].mean()),
            float(after.correct[:, k].mean()),
            auroc(before.confidence[:, k], before.correct[:, k]),
            auroc(after.confidence[:, k], after.correct[:, k]),
        )
        for k in range(exits)
    ]


def auroc(score: FloatArray, right: NDArray[np.bool_]) -> float | None:
    """Chance that a right answer has the larger score than a wrong one, equal ones counting half.

    Source: the Mann-Whitney U statistic, (sum of ranks of the right ones - r (r + 1) / 2) / (r w).
    None when all are right, or none.
    """
    good = int(right.sum())
    if not 0 < good < len(right):
        return None
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    middle = counts.cumsum() - (counts - 1) / 2  # mean rank of equal scores, from 1
    ranks = middle[place]
    return float((ranks[right].sum() - good * (good + 1) / 2) / (good * (len(right) - good)))


def special_tokens(bundle: Bundle) -> tuple[int, ...]:
    """Ids that say nothing of a text: its padding."""
    said = bundle.manifest.preprocess
    return (said.pad_id,) if isinstance(said, Tokeniser) else ()


def compact(taught: Taught) -> dict[str, Array]:
    """As they are written: half the size is exact enough for what was learned in float32."""
    return {
        name: value.astype(np.float32) if value.dtype == np.float64 and value.ndim > 1 else value
        for name, value in taught.arrays.items()
    }
