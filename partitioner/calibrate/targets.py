"""What an operator may ask of the thresholds, and how it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from partitioner.calibrate.losses import LOSSES
from partitioner.calibrate.pcee import PCEE
from partitioner.calibrate.risk import RISK_CONTROLS
from partitioner.calibrate.segments import Rule
from split_core.errors import ConfigError
from split_core.evidence import PromiseSection
from split_core.registry import suggestion
from split_core.traces import Traces

Kind = Literal["accuracy", "max_drop", "risk", "budget_ms", "max_offload"]
KINDS: tuple[Kind, ...] = ("accuracy", "max_drop", "risk", "budget_ms", "max_offload")
GOOD = frozenset({"consistency", "mistakes"})  # losses with an opposite
BOUNDED = frozenset({"ltt", "wsr"})  # methods that promise with a confidence


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked; at most one of `accuracy`, `max_drop` and `risk`, with or without limits.

    Attributes:
        accuracy: of the answers that exits give (PCEE).
        max_drop: accuracy that may be lost against the full network.
        risk: mean `loss` that is accepted.
        confidence: chance that the promise on `max_drop` or `risk` is true.
        method: name in `RISK_CONTROLS`, for `accuracy` in `PCEE`; empty takes "pcee_ws", or see `control`.
        loss: name in `LOSSES`, that `risk` is about.
        budget_ms: mean milliseconds of the device per frame.
        max_offload: share of frames that no early exit may answer.
        per_class: thresholds per predicted class too.
        device_ms: (K,) milliseconds until exit k has been read, exits before it included; for `budget_ms`.
    """

    accuracy: float | None = None
    max_drop: float | None = None
    risk: float | None = None
    confidence: float = 0.9
    method: str = ""
    loss: str = "consistency"
    budget_ms: float | None = None
    max_offload: float | None = None
    per_class: bool = False
    device_ms: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self._qualities()) > 1:
            raise ConfigError(f"{' and '.join(self._qualities())}: ask for one of them; they set the same thresholds")
        for name in ("accuracy", "max_drop", "risk", "confidence"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < 1.0:
                raise ConfigError(f"--{name.replace('_', '-')}: expected a number between 0 and 1, got {value}")
        if self.budget_ms is not None and not self.device_ms:
            raise ConfigError("--budget-ms needs the times of the device; give --profile FILE of 'offramp profile'")
        self._check_names()

    def _qualities(self) -> list[str]:
        names = ("accuracy", "max_drop", "risk")
        return [f"--{name.replace('_', '-')}" for name in names if getattr(self, name) is not None]

    def _check_names(self) -> None:
        known = list(PCEE) if self.accuracy is not None else list(RISK_CONTROLS)
        if self.method and self.method not in known:
            near = suggestion(self.method, known)
            raise ConfigError(f"--method: no method named {self.method!r}{near}; there are: {', '.join(known)}")
        if self.loss not in LOSSES:
            near = suggestion(self.loss, list(LOSSES))
            raise ConfigError(f"--loss: no loss named {self.loss!r}{near}; there are: {', '.join(LOSSES)}")
        if self.per_class and self.accuracy is None and (self.risk is None or self.loss not in GOOD):
            raise ConfigError("--per-class goes with --accuracy, or with --risk and --loss consistency or mistakes")

    @property
    def control(self) -> str:
        """The risk control by name: unless told, the one that costs less on such losses.

        Of 0 or 1 the binomial bound of "ltt" is close to exact; where losses vary less, or an exit may be
        better than the full network, "wsr" sees that (benchmarks/calibration.py).
        """
        return self.method or ("ltt" if self.loss in GOOD and self.max_drop is None else "wsr")

    @property
    def asks(self) -> bool:
        """Is anything asked at all?"""
        return bool(self._qualities()) or self.budget_ms is not None or self.max_offload is not None


def reached(target: Target, rule: Rule, traces: Traces) -> dict[str, float]:
    """What `rule` does to `traces`, for each thing that was asked.

    Accuracy is that of what exits answer; of all when they answer nothing.
    """
    exits = rule.exits(traces)
    rows = np.arange(traces.samples)
    found: dict[str, float] = {}
    if target.accuracy is not None:
        early = exits < traces.exits - 1
        chosen = early if early.any() else np.ones_like(early)
        found["accuracy"] = float(traces.correct[rows, exits][chosen].mean())
    if target.max_drop is not None:
        found["max_drop"] = float(LOSSES["drop"](traces)[rows, exits].mean())
    if target.risk is not None:
        found["risk"] = float(LOSSES[target.loss](traces)[rows, exits].mean())
    if target.budget_ms is not None:
        found["budget_ms"] = float(np.asarray(target.device_ms)[exits].mean())
    if target.max_offload is not None:
        found["max_offload"] = float((exits == traces.exits - 1).mean())
    return found


def promises(target: Target, chosen_on: int, held_out: dict[str, float], tested: int) -> tuple[PromiseSection, ...]:
    """What is written of `target` into the policy file; `held_out` is empty when there was too little to test on."""
    found = []
    for kind in KINDS:
        asked = getattr(target, kind)
        if asked is None:
            continue
        method = {"accuracy": target.method or "pcee_ws", "max_drop": target.control, "risk": target.control}.get(kind)
        section = PromiseSection(
            kind=kind,
            asked=asked,
            method=method or "mean",
            loss={"max_drop": "drop", "risk": target.loss}.get(kind, ""),
            confidence=target.confidence if method in BOUNDED else None,
            samples=chosen_on,
            reached=round(held_out[kind], 6) if kind in held_out else None,
            held_out=tested if kind in held_out else 0,
        )
        found.append(section)
    return tuple(found)
