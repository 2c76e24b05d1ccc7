"""Separate training: the network stays as it is, and each exit learns alone from states computed once."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from partitioner.chain import Chain
from partitioner.examples import Examples
from partitioner.heads import TRAINABLE
from partitioner.network import Network
from partitioner.train.checkpoint import Checkpoint
from partitioner.train.features import Features, Pooling, features_of
from partitioner.train.fit import Fitting, Lesson, torch_logits
from partitioner.train.pieces import Place, places_of
from partitioner.train.proof import Learned
from partitioner.train.schedule import Rows, Schedule
from partitioner.train.targets import TARGETS
from partitioner.train.targets.base import Softness
from partitioner.train.write import Proof, check_version, write
from partitioner.verify import Trial
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.errors import DataError
from split_core.files import canonical_json, sha256_of

PROVED_ON = 16  # validation samples, beside noise
ROWS = 32  # that go through the network together

Steps = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]  # title and total; told what is done


@dataclass(frozen=True)
class Plan:
    """What shall be trained, and how.

    Attributes:
        head: name in `TRAINABLE`.
        target: name in `TARGETS`.
        exits: 1..K-1; none for those that nobody has trained.
        softness: of targets that distil.
        schedule: how long and how fast.
    """

    head: str = "linear"
    target: str = "labels"
    exits: tuple[int, ...] = ()
    softness: Softness = field(default_factory=Softness)
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class Request:
    """Where things come from and go to.

    Attributes:
        out: folder of bundles.
        version: of the new bundle.
        samples: where the examples were read from.
        network: the uncut one, to prove by; None where it is not at hand.
        checkpoint: file to go on from; None keeps nothing.
        threads: of onnxruntime; 0 for all cores.
        tolerance: see `Trial`.
    """

    out: Path
    version: str
    samples: Path
    network: Network | None = None
    checkpoint: Path | None = None
    threads: int = 0
    tolerance: float = 1e-4


@dataclass(frozen=True, slots=True)
class ExitRow:
    """What training did to an exit, on samples that it did not learn from.

    Attributes:
        exit: its number.
        features: F; 0 for the final exit, which is not trained.
        accuracy_before, accuracy_after: share that is right; None without labels.
        agreement: share on which it says after training what the final exit says.
        epochs: until the parameters that were kept, and in all.
        loss: validation loss then.
        seconds: fitting alone, since this process began.
    """

    exit: int
    features: int
    accuracy_before: float | None
    accuracy_after: float | None
    agreement: float
    epochs: tuple[int, int]
    loss: float | None
    seconds: float


@dataclass(frozen=True)
class Trained:
    """A bundle with trained heads.

    Attributes:
        root: its folder.
        rows: an exit each, the final one last.
        samples: learned from, and measured on.
        features_seconds: for running all samples through the network.
    """

    root: Path
    rows: list[ExitRow]
    samples: tuple[int, int]
    features_seconds: float


def train(bundle: Bundle, examples: Examples, plan: Plan, request: Request, steps: Steps) -> Trained:
    """Train a bundle's exits, and write the bundle that has them.

    Raises:
        ConfigError: the plan does not fit the bundle, or names what does not exist.
        ModelError: the head does not suit a cut.
        DataError: the samples have no labels and the target needs some, or nothing can be learned from them.
        CertificateError: what was made is not what was trained; nothing is written.
        BackendError: onnxruntime cannot run a piece.
        BundleError: the disk refuses.
    """
    check_version(bundle, request.out, request.version)
    target = TARGETS.load(plan.target)(plan.softness)
    if target.needs_labels and examples.labels is None:
        raise DataError(f"{request.samples}: has no labels, which target {plan.target!r} needs; selfxit needs none")
    places = places_of(bundle, TRAINABLE.load(plan.head)(), plan.exits)
    learn, measure = plan.schedule.split(len(examples))
    data_sha256 = hash_of(examples)
    kept = Checkpoint(request.checkpoint, _key(bundle, data_sha256, places, plan))
    reached = kept.read()
    with TemporaryDirectory(prefix="offramp-features-") as room:
        began = time.perf_counter()
        features = _features(bundle, places, examples, Path(room), request.threads, steps)
        features_seconds = time.perf_counter() - began
        labels = np.zeros(len(features), np.int64) if features.labels is None else features.labels
        fitted = []
        for place in places:
            lesson = Lesson(place, features.pooled[place.exit], features.final, labels, learn, measure, target)
            fitting = Fitting(lesson, plan.schedule, reached.get(place.exit), time.perf_counter)
            _fit(fitting, place, plan.schedule, kept, steps)
            fitted.append((fitting, _learned(fitting, place)))
        rows = [_row(fitting, one, features, measure) for fitting, one in fitted]
        rows.append(_final_row(bundle, features, measure))
    facts = _facts(plan, data_sha256, rows, learn)
    trial = Trial(plan.schedule.seed, _proved_on(examples, measure), request.tolerance)
    proof = Proof(trial, request.samples, request.network, time.time)
    heads = [one for _, one in fitted]
    with steps("writing and proving", 1):
        root = write(bundle, heads, request.out, version=request.version, facts=facts, proof=proof)
    return Trained(root, rows, (len(learn), len(measure)), features_seconds)


def hash_of(examples: Examples) -> str:
    """SHA-256 of the samples as they are used, and of their labels."""
    digest = hashlib.sha256()
    for array in (*examples.items, *(() if examples.labels is None else (examples.labels,))):
        digest.update(f"{array.dtype} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _key(bundle: Bundle, data_sha256: str, places: Sequence[Place], plan: Plan) -> str:
    return sha256_of(canonical_json([bundle.id, data_sha256, [place.exit for place in places], asdict(plan)]))


def _features(
    bundle: Bundle, places: Sequence[Place], examples: Examples, room: Path, threads: int, steps: Steps
) -> Features:
    backend, threads = OnnxRuntimeBackend(), threads or os.cpu_count() or 1
    chain = Chain(bundle, backend, threads=threads)
    poolings = [Pooling(place, bundle.manifest, backend, threads) for place in places]
    wider = replace(examples, rows=ROWS) if examples.rows > 1 else examples
    with steps("hidden states", len(examples)) as done:
        return features_of(chain, poolings, wider, room, done)


def _fit(fitting: Fitting, place: Place, schedule: Schedule, kept: Checkpoint, steps: Steps) -> None:
    with steps(f"exit {place.exit}", schedule.epochs) as done:
        done(fitting.progress.epoch)
        while not fitting.progress.done:
            fitting.epoch()
            kept.write(place.exit, fitting.progress)
            done(1)


def _learned(fitting: Fitting, place: Place) -> Learned:
    parameters = fitting.answer()
    return Learned(place, parameters, partial(torch_logits, place.head, parameters))


def _row(fitting: Fitting, learned: Learned, features: Features, measure: Rows) -> ExitRow:
    number, progress = learned.place.exit, fitting.progress
    said = learned.logits(features.pooled[number][measure]).argmax(1)
    labels = None if features.labels is None else features.labels[measure]
    return ExitRow(
        exit=number,
        features=learned.place.features,
        accuracy_before=None if labels is None else float((features.before[number][measure] == labels).mean()),
        accuracy_after=None if labels is None else float((said == labels).mean()),
        agreement=float((said == features.final[measure].argmax(1)).mean()),
        epochs=(progress.best_epoch, progress.epoch),
        loss=progress.best_loss,
        seconds=progress.seconds,
    )


def _final_row(bundle: Bundle, features: Features, measure: Rows) -> ExitRow:
    right = None
    if features.labels is not None:
        right = float((features.final[measure].argmax(1) == features.labels[measure]).mean())
    return ExitRow(bundle.manifest.exits, 0, right, right, 1.0, (0, 0), None, 0.0)


def _facts(plan: Plan, data_sha256: str, rows: Sequence[ExitRow], learn: Rows) -> dict[str, str]:
    """For the manifest's `source`; texts, as that has nothing else."""
    facts = {
        "training": "separate",
        "training_head": plan.head,
        "training_target": plan.target,
        "training_data_sha256": data_sha256,
        "training_samples": str(len(learn)),
        "training_seed": str(plan.schedule.seed),
        "training_epochs": ",".join(str(row.epochs[0]) for row in rows[:-1]),
    }
    if plan.target == "distilled":
        facts |= {"training_temperature": str(plan.softness.temperature), "training_mix": str(plan.softness.mix)}
    return facts


def _proved_on(examples: Examples, measure: Rows) -> list[np.ndarray]:
    """A few samples as the tensors of cut 0: one batch, so that texts are as long as each other."""
    picked = tuple(item[measure[:PROVED_ON]] for item in examples.items)
    chosen = replace(examples, items=picked, labels=None, rows=PROVED_ON)
    return [np.concatenate(column) for column in zip(*chosen.batches(), strict=True)]
