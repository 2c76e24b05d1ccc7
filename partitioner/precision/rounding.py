"""Which other precisions a bundle shall have, and the samples that they are made and measured with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partitioner.examples import Examples, examples_of, invented, rows_of
from partitioner.precision.convert import converted
from partitioner.precision.measure import broken, measure
from partitioner.verify import Trial
from split_core.bundle import Bundle
from split_core.errors import CertificateError
from split_core.manifest import Manifest

SAMPLES = 500  # read at most
CALIBRATION = 64  # of them at most, and a quarter: the range of an activation is known after a few dozen
APART = 8  # of fewer samples all calibrate and all measure, and the certificate says so
INVENTED = 16


@dataclass(frozen=True)
class Rounding:
    """What is asked for.

    Attributes:
        names: of `PRECISIONS`.
        samples: file or folder as `examples_of` takes it; None where no precision needs any.
    """

    names: tuple[str, ...] = ()
    samples: Path | None = None


NO_ROUNDING = Rounding()


@dataclass(frozen=True)
class Rounded:
    """A bundle with other precisions that is not written yet.

    Attributes:
        manifest: with them.
        contents: the new pieces, by file name.
        examples: to measure with, apart from those of the calibration where there are enough.
        facts: how the pieces were calibrated, for the certificate's entries.
        notes: what a user should know, a line each.
    """

    manifest: Manifest
    contents: Mapping[str, bytes]
    examples: Examples
    facts: Mapping[str, Any]
    notes: Sequence[str] = ()


def rounded(bundle: Bundle, rounding: Rounding, seed: int) -> Rounded:
    """Make the precisions of `rounding` of a bundle that need not be certified or on disk.

    Raises:
        ConfigError: a precision needs samples and there are none, or the weights are outside of the pieces.
        DataError: the samples are not of this network.
        ModelError: nothing in the network can be converted.
        BackendError: onnxruntime cannot run a piece.
    """
    if rounding.samples is None:
        return _rounded(bundle, rounding.names, None, invented(bundle.manifest, INVENTED, seed))
    examples = examples_of(rounding.samples, bundle, SAMPLES)
    if len(examples) < APART:
        return _rounded(bundle, rounding.names, examples, examples)
    count = min(CALIBRATION, len(examples) // 4)
    return _rounded(bundle, rounding.names, examples.part(slice(0, count)), examples.part(slice(count, None)))


def _rounded(bundle: Bundle, names: Sequence[str], calibration: Examples | None, examples: Examples) -> Rounded:
    made = converted(bundle, names, list(calibration.batches()) if calibration else [])
    facts = {
        "calibration_samples": len(calibration) if calibration else 0,
        "measured_apart": examples is not calibration,
    }
    kept = made.kept.items()
    notes = [f"{name}: {file} stays as exported: {why}" for name, files in kept for file, why in files.items()]
    return Rounded(made.manifest, made.contents, examples, facts, notes)


def rounded_before(manifest: Manifest, trial: Trial) -> Rounded:
    """The precisions that a bundle has already, to be measured with the samples of `trial`, else with noise."""
    if not trial.samples:
        return Rounded(manifest, {}, invented(manifest, INVENTED, trial.seed), {})
    return Rounded(manifest, {}, Examples(tuple(trial.samples), trial.labels, None, rows_of(manifest)), {})


def judged(bundle: Bundle, made: Rounded, clock: Callable[[], float]) -> dict[str, dict[str, Any]]:
    """The certificate's `precisions`.

    Raises:
        CertificateError: one of them is broken.
        BackendError: onnxruntime cannot run a piece.
    """
    entries = measure(bundle, made.examples, clock)
    for name, entry in entries.items():
        if (why := broken(entry)) is not None:
            raise CertificateError(
                f"{bundle.manifest.name}: precision {name!r} is broken, nothing was written: {why}; "
                f"give samples of the kind that the network knows, or leave it out"
            )
    return {name: {**made.facts, **entry} for name, entry in entries.items()}
