"""What another precision costs in answers, and saves in bytes and time: the certificate's `precisions`.

Every chain runs with onnxruntime on this machine, whatever engine its pieces are meant for; the entry says so.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partitioner.chain import Chain, Passage
from partitioner.examples import Examples
from partitioner.precision import PRECISIONS
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.manifest import Manifest
from split_core.tensors import Array

# Below these a precision is broken and not merely coarse.
AGREEMENT_FLOOR = 0.5  # of labels, where the cosine is low as well
SURE_COSINE = 0.9  # the labels of an untrained network hang on a hair: 40 % agree at a cosine of 0.97
COSINE_FLOOR = 0.5  # of outputs that name no class, and where there are no samples
WARM_UPS, ROUNDS, LEAST_ROUNDS, LONGEST_S = 2, 20, 5, 1.0  # of the timing


@dataclass
class Gap:
    """One tensor in another precision against the same as exported, over all batches so far.

    Attributes:
        difference: greatest absolute difference; NaN when either has one.
        dot, squares: for the cosine.
        rows, agree: samples, and those whose largest entry is at the same place.
        right, right_exported: samples whose largest entry is at the label.
    """

    difference: float = 0.0
    dot: float = 0.0
    squares: list[float] = field(default_factory=lambda: [0.0, 0.0])
    rows: int = 0
    agree: int = 0
    right: int = 0
    right_exported: int = 0

    def add(self, exported: Array, made: Array, labels: NDArray[np.int64] | None = None) -> None:
        """Take in one batch."""
        a, b = (array.reshape(len(array), -1).astype(np.float64) for array in (exported, made))
        # Through numpy: Python's max would lose a NaN.
        self.difference = float(np.maximum(self.difference, np.abs(a - b).max(initial=0.0)))
        self.dot += float((a * b).sum())
        self.squares = [self.squares[0] + float((a * a).sum()), self.squares[1] + float((b * b).sum())]
        said, told = a.argmax(1), b.argmax(1)
        self.rows += len(a)
        self.agree += int((said == told).sum())
        if labels is not None:
            self.right_exported += int((said == labels).sum())
            self.right += int((told == labels).sum())

    @property
    def cosine(self) -> float | None:
        """Of all values together; 1 when both are zero, None when it is not a number."""
        if not any(self.squares):
            return 1.0
        norm = float(np.sqrt(self.squares[0] * self.squares[1]))
        found = self.dot / norm if norm else 0.0
        return found if np.isfinite(found) else None

    def facts(self) -> dict[str, Any]:
        """As JSON types."""
        difference = self.difference if np.isfinite(self.difference) else None
        return {"max_difference": difference, "cosine": self.cosine}


@dataclass
class _Gaps:
    """All tensors of one precision."""

    cuts: dict[int, list[Gap]]
    exits: list[Gap]
    outputs: list[Gap]

    def add(self, exported: Passage, made: Passage, labels: NDArray[np.int64] | None) -> None:
        for k, gaps in self.cuts.items():
            for gap, a, b in zip(gaps, exported.cuts[k], made.cuts[k], strict=True):
                gap.add(a, b)
        for gap, a, b in zip(self.exits, exported.logits, made.logits, strict=True):
            gap.add(a, b, labels)
        for gap, a, b in zip(self.outputs, exported.outputs, made.outputs, strict=True):
            gap.add(a, b)


def measure(bundle: Bundle, examples: Examples, clock: Callable[[], float]) -> dict[str, dict[str, Any]]:
    """Every precision of a bundle against its pieces as exported.

    Args:
        bundle: as written, certified or not.
        examples: to run; should not be those that the pieces were calibrated with.
        clock: seconds.

    Returns:
        An entry of JSON types per precision.

    Raises:
        BackendError: onnxruntime cannot run a piece.
    """
    manifest, backend = bundle.manifest, OnnxRuntimeBackend()
    chains = {name: Chain(bundle, backend, threads=1, precision=name) for name in ("", *manifest.precisions)}
    gaps = {name: _fresh(manifest) for name in manifest.precisions}
    for number, batch in enumerate(examples.batches()):
        labels = examples.labels
        part = None if labels is None else labels[number * examples.rows : (number + 1) * examples.rows]
        exported = chains[""].run(batch)
        for name, found in gaps.items():
            found.add(exported, chains[name].run(batch), part)
    took_ms = _median_ms(chains, next(iter(examples.part(slice(0, 1)).batches())), clock)
    return {name: _entry(manifest, name, found, examples, took_ms) for name, found in gaps.items()}


def _fresh(manifest: Manifest) -> _Gaps:
    return _Gaps(
        {cut.index: [Gap() for _ in cut.tensors] for cut in manifest.cuts[1:]},
        [Gap() for _ in range(manifest.exits if manifest.labels is not None else 0)],
        [Gap() for _ in manifest.outputs],
    )


def _entry(
    manifest: Manifest, name: str, gaps: _Gaps, examples: Examples, took_ms: Mapping[str, float]
) -> dict[str, Any]:
    exported, pieces = manifest.pieces(), manifest.pieces(name)
    backend = PRECISIONS.load(name).backend if name in PRECISIONS else OnnxRuntimeBackend.name
    trained = [*(head.trained for head in manifest.heads), True]
    return {
        "for_backend": backend,
        "measured_with": OnnxRuntimeBackend.name,
        "engine_run": backend == OnnxRuntimeBackend.name,
        "samples": len(examples),
        "real_samples": examples.real,
        "cuts": [{"cut": k} | _worst(found) for k, found in gaps.cuts.items()],
        "exits": [
            {"exit": k, "trained": known} | gap.facts() | _labels(gap, examples, known=known)
            for k, (gap, known) in enumerate(zip(gaps.exits, trained, strict=False), 1)
        ],
        # The first output of a classifier is its last exit.
        "outputs": [
            {"tensor": spec.name} | gap.facts()
            for spec, gap in islice(zip(manifest.outputs, gaps.outputs, strict=True), 1 if gaps.exits else 0, None)
        ],
        "kept_as_exported": [piece.file for piece in pieces if piece in exported],
        "bytes": sum(piece.bytes for piece in pieces),
        "bytes_exported": sum(piece.bytes for piece in exported),
        "median_ms": took_ms[name],
        "median_ms_exported": took_ms[""],
    }


def _worst(found: Sequence[Gap]) -> dict[str, Any]:
    """Of the tensors of one cut."""
    facts = [gap.facts() for gap in found]
    return {
        key: None if any(fact[key] is None for fact in facts) else choose(fact[key] for fact in facts)
        for key, choose in (("max_difference", max), ("cosine", min))
    }


def _labels(gap: Gap, examples: Examples, *, known: bool) -> dict[str, Any]:
    """Shares of the samples; no agreement for a head that gives every class the same."""
    named = examples.labels is not None
    return {
        "label_agreement": gap.agree / gap.rows if known else None,
        "accuracy": gap.right / gap.rows if named else None,
        "accuracy_exported": gap.right_exported / gap.rows if named else None,
    }


def _median_ms(chains: Mapping[str, Chain], feed: list[Array], clock: Callable[[], float]) -> dict[str, float]:
    """One sample through all segments and heads, on one thread; the chains take turns."""
    taken: dict[str, list[float]] = {name: [] for name in chains}
    begun_s = clock()
    for done in range(WARM_UPS + ROUNDS):
        if done >= WARM_UPS + LEAST_ROUNDS and clock() - begun_s > LONGEST_S:
            break
        for name, chain in chains.items():
            started_s = clock()
            chain.run(feed)
            taken[name].append((clock() - started_s) * 1e3)
    return {name: round(statistics.median(times[WARM_UPS:]), 4) for name, times in taken.items()}


def broken(entry: Mapping[str, Any]) -> str | None:
    """What makes this precision unusable, in words; None when nothing does.

    That is a value that is not a number; labels that agree with those as exported on less than half of the
    samples, with logits of a cosine below 0.9; or, where there are no labels or no samples, a cosine below 0.5.
    """
    places = [
        *((f"exit {item['exit']}", item) for item in entry["exits"]),
        *((f"output {item['tensor']}", item) for item in entry["outputs"]),
    ]
    for place, item in places:
        if item["max_difference"] is None or item["cosine"] is None:
            return f"{place} is not a number"
        agreement = item.get("label_agreement") if entry["real_samples"] else None
        if agreement is not None and agreement < AGREEMENT_FLOOR and item["cosine"] < SURE_COSINE:
            return (
                f"labels of {place} agree with those as exported on {agreement:.0%} of {entry['samples']} samples, "
                f"at least {AGREEMENT_FLOOR:.0%} are expected"
            )
        if agreement is None and item["cosine"] < COSINE_FLOOR:
            return f"{place} has cosine {item['cosine']:.2f} to that as exported, at least {COSINE_FLOOR:g} is expected"
    return None
