"""`result.json` and `series.json` of a demo, as checked values.  Draws nothing, judges nothing.

Keys that are not listed here are ignored, so that a newer demo may say more; a listed key that is absent is
an error.  A figure that was not measured is null, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from split_core.errors import ArtefactError
from split_core.mistakes import first_error


def _known(value: Any) -> Any:
    """NaN and infinities are figures that nobody measured."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Measured = Annotated[float | None, BeforeValidator(_known)]
Count = Annotated[int | None, BeforeValidator(_known)]
Ship = Literal["any", "hidden"]


class Part(BaseModel):
    """Base of every part of the two files: frozen, tolerant of keys to come."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Link(Part):
    """The shaped link."""

    rate_mbit: Measured
    delay_ms: Measured


class Weights(Part):
    """The objective: weights of the cost, and `mu`, the price of one unit of cost in confidence."""

    ms: Measured
    kb: Measured
    cloud_ms: Measured
    joule: Measured
    mu: Measured


class Setting(Part):
    """What the run was; `headline` says it in two or three sentences."""

    headline: list[str]
    link: Link
    slowdown: Measured
    objective: Weights
    deadline_ms: Measured
    fps: Measured = None
    frames_live: Count = None
    frames_replayed: Count = None
    device: dict[str, Any] = {}
    data: str | None = None
    bundle_id: str | None = None
    date: str | None = None
    quick: bool = False


class Exit(Part):
    """One exit on the held-out stream; `payload_bytes` is the size of hidden state k on the wire."""

    exit: int
    accuracy: Measured
    agreement: Measured = None
    device_ms: Measured = None
    payload_bytes: Measured = None
    ece_before: Measured = None
    ece_after: Measured = None


class Latency(Part):
    """Milliseconds from capture to outcome."""

    mean: Measured
    p50: Measured
    p95: Measured
    p99: Measured


class Figures(Part):
    """What one policy did over one set of frames.  Shares and accuracies are in [0, 1]."""

    frames: Count = None
    accuracy: Measured
    agreement: Measured
    latency_ms: Latency | None
    kb_per_frame: Measured
    exit_share: list[Measured] | None
    offload_share: Measured
    mean_cost: Measured
    regret: Measured
    deadline_misses: Count
    degraded: Count


class Row(Figures):
    """One policy; a live one carries its replay over the same frames."""

    name: str
    live: bool
    replayed: Figures | None = None


class Run(Part):
    """All policies under one rule of what may be shipped."""

    policies: list[Row]
    policy_id: str | None = None
    cost_model: dict[str, Any] = {}


class Privacy(Part):
    """What it costs that pixels never leave the device."""

    policy: str
    mean_cost_any: Measured
    mean_cost_hidden: Measured
    extra_cost_pct: Measured
    best_fixed_any: Measured = None
    best_fixed_hidden: Measured = None
    kb_any: Measured = None
    kb_hidden: Measured = None


class Fault(Part):
    """One interruption of the worker; seconds since the outage run began."""

    kind: str
    from_s: Measured = None
    to_s: Measured = None
    recovery_s: Measured  # from the worker's return until the cloud is used again


class Outage(Part):
    """The run through three faults of the worker."""

    policy: str = ""
    frames: Count
    outcomes: Count
    dropped: Count = None
    deadline_misses: Count
    duplicates: Count
    degraded: Count = None
    faults: list[Fault]


class Result(Part):
    """`result.json`."""

    setting: Setting
    exits: list[Exit]
    runs: dict[Ship, Run]
    privacy: Privacy | None = None
    outage: Outage
    versions: dict[str, Any]
    seconds: dict[str, Measured] = {}
    date: str | None = None


def _same_lengths(**lists: Sequence[object]) -> None:
    if len({len(values) for values in lists.values()}) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in lists.items())
        raise ValueError(f"lists must have the same length, got {lengths}")


class Curve(Part):
    """Cumulative regret after each of some frames."""

    frame: list[float]
    regret: list[Measured]

    @model_validator(mode="after")
    def _paired(self) -> Curve:
        _same_lengths(frame=self.frame, regret=self.regret)
        return self


class Shares(Part):
    """Where frames were answered, per window: K local exits, then offloads."""

    frame: list[float]
    share: list[list[Measured]]
    policy: str

    @model_validator(mode="after")
    def _paired(self) -> Shares:
        _same_lengths(frame=self.frame, share=self.share)
        if len({len(window) for window in self.share}) > 1 or not all(self.share):
            raise ValueError("every window of share needs the same number of shares, at least one")
        return self


class SeriesRun(Part):
    """The lines drawn for one run."""

    regret: dict[str, Curve] = {}
    exits: Shares | None = None


class Dots(Part):
    """One outcome per place: seconds since the start, latency, and who answered."""

    t_s: list[float]
    latency_ms: list[Measured]
    kind: list[str]

    @model_validator(mode="after")
    def _paired(self) -> Dots:
        _same_lengths(t_s=self.t_s, latency_ms=self.latency_ms, kind=self.kind)
        return self


class OutageSeries(Part):
    """The frames of the outage run."""

    deadline_ms: Measured
    frames: Dots
    faults: list[Fault] = []


class Series(Part):
    """`series.json`."""

    runs: dict[Ship, SeriesRun]
    outage: OutageSeries


PartType = TypeVar("PartType", bound=Part)


def result_from(directory: Path) -> Result:
    """Read `directory`/result.json.

    Raises:
        ArtefactError: it is missing, no JSON, or lacks a key.
    """
    return _read(directory / "result.json", Result)


def result_of(document: Mapping[str, Any]) -> Result:
    """A result that was just parsed from JSON.

    Raises:
        ArtefactError: it lacks a key.
    """
    try:
        return Result.model_validate(document)
    except ValidationError as error:
        raise ArtefactError(f"result: {first_error(error, Result)}; run 'offramp demo' to make it afresh") from error


def series_from(directory: Path) -> Series:
    """Read `directory`/series.json.

    Raises:
        ArtefactError: it is missing, no JSON, or lacks a key.
    """
    return _read(directory / "series.json", Series)


def _read(path: Path, kind: type[PartType]) -> PartType:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read ({error.strerror}); run 'offramp demo' to make it") from error
    except ValidationError as error:
        raise ArtefactError(f"{path}: {first_error(error, kind)}; run 'offramp demo' to make it afresh") from error


def finite(values: Sequence[float | None]) -> list[float]:
    """`values` with nan where nothing was measured."""
    return [math.nan if value is None else value for value in values]
