"""The certificate of a bundle whose heads were trained, where the network itself is not at hand.

Nothing is carried over from the old certificate.  Three questions are put to the files as they were written:
are segments and kept heads, run as a chain, what the old bundle's chain is; does every new head make of the
hidden states what torch makes of them; and does it do so at every optimisation level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from partitioner.chain import Chain, Passage
from partitioner.comparison import DEPLOYED, LEVELS, Comparison, Level, cut_entry, tensor_entry
from partitioner.heads.trainable import Parameters, Values
from partitioner.train.features import Pooling
from partitioner.train.pieces import Place
from partitioner.verify import FORMAT, Trial, random_feeds, real_feeds, sizes_to_prove, versions
from split_core.backends.base import Session
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.errors import BackendError, CertificateError
from split_core.tensors import Array

AS_TORCH = 1e-4  # of the greatest logit, at least of 1: float32 sums in another order


@dataclass(frozen=True)
class Learned:
    """A trained head.

    Attributes:
        place: where.
        parameters: for features as they are.
        logits: what torch makes of features (N, F): (N, C).
    """

    place: Place
    parameters: Parameters
    logits: Callable[[Values], Values]


@dataclass
class Found:
    """What a comparison gave: by level and tensor, and of every new head against torch."""

    levels: dict[str, Level] = field(default_factory=dict)
    torch: dict[int, Comparison] = field(default_factory=dict)


def prove(
    written: Bundle, old: Bundle, learned: Sequence[Learned], trial: Trial, clock: Callable[[], float]
) -> dict[str, Any]:
    """The certificate, as JSON types; `against` says what the pieces were compared with.

    Args:
        written: the new bundle, as it was written.
        old: the bundle that was trained.
        learned: what was put into its place.
        trial: inputs and tolerance.
        clock: seconds since 1970.

    Raises:
        CertificateError: a segment is another file, or a comparison fails.
        BackendError: onnxruntime cannot run a piece.
    """
    started, manifest = clock(), written.manifest
    _check_segments(written, old)
    settings = sizes_to_prove(manifest)
    invented = random_feeds(manifest, settings, trial.seed)
    found = _compare(written, old, learned, [*invented, *real_feeds(manifest, trial.samples)])
    certificate = {
        "format": FORMAT,
        "bundle_id": manifest.id,
        "passed": _passed(found, trial.tolerance),
        "against": f"bundle {old.id}; new heads: torch, and themselves unoptimised",
        "backend": OnnxRuntimeBackend.name,
        "precision": "as exported",
        "tolerance": trial.tolerance,
        "seed": trial.seed,
        "sizes": settings,
        "random_samples": sum(len(feed[0]) for feed in invented),
        "real_samples": len(trial.samples[0]) if trial.samples else 0,
        "refused_levels": {name: level.refused for name, level in found.levels.items() if level.refused},
        "cuts": [cut_entry(found.levels, k, cut) for k, cut in enumerate(manifest.cuts[1:], 1)],
        "exits": [{"exit": k} | tensor_entry(found.levels, name) for k, name in enumerate(_exits(written), 1)],
        "outputs": [],
        "heads": heads_entries(found.torch),
        "notes": [],
        "versions": versions(),
        "made_at": datetime.fromtimestamp(started, timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(clock() - started, 3),
    }
    if not certificate["passed"]:
        raise CertificateError(f"{manifest.name}: {_failure(found, trial.tolerance)}; nothing was written")
    return certificate


def heads_entries(torch: Mapping[int, Comparison]) -> list[dict[str, Any]]:
    """How far each new head, unoptimised, is from torch."""
    return [
        {"exit": number, "torch_max_difference": one.difference, "scale": one.scale, "tolerance": AS_TORCH}
        for number, one in torch.items()
    ]


def against_torch(written: Bundle, learned: Sequence[Learned], feeds: Sequence[list[Array]]) -> dict[int, Comparison]:
    """Every new head, unoptimised, against torch on the same hidden states.

    Raises:
        CertificateError: one is off.
    """
    off = OnnxRuntimeBackend("off")
    chain, found = Chain(written, off, threads=1), {one.place.exit: Comparison() for one in learned}
    poolings = [Pooling(one.place, written.manifest, off, 1) for one in learned]
    for feed in feeds:
        passage = chain.run(feed)
        for one, pooling in zip(learned, poolings, strict=True):
            made = passage.logits[one.place.exit - 1]
            found[one.place.exit].add(one.logits(pooling.run(passage.cuts)).astype(made.dtype), made)
    for number, comparison in found.items():
        if not comparison.within(AS_TORCH):
            raise CertificateError(
                f"exit {number}: onnxruntime is off torch by {comparison.difference:.1e}, expected at most "
                f"{AS_TORCH:g} of {comparison.scale:.1f}; nothing was written"
            )
    return found


def _check_segments(written: Bundle, old: Bundle) -> None:
    for new, before in zip(written.manifest.segments, old.manifest.segments, strict=True):
        if new != before:
            raise CertificateError(f"{new.file}: is not the segment of bundle {old.id[:12]}; nothing was written")


def _exits(bundle: Bundle) -> list[str]:
    return [*(piece.outputs[0] for piece in bundle.manifest.heads), bundle.manifest.outputs[0].name]


def _compare(written: Bundle, old: Bundle, learned: Sequence[Learned], feeds: list[list[Array]]) -> Found:
    off = OnnxRuntimeBackend("off")
    pieces = {one.place.exit: written.manifest.heads[one.place.exit - 1] for one in learned}
    plain = {number: written.session(piece, off, threads=1) for number, piece in pieces.items()}
    levels = {name: _level(name, written, old, plain, feeds) for name in LEVELS}
    return Found(levels, against_torch(written, learned, feeds))


def _level(name: str, written: Bundle, old: Bundle, plain: Mapping[int, Session], feeds: list[list[Array]]) -> Level:
    """Both chains at one level; of an exit with a new head, that head unoptimised beside it as it is here."""
    backend, result = OnnxRuntimeBackend(name), Level()
    try:
        before, after = (Chain(bundle, backend, threads=1) for bundle in (old, written))
    except BackendError as error:
        if name in ("off", DEPLOYED):
            raise
        return Level(refused=str(error))
    hidden = [[tensor.name for tensor in cut.tensors] for cut in written.manifest.cuts]
    for feed in feeds:
        was, now = before.run(feed), after.run(feed)
        for names, whole, part in zip(hidden[1:], was.cuts[1:], now.cuts[1:], strict=True):
            for tensor, value, made in zip(names, whole, part, strict=True):
                result.add(tensor, value, made)
        for number, tensor in enumerate(_exits(written), 1):
            result.add(tensor, _expected(number, was, plain, hidden), now.logits[number - 1])
    return result


def _expected(number: int, was: Passage, plain: Mapping[int, Session], hidden: list[list[str]]) -> Array:
    head = plain.get(number)
    if head is None:
        return was.logits[number - 1]
    return head.run([was.cuts[number][hidden[number].index(name)] for name in head.inputs])[0]


def _passed(found: Found, tolerance: float) -> bool:
    exact = all(one.equal for one in found.levels["off"].tensors.values())
    return exact and all(one.within(tolerance) for one in found.levels[DEPLOYED].tensors.values())


def _failure(found: Found, tolerance: float) -> str:
    unequal = [name for name, one in found.levels["off"].tensors.items() if not one.equal]
    if unequal:
        return f"{', '.join(unequal)}: NOT bit-equal with optimisation off"
    name, one = max(found.levels[DEPLOYED].tensors.items(), key=lambda item: item[1].difference / item[1].scale)
    return f"{name}: off by {one.difference:.1e} as deployed, tolerance {tolerance:g} of {one.scale:.1f}"
