"""The part of a policy file that says what it stands on: data, measurements, promises.  Nothing decides by it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from split_core.config import Section


class CodecEvidence(Section):
    """What one codec did to one cut: mean bytes per sample, and the full network's answers behind it.

    Attributes:
        encode_ms: median time of packing one sample, on the machine that calibrated.
        accuracy: share of right labels.
        agreement: share of labels that are those of the uncompressed network.
    """

    cut: int = Field(ge=0)
    codec: str
    mean_bytes: float = Field(ge=0)
    encode_ms: float = Field(default=0.0, ge=0)
    accuracy: float = Field(ge=0, le=1)
    agreement: float = Field(ge=0, le=1)


class ConfidenceHistogram(Section):
    """Calibrated confidences of one exit on the calibration samples; drift is measured against them.

    Attributes:
        edges: ascending, between values that occurred; bin i holds what lies in [edges[i-1], edges[i]).
        counts: samples per bin, one more than edges.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> ConfidenceHistogram:
        if len(self.counts) != len(self.edges) + 1 or min(self.counts) < 0 or not sum(self.counts):
            raise ValueError(f"expected {len(self.edges) + 1} counts, not all zero, got {len(self.counts)}")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must ascend")
        return self


class PromiseSection(Section):
    """One thing that the operator asked of the thresholds, what was promised, and what was then reached.

    Attributes:
        kind: what was asked for, as the option of `offramp calibrate` is called.
        asked: the number, in units of `kind`.
        method: how thresholds were chosen; "mean" promises nothing.
        loss: what `asked` bounds, where it is a loss.
        confidence: chance that the promise is true, on data like these; None when nothing is promised.
        samples: that the thresholds were chosen on; maps were fitted on others.
        reached: what thresholds chosen by the same recipe on one half of these reach on the other half; None
            when one half is too few.
        held_out: samples of that other half.
    """

    kind: Literal["accuracy", "max_drop", "risk", "budget_ms", "max_offload"]
    asked: float
    method: str
    loss: str = ""
    confidence: float | None = None
    samples: int = Field(ge=1)
    reached: float | None = None
    held_out: int = Field(default=0, ge=0)


class Evidence(Section):
    """What the calibration stands on.

    Attributes:
        target: agreement with the full network that `ExitSection.certified` stands for.
        risk: chance, per exit, that it does not hold on data like the calibration samples.
        codecs: measured on `codec_samples` of the samples.
        confidence_histograms: one per exit; empty when drift cannot be watched.
        reached_histograms: of exits 2, 3, ..., over the samples that the thresholds let get there; as many as hold
            enough samples, none without thresholds of our own.
        input_histograms: of `Intake.measures`, by name: what the inputs were like.
        promises: what was asked of the thresholds, when anything was.
    """

    samples: int = Field(default=0, ge=0)
    data_sha256: str = ""
    made_with: str = ""
    target: float | None = None
    risk: float | None = None
    codec_samples: int = Field(default=0, ge=0)
    codecs: tuple[CodecEvidence, ...] = ()
    confidence_histograms: tuple[ConfidenceHistogram, ...] = ()
    reached_histograms: tuple[ConfidenceHistogram, ...] = ()
    input_histograms: dict[str, ConfidenceHistogram] = Field(default_factory=dict)
    promises: tuple[PromiseSection, ...] = ()
