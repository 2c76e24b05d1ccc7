"""The certificate: proof that the pieces of a bundle are the whole network.

Two questions, two answers.  Is the cut right?  Then every chain of pieces equals the whole bit by bit
with graph optimisation off.  Is the deployment right?  Optimisers fuse across what is now a border, so
there the greatest difference is measured and held against a stated tolerance.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from partitioner.chain import Chain, Passage
from partitioner.comparison import DEPLOYED, LEVELS, Level, cut_entry, tensor_entry
from partitioner.cut import whole_with
from partitioner.network import Network
from partitioner.noise import noise
from split_core.backends.base import Session
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.errors import BackendError
from split_core.manifest import Manifest
from split_core.tensors import Array

FORMAT = 2
BATCHES = (1, 4)
REPEATS = 4  # random batches of each size
TOLERANCE = 1e-4  # of the greatest logit, at least of 1; float32 reordering gives about 1e-6


@dataclass(frozen=True)
class Trial:
    """On what a proof is made.

    Attributes:
        seed: of the random inputs.
        samples: real inputs to compare on too: one array (N, ...) per network input.
        tolerance: greatest difference as deployed, as a share of the greatest value (at least of 1).
        labels: of the samples, (N,) classes, when they are known: other precisions are measured by them, too.
    """

    seed: int = 0
    samples: Sequence[Array] = ()
    tolerance: float = TOLERANCE
    labels: Array | None = None


def verify(network: Network, bundle: Bundle, trial: Trial, clock: Callable[[], float]) -> dict[str, Any]:
    """Compare every chain of pieces with the whole network, at every optimisation level.

    Args:
        network: the uncut network.
        bundle: its pieces, as they were written.
        trial: inputs and tolerance.
        clock: seconds since 1970; its difference is also the time that this took.

    Returns:
        The certificate, as JSON types.  `passed` is true when everything is bit-equal with optimisation
        off, and within the tolerance as deployed.

    Raises:
        BackendError: onnxruntime cannot run the network or one of its pieces.
    """
    started, manifest = clock(), bundle.manifest
    settings = sizes_to_prove(manifest)
    invented = random_feeds(manifest, settings, trial.seed)
    feeds = [*invented, *real_feeds(manifest, trial.samples)]
    levels = {name: _compare(name, network, bundle, feeds) for name in LEVELS}
    tolerance = max(trial.tolerance, network.coarseness)
    answers = [name for name in network.finals if name not in network.exits]
    return {
        "format": FORMAT,
        "bundle_id": manifest.id,
        "passed": _passed(levels, tolerance),
        "backend": OnnxRuntimeBackend.name,
        "precision": "as exported",
        "tolerance": tolerance,
        "seed": trial.seed,
        "sizes": settings,
        "random_samples": sum(len(feed[0]) for feed in invented),
        "real_samples": _rows(trial.samples),
        "refused_levels": {name: level.refused for name, level in levels.items() if level.refused},
        "cuts": [cut_entry(levels, k, cut) for k, cut in enumerate(manifest.cuts[1:], 1)],
        "exits": [{"exit": k} | tensor_entry(levels, name) for k, name in enumerate(network.exits, 1)],
        "outputs": [tensor_entry(levels, name) for name in answers],
        "notes": list(network.notes),
        "versions": versions(),
        "made_at": datetime.fromtimestamp(started, timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(clock() - started, 3),
    }


def _passed(levels: dict[str, Level], tolerance: float) -> bool:
    exact = all(comparison.equal for comparison in levels["off"].tensors.values())
    return exact and all(comparison.within(tolerance) for comparison in levels[DEPLOYED].tensors.values())


def sizes_to_prove(manifest: Manifest) -> list[dict[str, int]]:
    """Sizes at which pieces and whole are compared: one sample and several, and every axis at two lengths."""
    given = manifest.cuts[0].tensors
    batches = BATCHES if given[0].shape[0] is None else (1,)
    own = dict.fromkeys(dim for tensor in given for dim in tensor.shape if isinstance(dim, str))
    base = {name: manifest.axes[name][0] for name in own}
    settings = [{"batch": rows, **base} for rows in batches]
    return settings + [{**settings[-1], name: manifest.axes[name][1]} for name in own]


def _compare(level: str, network: Network, bundle: Bundle, feeds: list[list[Array]]) -> Level:
    """Chain against whole, at one level.

    Hidden states are compared with those of a whole that has them as outputs; exits and outputs with a
    whole that has only those: a hidden state that is an output would forbid just the fusions that a cut
    forbids.

    Optimisers have bugs: onnxruntime 1.32 breaks a valid graph in its MatMul-scale fusion.  A level at which
    the whole cannot be loaded is compared with the whole unoptimised; one at which a piece cannot be is
    not compared at all, and is fatal only where it is the one that is deployed.
    """
    backend, result, manifest = OnnxRuntimeBackend(level), Level(), bundle.manifest
    hidden = [tensor.name for cut in manifest.cuts[1:] for tensor in cut.tensors]
    hidden = [name for name in dict.fromkeys(hidden) if name not in network.flow.inputs]
    answers = [*dict.fromkeys((*network.exits, *network.finals))]
    try:
        chain = Chain(bundle, backend, threads=1)
    except BackendError as error:
        if level in ("off", DEPLOYED):
            raise
        return Level(refused=str(error))
    halves = [name for name in hidden if network.types[name] == TensorProto.FLOAT16]
    wholes = [(names, _whole(network, names, halves, backend, result)) for names in (answers, hidden) if names]
    for feed in feeds:
        made = _by_name(manifest, network, chain.run(feed))
        for names, whole in wholes:
            for name, value in zip(names, whole.run(feed), strict=True):
                result.add(name, value, made[name])
    return result


def _whole(network: Network, names: list[str], halves: list[str], backend: OnnxRuntimeBackend, level: Level) -> Session:
    """The uncut network at this level; unoptimised, and noted in `level`, where the optimiser breaks it."""
    model = whole_with(network, names, halves)
    try:
        return backend.load(model, threads=1, folder=network.folder)
    except BackendError as error:
        level.refused = str(error)
        return OnnxRuntimeBackend("off").load(model, threads=1, folder=network.folder)


def _by_name(manifest: Manifest, network: Network, passage: Passage) -> dict[str, Array]:
    """Hidden states, logits and outputs of one batch."""
    names = [tensor.name for cut in manifest.cuts for tensor in cut.tensors]
    values = [value for tensors in passage.cuts for value in tensors]
    exits = zip(network.exits, passage.logits, strict=True)
    return dict(zip(names, values, strict=True)) | dict(exits) | dict(zip(network.finals, passage.outputs, strict=True))


def random_feeds(manifest: Manifest, settings: list[dict[str, int]], seed: int) -> list[list[Array]]:
    """Noise, a few batches of each of the `settings` that `sizes_to_prove` gives."""
    rng = np.random.default_rng(seed)
    specs = [tensor.spec for tensor in manifest.cuts[0].tensors]
    return [[noise(spec, sizes, rng) for spec in specs] for sizes in settings for _ in range(REPEATS)]


def real_feeds(manifest: Manifest, samples: Sequence[Array]) -> list[list[Array]]:
    """The samples in batches of each size in turn, every sample once per size."""
    return [
        [array[start : start + batch] for array in samples]
        for batch in {sizes["batch"]: None for sizes in sizes_to_prove(manifest)}
        for start in range(0, _rows(samples), batch)
    ]


def _rows(samples: Sequence[Array]) -> int:
    return len(samples[0]) if samples else 0


def versions() -> dict[str, str]:
    """What proved."""
    return {
        "onnxruntime": OnnxRuntimeBackend.version,
        "onnx": onnx.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
