"""The certificate: proof that the pieces of a bundle are the whole network.

Two questions, two answers.  Is the cut right?  Then every chain of pieces equals the whole bit by bit
with graph optimisation off.  Is the deployment right?  Optimisers fuse across what is now a border, so
there the greatest difference is measured and held against a stated tolerance.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from partitioner.chain import Chain, Passage
from partitioner.cut import whole_with
from partitioner.network import Network
from split_core.backends.base import Session
from split_core.backends.onnxruntime import OPTIMISATION, OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.errors import BackendError
from split_core.manifest import Cut, Manifest
from split_core.tensors import Array, TensorSpec

FORMAT = 2
BATCHES = (1, 4)
REPEATS = 4  # random batches of each size
TOLERANCE = 1e-4  # of the greatest logit, at least of 1; float32 reordering gives about 1e-6
COARSE_TOLERANCE = 1 / 32  # a few steps of 8 bits
QUANTISERS = ("QuantizeLinear", "DynamicQuantizeLinear")
LEVELS = tuple(OPTIMISATION)  # "off" first, "all" last: as deployed
DEPLOYED = LEVELS[-1]


@dataclass
class Comparison:
    """One tensor of the chain against the same tensor of the whole, over all batches so far.

    Attributes:
        equal: bit-equal everywhere.
        difference: greatest absolute difference; +inf for shapes that differ or NaN against a number.
        scale: greatest absolute value of the whole's tensor, at least 1.
        agree, rows: rows whose largest entry is at the same place, of how many.
    """

    equal: bool = True
    difference: float = 0.0
    scale: float = 1.0
    agree: int = 0
    rows: int = 0

    def add(self, whole: Array, part: Array) -> None:
        """Take in one batch."""
        self.rows += len(whole)
        if whole.shape != part.shape or whole.dtype != part.dtype:
            self.equal, self.difference = False, float("inf")
            return
        self.equal = self.equal and whole.tobytes() == part.tobytes()
        if whole.tobytes() != part.tobytes():
            gap = np.abs(whole.astype(np.float64) - part.astype(np.float64))
            self.difference = max(self.difference, float("inf") if np.isnan(gap).any() else float(gap.max()))
        self.scale = max(self.scale, float(np.abs(np.nan_to_num(whole.astype(np.float64))).max(initial=0.0)))
        flat_whole, flat_part = whole.reshape(len(whole), -1), part.reshape(len(part), -1)
        self.agree += int((flat_whole.argmax(1) == flat_part.argmax(1)).sum())

    def within(self, tolerance: float) -> bool:
        """Is the greatest difference at most `tolerance` of the scale?"""
        return self.difference <= tolerance * self.scale


@dataclass
class Level:
    """All comparisons at one optimisation level, by tensor name.

    `refused` is what onnxruntime said when it could not load the network or a piece at this level.
    """

    tensors: dict[str, Comparison] = field(default_factory=dict)
    refused: str | None = None

    def add(self, name: str, whole: Array, part: Array) -> None:
        """Take in one batch of one tensor."""
        self.tensors.setdefault(name, Comparison()).add(whole, part)


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
    invented = _random_feeds(manifest, settings, trial.seed)
    feeds = [*invented, *_real_feeds(manifest, trial.samples)]
    levels = {name: _compare(name, network, bundle, feeds) for name in LEVELS}
    tolerance = _tolerance(network, trial.tolerance)
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
        "cuts": [_cut_entry(levels, k, cut) for k, cut in enumerate(manifest.cuts[1:], 1)],
        "exits": [{"exit": k} | _tensor_entry(levels, name) for k, name in enumerate(network.exits, 1)],
        "outputs": [_tensor_entry(levels, name) for name in answers],
        "notes": list(network.notes),
        "versions": _versions(),
        "made_at": datetime.fromtimestamp(started, timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(clock() - started, 3),
    }


def _tolerance(network: Network, asked: float) -> float:
    """More than was asked for where the network itself rounds to 8 or 16 bits, which turns 1e-7 into a whole step."""
    quantised = any(node.op_type in QUANTISERS for node in network.flow.nodes)
    halves = {TensorProto.FLOAT16, TensorProto.BFLOAT16} & set(network.types.values())
    return max(asked, COARSE_TOLERANCE) if quantised or halves else asked


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


def _whole(
    network: Network, names: list[str], halves: list[str], backend: OnnxRuntimeBackend, level: Level
) -> Session:
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


def _random_feeds(manifest: Manifest, settings: list[dict[str, int]], seed: int) -> list[list[Array]]:
    rng = np.random.default_rng(seed)
    specs = [tensor.spec for tensor in manifest.cuts[0].tensors]
    return [[noise(spec, sizes, rng) for spec in specs] for sizes in settings for _ in range(REPEATS)]


def noise(spec: TensorSpec, sizes: dict[str, int], rng: np.random.Generator) -> Array:
    """Normal for floats; zeros and ones for integers, which are valid indices of anything."""
    shape, dtype = spec.sized(sizes, sizes["batch"]), np.dtype(spec.dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def _real_feeds(manifest: Manifest, samples: Sequence[Array]) -> list[list[Array]]:
    """The samples in batches of each size in turn, every sample once per size."""
    return [
        [array[start : start + batch] for array in samples]
        for batch in {sizes["batch"]: None for sizes in sizes_to_prove(manifest)}
        for start in range(0, _rows(samples), batch)
    ]


def _rows(samples: Sequence[Array]) -> int:
    return len(samples[0]) if samples else 0


def _cut_entry(levels: dict[str, Level], k: int, cut: Cut) -> dict[str, Any]:
    """The worst of a cut's tensors; an input of the network that is handed through needs no proof."""
    names = [tensor.name for tensor in cut.tensors]
    entries = [_tensor_entry(levels, name) for name in names if name in levels["off"].tensors]
    exact = [entry["highest_exact_level"] for entry in entries]
    differences = [entry["deployed_max_difference"] for entry in entries]
    return {
        "cut": k,
        "block": cut.block,
        "tensors": names,
        "bit_equal_off": all(entry["bit_equal_off"] for entry in entries),
        "highest_exact_level": None if None in exact else min(exact, key=LEVELS.index),
        "deployed_max_difference": None if None in differences else max(differences),
    }


