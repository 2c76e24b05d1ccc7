"""Which other precisions a bundle shall have, and the samples that they are made and measured with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partitioner.examples import Examples, invented, read_examples, rows_of
from partitioner.precision.convert import Converted, converted
from partitioner.precision.measure import FLOOR, broken, measure
from split_core.bundle import Bundle, Manifest
from split_core.errors import CertificateError
from split_core.tensors import Array

SAMPLES = 500  # read at most
CALIBRATION = 64  # of them at most: the range of an activation is known after a few dozen
INVENTED = 16


@dataclass(frozen=True)
class Rounding:
    """What is asked for.

    Attributes:
        names: of `PRECISIONS`.
        samples: file or folder as `read_examples` takes it; None where no precision needs any.
    """

    names: tuple[str, ...] = ()
    samples: Path | None = None


NO_ROUNDING = Rounding()


@dataclass(frozen=True)
class Rounded:
    """Other precisions of a bundle that is not written yet.

    Attributes:
        converted: pieces and manifest.
        examples: to measure with, apart from those of the calibration where there are enough.
        facts: for the certificate's entries.
    """

    converted: Converted
    examples: Examples
    facts: Mapping[str, Mapping[str, Any]]

    @property
    def notes(self) -> list[str]:
        """What a user should know, a line each."""
        kept = self.converted.kept.items()
        return [f"{name}: {file} stays as exported: {why}" for name, files in kept for file, why in files.items()]


def rounded(bundle: Bundle, rounding: Rounding, seed: int) -> Rounded:
    """Make the precisions of `rounding` of a bundle that need not be certified or on disk.

    Raises:
        ConfigError: a precision needs samples and there are none, or the weights are outside of the pieces.
        DataError: the samples are not of this network.
        ModelError: nothing in the network can be converted.
    """
    if rounding.samples is None:
        made = converted(bundle, rounding.names, [])
        return Rounded(made, invented(bundle.manifest, INVENTED, seed), {})
    examples = read_examples(rounding.samples, bundle.manifest, SAMPLES)
    # A quarter calibrates and the rest measures; of a handful all do both, and the certificate says so.
    count = min(CALIBRATION, max(1, len(examples) // 4))
    held_out = len(examples) >= 8
    calibration = examples.part(slice(0, count if held_out else None))
    made = converted(bundle, rounding.names, list(calibration.batches()))
    facts = {"calibration_samples": len(calibration), "measured_apart": held_out}
    others = examples.part(slice(count, None)) if held_out else examples
    return Rounded(made, others, {name: facts for name in rounding.names})


def judged(
    bundle: Bundle, examples: Examples, facts: Mapping[str, Mapping[str, Any]], clock: Callable[[], float]
) -> dict[str, dict[str, Any]]:
    """The certificate's `precisions`.

    Raises:
        CertificateError: one of them is broken.
        BackendError: onnxruntime cannot run a piece.
    """
    entries = measure(bundle, examples, clock)
    for name, entry in entries.items():
        if (why := broken(entry)) is not None:
            raise CertificateError(
                f"{bundle.manifest.name}: precision {name!r} is broken, nothing was written: {why} (at least {FLOOR:g} "
                "is expected); give samples of the kind that the network knows, or leave this precision out"
            )
    return {name: {**facts.get(name, {}), **entry} for name, entry in entries.items()}


def examples_of(manifest: Manifest, samples: Sequence[Array], labels: Array | None, seed: int) -> Examples:
    """Samples of a trial as examples; noise where there are none."""
    if not samples:
        return invented(manifest, INVENTED, seed)
    return Examples(tuple(samples), labels, None, rows_of(manifest))
