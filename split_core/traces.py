"""Traces: what every exit said about every sample, with labels.  Calibration and replay work on them."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from split_core.errors import TraceError, reason
from split_core.files import sha256_of, write_atomically
from split_core.readings import Reader
from split_core.shown import Shown, no_tokens
from split_core.tensors import Array

HIDDEN = "hidden_"  # and the number of the exit: an array's name in the file


@dataclass(frozen=True)
class Traces:
    """Readings of K exits for N samples.

    Attributes:
        confidence: (N, K) float64, calibrated if a policy was applied, else raw.
        prediction: (N, K) int64.
        labels: (N,) int64; -1 where unknown.
        logits: (N, K, C) float32, or an empty array when they were not kept.
        payload_bytes: (N, K) int64: what shipping after segment k costs for k = 0..K-1; column 0 is the
            compressed input.  Empty when it was not measured.
        bundle_id: the bundle that made it; empty for a published trace.
        hidden: for exits 1..K-1 what each reads, pooled, (N, D_k) float32; widths differ.  Empty when they were not
            kept: only some criteria need them.
        tokens: (N, T) int32 ids of each text's tokens, -1 behind the last; empty when they were not kept.
    """

    confidence: NDArray[np.float64]
    prediction: NDArray[np.int64]
    labels: NDArray[np.int64]
    logits: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))
    payload_bytes: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 0), np.int64))
    bundle_id: str = ""
    hidden: tuple[NDArray[np.float32], ...] = ()
    tokens: NDArray[np.int32] = field(default_factory=no_tokens)

    def __post_init__(self) -> None:
        shape = self.confidence.shape
        if len(shape) != 2 or self.prediction.shape != shape or self.labels.shape != shape[:1]:
            raise TraceError(
                f"expected confidence (N, K), prediction (N, K), labels (N,); got {shape}, "
                f"{self.prediction.shape}, {self.labels.shape}"
            )
        if self.logits.size and self.logits.shape[:2] != shape:
            raise TraceError(f"logits must be (N, K, C) with (N, K) = {shape}, got {self.logits.shape}")
        if self.payload_bytes.size and self.payload_bytes.shape != shape:
            raise TraceError(f"payload_bytes must be {shape}, got {self.payload_bytes.shape}")
        self._check_states(*shape)
        if not (np.isfinite(self.confidence).all() and (self.confidence >= 0).all() and (self.confidence <= 1).all()):
            raise TraceError("confidences must lie in [0, 1]")

    def _check_states(self, samples: int, exits: int) -> None:
        if self.hidden and len(self.hidden) != exits - 1:
            raise TraceError(f"expected hidden states of {exits - 1} exits, got {len(self.hidden)}")
        for exit, states in enumerate(self.hidden, 1):
            if states.ndim != 2 or len(states) != samples or states.dtype.kind != "f":
                raise TraceError(f"hidden_{exit} must be ({samples}, D) floats, got {states.dtype} {states.shape}")
        if self.tokens.size and (self.tokens.ndim != 2 or len(self.tokens) != samples):
            raise TraceError(f"tokens must be ({samples}, T), got {self.tokens.shape}")

    @property
    def samples(self) -> int:
        """N."""
        return int(self.confidence.shape[0])

    @property
    def exits(self) -> int:
        """K, the final exit included."""
        return int(self.confidence.shape[1])

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N, K): does exit k give the label?"""
        result: NDArray[np.bool_] = self.prediction == self.labels[:, None]
        return result

    @property
    def agrees(self) -> NDArray[np.bool_]:
        """(N, K): does exit k say what the full model says?"""
        result: NDArray[np.bool_] = self.prediction == self.prediction[:, -1:]
        return result

    @property
    def shown(self) -> Shown:
        """What a reader makes its readings of.

        Raises:
            TraceError: the trace kept no logits.
        """
        if not self.logits.size:
            raise TraceError("this trace kept no logits; record it again with 'offramp trace'")
        return Shown(self.logits, self.hidden, self.tokens)

    def rows(self, chosen: slice | NDArray[np.int64]) -> Traces:
        """The same trace for some samples only."""
        return Traces(
            self.confidence[chosen],
            self.prediction[chosen],
            self.labels[chosen],
            self.logits[chosen] if self.logits.size else self.logits,
            self.payload_bytes[chosen] if self.payload_bytes.size else self.payload_bytes,
            self.bundle_id,
            tuple(states[chosen] for states in self.hidden),
            self.tokens[chosen] if self.tokens.size else self.tokens,
        )

    def read_with(self, reader: Reader) -> Traces:
        """The same trace with confidences and predictions as `reader` makes them from what was kept.

        Raises:
            TraceError: the trace kept no logits or has another number of exits, or the criterion needs
                hidden states or tokens, which it did not keep.
        """
        shown = self.shown
        if reader.exits != self.exits:
            raise TraceError(f"the policy has {reader.exits} exits, the trace {self.exits}")
        readings = list(shown.read(reader))
        confidence = np.array([[r.confidence for r in row] for row in readings], np.float64)
        prediction = np.array([[r.label for r in row] for row in readings], np.int64)
        return replace(self, confidence=confidence, prediction=prediction)

    def digest(self) -> str:
        """Hash of the labels and predictions: names the data that a policy was calibrated on."""
        return sha256_of(self.labels.tobytes() + self.prediction.tobytes())


def save(traces: Traces, path: Path) -> None:
    """Write as compressed `.npz`, atomically."""
    buffer = io.BytesIO()
    plain = {f.name: getattr(traces, f.name) for f in fields(traces) if f.name != "hidden"}
    hidden = {f"{HIDDEN}{exit}": states for exit, states in enumerate(traces.hidden, 1)}
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in {**plain, **hidden}.items()}
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def load(path: Path) -> Traces:
    """Read what `save` wrote; nothing is unpickled.

    Raises:
        TraceError: not there, not an `.npz`, or the wrong arrays.
    """
    try:
        # Opened here: numpy leaves its own handle open when the archive is damaged.
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise TraceError(f"{path}: a single array, not a trace; record one with 'offramp trace'")
            arrays: dict[str, Array] = {name: file[name] for name in file.files}
        bundle_id = str(arrays.pop("bundle_id", ""))
        # Older files have none of these.
        hidden = tuple(arrays.pop(name) for name in [f"{HIDDEN}{k}" for k in range(1, len(arrays))] if name in arrays)
        return Traces(**arrays, bundle_id=bundle_id, hidden=hidden)
    except (OSError, ValueError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise TraceError(f"{path}: not a trace ({reason(error)}); record one with 'offramp trace'") from error