def _tensor_entry(levels: dict[str, Level], name: str) -> dict[str, Any]:
    deployed = levels[DEPLOYED].tensors[name]
    return {
        "tensor": name,
        "bit_equal_off": levels["off"].tensors[name].equal,
        "highest_exact_level": _highest_exact(levels, name),
        "deployed_max_difference": deployed.difference if np.isfinite(deployed.difference) else None,
        "deployed_scale": deployed.scale,
        "deployed_label_agreement": deployed.agree / deployed.rows,
    }


def _highest_exact(levels: dict[str, Level], name: str) -> str | None:
    """The last level up to which all are bit-equal; None when not even the first is."""
    highest = None
    for level in LEVELS:
        if levels[level].refused or not levels[level].tensors[name].equal:
            break
        highest = level
    return highest


def _versions() -> dict[str, str]:
    return {
        "onnxruntime": OnnxRuntimeBackend.version,
        "onnx": onnx.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def failure(certificate: dict[str, Any]) -> str:
    """Why a certificate did not pass, in one line."""
    entries = [(f"cut {entry['cut']} ({' + '.join(entry['tensors'])})", entry) for entry in certificate["cuts"]]
    entries += [(f"exit {entry['exit']}", entry) for entry in certificate["exits"]]
    entries += [(f"output {entry['tensor']}", entry) for entry in certificate["outputs"]]
    unequal = [name for name, entry in entries if not entry["bit_equal_off"]]
    if unequal:
        return f"{', '.join(unequal)}: NOT bit-equal with optimisation off"
    gaps = [(entry["deployed_max_difference"], name) for name, entry in entries]
    gap, name = max((float("inf") if gap is None else gap, name) for gap, name in gaps)
    return f"{name}: off by {gap:.1e} as deployed, tolerance {certificate['tolerance']:g}; see --tolerance"


def summary(certificate: dict[str, Any]) -> list[str]:
    """The certificate in words, one line per exit or output and a verdict."""
    verdict = "passed" if certificate["passed"] else "NOT passed"
    return [
        *(_line(f"exit {entry['exit']}", entry) for entry in certificate["exits"]),
        *(_line(f"output {entry['tensor']}", entry) for entry in certificate["outputs"]),
        f"certificate {verdict}: {certificate['random_samples']} random and {certificate['real_samples']} real inputs, "
        f"{_sizes(certificate['sizes'])}, tolerance {certificate['tolerance']:g}, {certificate['seconds']:.1f} s",
    ]


def _sizes(settings: list[dict[str, int]]) -> str:
    """`batch 1 and 4, sequence 16 and 24`."""
    seen = {name: [*dict.fromkeys(sizes[name] for sizes in settings)] for name in settings[0]}
    return ", ".join(f"{name} {' and '.join(map(str, sizes))}" for name, sizes in seen.items())


def _line(name: str, entry: dict[str, Any]) -> str:
    exact = f"bit-equal up to '{entry['highest_exact_level']}'" if entry["bit_equal_off"] else "NOT bit-equal"
    difference, agreement = entry["deployed_max_difference"], entry["deployed_label_agreement"]
    gap = "unbounded" if difference is None else f"{difference:.1e}"
    return f"{name}: {exact}; as deployed within {gap}, labels agree on {agreement:.2%}"
